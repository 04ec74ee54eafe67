//! `cargo xtask demo`: builds the binary and the demo, and runs the demo as root.

use crate::kernel::{self, Profile};
use crate::setup;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    kernel::build_program(Profile::Debug, "demo")?.run()
}
