//! `cargo xtask demo`: builds the binary and the demo, and runs the demo as root.

use crate::kernel::{self, Profile};
use crate::setup;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask demo             one host, and clients that try its ports\n  \
    cargo xtask demo --estate    every host of examples/estate, and each tries the others (under three minutes)")]
pub(crate) struct Options {
    /// Lay out every host of the reference estate on one bridge, and try each port that a host serves from every other host.
    #[arg(long)]
    estate: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    let demo = kernel::build_program(Profile::Debug, "demo")?;
    if options.estate { demo.arg("--estate") } else { demo }.run()
}
