//! Debian's packages: the second way to a compiler for the BPF side, and the tools of the tests and the demo.

use std::cell::Cell;
use std::fs;
use std::process::Command;

use anyhow::bail;

use crate::shell::{self, CommandLine};

/// A rustc that is new enough, with the source of its library.
pub(super) const RUSTC_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// Whether packages can be installed with apt-get at all.
pub(super) fn is_debian() -> bool {
    let family = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let names = family.lines().filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="));
    names.flat_map(|line| line.split(['=', '"', ' '])).any(|name| name == "debian") && shell::find("apt-get").is_some()
}

/// What installs these packages, for a person to read.
pub(super) fn install_line(packages: &[&str]) -> String {
    install_command(packages).to_string()
}

/// Installs those of the packages that are not there, after reading the package lists anew once.
pub(super) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let packages: Vec<_> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let command = install_command(&packages);
    if !is_debian() {
        bail!("this is not Debian; install what these packages hold by other means: {}", packages.join(" "));
    }
    if !command.can_run() {
        bail!("installing packages takes root, and there is no sudo; run as root: apt-get update && {command}");
    }
    update()?;
    command.run()
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    query.is_ok_and(|output| output.stdout == b"installed")
}

fn install_command(packages: &[&str]) -> CommandLine {
    let apt = CommandLine::new(&["apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends"]);
    packages
        .iter()
        .fold(apt, |line, package| line.arg(*package))
        .variable("DEBIAN_FRONTEND", "noninteractive")
        .needing_root()
}

fn update() -> anyhow::Result<()> {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    if DONE.get() {
        return Ok(());
    }
    CommandLine::new(&["apt-get", "update", "--quiet=2"]).needing_root().run()?;
    DONE.set(true);
    Ok(())
}
