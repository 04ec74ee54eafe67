//! `cargo xtask package-test`: installs, upgrades, removes and purges the Debian package, with traffic flowing.

use crate::dist;
use crate::shell::{CommandLine, find};
use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    for tool in ["dpkg", "dpkg-deb", "unshare", "ip", "dnsmasq", "ping"] {
        if find(tool).is_none() {
            println!("skipped: there is no {tool}");
            return Ok(());
        }
    }
    let old = dist::package(&dist::Options::for_test(1))?;
    let new = dist::package(&dist::Options::for_test(2))?;
    // Mounts and interfaces are of its own: what it installs is gone with it.
    CommandLine::new(&["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash"])
        .arg(workspace::root().join("tests/packages/copy-of-host.sh").to_string_lossy())
        .arg(workspace::root().join("tests/packages/inside.sh").to_string_lossy())
        .arg(old.to_string_lossy())
        .arg(new.to_string_lossy())
        .needing_root()
        .run()
}
