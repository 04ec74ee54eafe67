//! Programs that the tests and the demo start.

use super::{Step, debian};
use crate::shell;

/// Program and the Debian package it comes from.
const TOOLS: &[(&str, &str)] = &[
    // Namespaces, links and addresses of the tests and the demo.
    ("ip", "iproute2"),
    // A second opinion on what is loaded and attached, and the foreign program of the tests of a busy hook.
    ("bpftool", "bpftool"),
    // Counts what a cable has handed to a program, and makes it take the frames of a generator.
    ("ethtool", "ethtool"),
    // TFTP answers from another port than it was asked at: a real server and a real client.
    ("dnsmasq", "dnsmasq-base"),
    ("tftp", "tftp-hpa"),
    // What exports are written for: their own tools read them, and nftables judges the same packets as the programs.
    ("nft", "nftables"),
    ("iptables", "iptables"),
    // A linker and a C library for every Rust program.
    ("cc", "gcc"),
];

/// What opens the report page in tests, which are skipped without it, and takes its picture.
const BROWSER: &[(&str, &str)] = &[("chromium", "chromium")];

/// What `bench` compares with, and measures with; it goes on without what cannot be had.
const PEERS: &[(&str, &str)] = &[("xdp-filter", "xdp-tools"), ("iperf3", "iperf3")];

/// What `vmtest` boots other kernels with.
const VIRTUAL_MACHINES: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    // The machines' shell.
    ("busybox", "busybox-static"),
    // What the machines boot from, and the modules in it.
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
];

/// What is missing, if anything is.
pub(super) fn step() -> Option<Step> {
    missing(TOOLS)
}

/// What is missing for looking at the report page, if it can be had here.
pub(super) fn browser() -> Option<Step> {
    missing(BROWSER).filter(|_| debian::is_debian())
}

/// What is missing for a comparison with others, if anything is.
pub(super) fn peers() -> Option<Step> {
    missing(PEERS)
}

/// What is missing for booting other kernels, if anything is.
pub(super) fn virtual_machines() -> Option<Step> {
    missing(VIRTUAL_MACHINES)
}

fn missing(tools: &'static [(&str, &str)]) -> Option<Step> {
    let missing: Vec<_> = tools.iter().filter(|(program, _)| shell::find(program).is_none()).collect();
    if missing.is_empty() {
        return None;
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let plan = vec![debian::install_line(&packages)];
    let run = move || debian::install(&packages);
    Some(Step { missing: format!("no {}", programs.join(", no ")), plan, run: Box::new(run) })
}
