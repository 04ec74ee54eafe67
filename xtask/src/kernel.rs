//! What runs as root: finished binaries only, so that cargo never does.

use std::env;
use std::path::{Path, PathBuf};

use crate::shell::{CommandLine, cargo};
use crate::workspace;

/// How a binary is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Profile {
    /// Quickly.
    Debug,
    /// As an operator runs it.
    Release,
}

impl Profile {
    /// Where cargo puts what it builds, below the target folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }
}

/// Builds the `enforcer` binary.
pub(crate) fn build_binary(profile: Profile) -> anyhow::Result<()> {
    build(profile, "enforcer", "enforcer")
}

/// Builds the `enforcer` binary and a binary of the kernel suite; returns what runs that as root.
pub(crate) fn build_program(profile: Profile, program: &str) -> anyhow::Result<CommandLine> {
    build_binary(profile)?;
    build(profile, "enforcer-tests", program)?;
    Ok(as_root(&built(profile, program), profile))
}

/// Builds a binary; returns what runs it, as whoever started us.
pub(crate) fn build_plain(profile: Profile, package: &str, binary: &str) -> anyhow::Result<CommandLine> {
    build(profile, package, binary)?;
    Ok(CommandLine::new(&[]).arg(built(profile, binary).to_string_lossy()))
}

fn build(profile: Profile, package: &str, binary: &str) -> anyhow::Result<()> {
    let line = CommandLine::new(&[]).arg(cargo());
    let line = ["build", "--quiet", "--package", package, "--bin", binary].into_iter().fold(line, CommandLine::arg);
    match profile {
        Profile::Debug => line,
        Profile::Release => line.arg("--release"),
    }
    .run()
}

/// Where cargo puts a binary of the workspace.
pub(crate) fn built(profile: Profile, binary: &str) -> PathBuf {
    workspace::target_dir().join(profile.folder()).join(binary)
}

/// A finished program, run as root with the `enforcer` binary that was just built.
pub(crate) fn as_root(program: &Path, profile: Profile) -> CommandLine {
    let line = CommandLine::new(&[]).arg(program.to_string_lossy());
    let line = line.variable("ENFORCER_BIN", built(profile, "enforcer").to_string_lossy()).needing_root();
    // sudo keeps none of the environment, and a failed test is worth its stack trace.
    match env::var("RUST_BACKTRACE") {
        Ok(value) => line.variable("RUST_BACKTRACE", value),
        Err(_) => line,
    }
}
