//! `cargo xtask systemd-test`: the package and its units under a real systemd, through a reboot.

use crate::dist;
use crate::kernel::{self, Profile};
use crate::shell::CommandLine;
use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    kernel::build_binary(Profile::Debug)?;
    let script = workspace::root().join("tests/systemd/run.sh");
    // Kept, because it takes minutes to make.
    let debian = workspace::target_dir().join("systemd-test");
    let binary = kernel::built(Profile::Debug, "enforcer");
    let old = dist::package(&dist::Options::for_test(1))?;
    let new = dist::package(&dist::Options::for_test(2))?;
    [script.as_path(), &debian, &binary, workspace::root(), &old, &new]
        .iter()
        .fold(CommandLine::new(&["sh"]), |line, path| line.arg(path.to_string_lossy()))
        .needing_root()
        .run()
}
