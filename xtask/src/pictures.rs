//! `cargo xtask pictures`: makes the pictures of the README again, from a host with real traffic.

use std::fs;

use anyhow::{Context, bail};

use crate::kernel::{self, Profile};
use crate::setup;
use crate::shell::CommandLine;
use crate::workspace;

/// What a picture may weigh.
const MOST_BYTES: u64 = 200_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    setup::programs(setup::Run::Pictures)?;
    kernel::build_program(Profile::Debug, "pictures")?;
    let made = workspace::target_dir().join("pictures");
    // Namespaces of its own: it has another host name, and pins and state that nobody else sees.
    let unshare = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"];
    CommandLine::new(&unshare)
        .arg(kernel::built(Profile::Debug, "pictures").to_string_lossy())
        .arg(made.to_string_lossy())
        .variable("ENFORCER_BIN", kernel::built(Profile::Debug, "enforcer").to_string_lossy())
        .needing_root()
        .run()?;
    for name in ["report.png", "top.svg"] {
        let (from, to) = (made.join(name), workspace::root().join("docs").join(name));
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        if bytes.len() as u64 > MOST_BYTES {
            bail!("{} has {} bytes, more than {MOST_BYTES}", from.display(), bytes.len());
        }
        fs::write(&to, &bytes).with_context(|| format!("cannot write {}", to.display()))?;
        println!("{}: {} bytes", to.display(), bytes.len());
    }
    Ok(())
}
