//! `cargo xtask systemd-test`: the units under a real systemd, through a reboot.

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
    [script.as_path(), &debian, &binary, workspace::root()]
        .iter()
        .fold(CommandLine::new(&["sh"]), |line, path| line.arg(path.to_string_lossy()))
        .needing_root()
        .run()
}
