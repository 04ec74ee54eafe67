//! `cargo xtask demo`: builds the binary and the demo, and runs the demo as root.

use crate::shell::{CommandLine, cargo};
use crate::{kernel, setup};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    kernel::build_binary()?;
    let build = CommandLine::new(&[]).arg(cargo());
    ["build", "--quiet", "--package", "enforcer-tests", "--bin", "demo"]
        .into_iter()
        .fold(build, CommandLine::arg)
        .run()?;
    kernel::as_root(&kernel::built("demo")).run()
}
