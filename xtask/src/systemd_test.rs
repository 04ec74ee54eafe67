//! `cargo xtask systemd-test`: the package and its units under a real systemd, through a reboot.

use crate::dist;
use crate::kernel::{self, Profile};
use crate::setup;
use crate::shell::CommandLine;
use crate::workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<()> {
    setup::run(&setup::Options::default())?;
    setup::programs(setup::Run::SystemdTest)?;
    let old = dist::package(&dist::Options::for_test(1))?;
    let new = dist::package(&dist::Options::for_test(2))?;
    let script = workspace::root().join("tests/systemd/run.sh");
    // Kept, because it takes minutes to make.
    let debian = workspace::target_dir().join("systemd-test");
    let binary = kernel::built(Profile::Debug, "enforcer");
    [script.as_path(), &debian, &binary, workspace::root(), &old, &new]
        .iter()
        .fold(CommandLine::new(&["sh"]), |line, path| line.arg(path.to_string_lossy()))
        .needing_root()
        .run()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::workspace;

    #[test]
    fn no_script_of_a_run_ends_well_without_having_run() {
        for folder in ["tests/systemd", "tests/packages", "tests/vm"] {
            for entry in fs::read_dir(workspace::root().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let text = fs::read_to_string(&path).unwrap();
                let bad = text.lines().find(|line| line.contains("skipped") || line.trim() == "exit 0");
                assert_eq!(bad, None, "{}", path.display());
            }
        }
    }
}
