//! `cargo xtask bench`: builds what an operator would run, and measures it as root.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::kernel::{self, Profile};
use crate::{setup, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these parts, by name: packets, floods, streams, apply.
    #[arg(long, value_name = "PART[,PART]")]
    only: Option<String>,
    /// Fewer and shorter rounds: to see that everything runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Where to write the figures as JSON; else `target/bench.json`.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    setup::peers();
    let json = options.json.clone().unwrap_or_else(|| workspace::target_dir().join("bench.json"));
    let json = std::path::absolute(&json).with_context(|| format!("cannot tell where {} is", json.display()))?;
    let mut line = kernel::build_program(Profile::Release, "enforcer-bench")?
        .variable("ENFORCER_REVISION", revision())
        .arg("--json")
        .arg(json.to_string_lossy());
    if let Some(only) = &options.only {
        line = line.arg("--only").arg(only);
    }
    if options.quick {
        line = line.arg("--quick");
    }
    line.run()
}

/// The revision that is measured, as git names it; empty where there is no git.
fn revision() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=10"])
        .current_dir(workspace::root())
        .output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
