//! `cargo xtask ansible-test`: the collection of contrib/ansible on a private copy of this host.

use crate::dist;
use crate::setup;
use crate::shell::CommandLine;
use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    setup::programs(setup::Run::AnsibleTest)?;
    let package = dist::package(&dist::Options::for_test(1))?;
    let root = workspace::root();
    let [copy, script, holds, collection] =
        ["tests/packages/copy-of-host.sh", "tests/packages/ansible.sh", "tests/packages/holds.sh", "contrib/ansible"]
            .map(|name| root.join(name));
    CommandLine::new(&["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash"])
        .arg(copy.to_string_lossy())
        .arg(script.to_string_lossy())
        .arg(holds.to_string_lossy())
        .arg(collection.to_string_lossy())
        .arg(package.to_string_lossy())
        .needing_root()
        .run()
}
