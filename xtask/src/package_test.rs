//! `cargo xtask package-test`: installs, upgrades and removes the packages for dpkg and for rpm, with traffic flowing.

use crate::dist;
use crate::setup;
use crate::shell::CommandLine;
use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    setup::programs(setup::Run::PackageTest)?;
    let old = dist::packages(&dist::Options::for_test(1))?;
    let new = dist::packages(&dist::Options::for_test(2))?;
    for (kind, (old, new)) in ["dpkg", "rpm"].into_iter().zip(old.iter().zip(&new)) {
        println!("\n== {kind}");
        // Mounts and interfaces are of its own: what it installs is gone with it.
        CommandLine::new(&["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash"])
            .arg(workspace::root().join("tests/packages/copy-of-host.sh").to_string_lossy())
            .arg(workspace::root().join("tests/packages/inside.sh").to_string_lossy())
            .arg(workspace::root().join("tests/packages/holds.sh").to_string_lossy())
            .arg(workspace::root().join(format!("tests/packages/{kind}.sh")).to_string_lossy())
            .arg(old.to_string_lossy())
            .arg(new.to_string_lossy())
            .needing_root()
            .run()?;
    }
    Ok(())
}
