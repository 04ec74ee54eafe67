//! What runs as root: finished binaries only, so that cargo never does.

use std::env;
use std::path::{Path, PathBuf};

use crate::shell::{CommandLine, cargo};
use crate::workspace;

/// Builds the `enforcer` binary.
pub(crate) fn build_binary() -> anyhow::Result<()> {
    let build = CommandLine::new(&[]).arg(cargo());
    ["build", "--quiet", "--package", "enforcer", "--bin", "enforcer"].into_iter().fold(build, CommandLine::arg).run()
}

/// Builds the `enforcer` binary and a binary of the kernel suite, and runs that as root.
pub(crate) fn build_and_run(program: &str) -> anyhow::Result<()> {
    build_binary()?;
    let build = CommandLine::new(&[]).arg(cargo());
    let words = ["build", "--quiet", "--package", "enforcer-tests", "--bin", program];
    words.into_iter().fold(build, CommandLine::arg).run()?;
    as_root(&built(program)).run()
}

/// Where cargo puts a binary of the workspace.
pub(crate) fn built(binary: &str) -> PathBuf {
    workspace::target_dir().join("debug").join(binary)
}

/// A finished program, run as root with the `enforcer` binary that was just built.
pub(crate) fn as_root(program: &Path) -> CommandLine {
    let line = CommandLine::new(&[]).arg(program.to_string_lossy());
    let line = line.variable("ENFORCER_BIN", built("enforcer").to_string_lossy()).needing_root();
    // sudo keeps none of the environment, and a failed test is worth its stack trace.
    match env::var("RUST_BACKTRACE") {
        Ok(value) => line.variable("RUST_BACKTRACE", value),
        Err(_) => line,
    }
}
