//! `cargo xtask load`: a flood while policies, addresses and flows change and everything is read.

use crate::kernel::{self, Profile};
use crate::{assurance, setup, workspace};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask load\n  cargo xtask load --seconds 20     # what `cargo xtask test` does, too"
)]
pub(crate) struct Options {
    /// How long, half of it at each hook; longer where not every change was made once by then.
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    kernel::build_program(Profile::Debug, "enforcer-load")?
        .variable("ENFORCER_RESULTS", assurance::folder().to_string_lossy())
        .variable("ENFORCER_REVISION", workspace::revision())
        .arg("--seconds")
        .arg(options.seconds.to_string())
        .run()
}
