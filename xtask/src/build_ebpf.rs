//! `cargo xtask build-ebpf`: the BPF object alone. `enforcer`'s build script does the same for the binary.

use std::fs;

use anyhow::{Context, anyhow};
use xtask::bpf_toolchain;

use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    let target = workspace::target_dir();
    let toolchain = bpf_toolchain::find(&target)?;
    eprintln!("building with {toolchain}");
    let object = bpf_toolchain::build_object(&toolchain, &workspace::root().join("enforcer-ebpf"), &target.join("bpf"))
        .map_err(|error| anyhow!(error))?;
    let size = fs::metadata(&object).with_context(|| object.display().to_string())?.len();
    println!("{} ({size} bytes)", object.display());
    Ok(())
}
