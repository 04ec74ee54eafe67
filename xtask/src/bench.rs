//! `cargo xtask bench`: what a packet costs. Fails where it costs more than was agreed.

use crate::{kernel, setup};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    kernel::build_and_run("bench")
}
