//! `cargo xtask oracle`: the comparison with nftables at length.

use anyhow::Context;

use crate::kernel::{self, Profile};
use crate::test::Tally;
use crate::{assurance, setup, test, workspace};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask oracle\n  cargo xtask oracle --packets 1000000")]
pub(crate) struct Options {
    /// Packets to compare, half of them at each hook.
    #[arg(long, default_value_t = 200_000)]
    packets: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    kernel::build_binary(Profile::Debug)?;
    let suite = test::kernel_suite()?;
    let is_it =
        |path: &&std::path::PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("it-"));
    let program = suite.iter().find(is_it).context("the kernel suite has no `it`")?;
    let line = kernel::as_root(program, Profile::Debug)
        .variable("ENFORCER_PACKETS", options.packets.div_ceil(2).to_string())
        .variable("ENFORCER_RESULTS", assurance::folder().to_string_lossy())
        .variable("ENFORCER_REVISION", workspace::revision())
        .arg("against_nft::");
    let mut tally = Tally::default();
    test::run_tests(&line, &mut tally)?;
    println!("\n{tally}");
    tally.verdict()
}
