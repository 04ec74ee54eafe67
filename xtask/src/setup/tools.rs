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
    // Signatures of releases.
    ("ssh-keygen", "openssh-client"),
    // A linker and a C library for every Rust program.
    ("cc", "gcc"),
];

/// What opens the report page in tests, which are skipped without it, and takes its picture.
const BROWSER: &[(&str, &str)] = &[("chromium", "chromium")];

/// What `bench` compares with, and measures with.
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

/// What libFuzzer is built with.
const FUZZING: &[(&str, &str)] = &[("c++", "g++")];

/// What unpacks the source of a Debian package.
const SOURCES: &[(&str, &str)] = &[("dpkg-source", "dpkg-dev")];

/// What packages are made with.
const PACKAGING: &[(&str, &str)] =
    &[("dpkg-deb", "dpkg"), ("strip", "binutils"), ("gzip", "gzip"), ("rpmbuild", "rpm")];

/// What `dist --check` unpacks packages and installs a validator with.
const PACKAGING_CHECK: &[(&str, &str)] = &[("cpio", "cpio"), ("rpm2cpio", "rpm2cpio"), ("pip3", "python3-pip")];

/// What `package-test` runs on a copy of this host.
const PACKAGE_TEST: &[(&str, &str)] = &[
    ("dpkg", "dpkg"),
    ("rpm", "rpm"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
    ("dnsmasq", "dnsmasq-base"),
    ("ping", "iputils-ping"),
];

/// What `ansible-test` runs on a copy of this host.
const ANSIBLE_TEST: &[(&str, &str)] =
    &[("ansible-playbook", "ansible-core"), ("unshare", "util-linux"), ("ip", "iproute2")];

/// What `systemd-test` makes a Debian with and boots it with.
const SYSTEMD_TEST: &[(&str, &str)] =
    &[("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("pivot_root", "util-linux"), ("ip", "iproute2")];

/// A long run that is asked for by name, and needs more than building and testing does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Run {
    AnsibleTest,
    Bench,
    Dist,
    DistCheck,
    Fuzz,
    PackageTest,
    Pictures,
    Replay,
    SystemdTest,
    Vmtest,
}

impl Run {
    /// The name of the subcommand.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AnsibleTest => "ansible-test",
            Self::Bench => "bench",
            Self::Dist => "dist",
            Self::DistCheck => "dist --check",
            Self::Fuzz => "fuzz",
            Self::PackageTest => "package-test",
            Self::Pictures => "pictures",
            Self::Replay => "replay",
            Self::SystemdTest => "systemd-test",
            Self::Vmtest => "vmtest",
        }
    }

    /// The programs that it needs, with their Debian packages.
    const fn tools(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AnsibleTest => ANSIBLE_TEST,
            Self::Bench => PEERS,
            Self::Dist => PACKAGING,
            Self::DistCheck => PACKAGING_CHECK,
            Self::Fuzz => FUZZING,
            Self::PackageTest => PACKAGE_TEST,
            Self::Pictures => BROWSER,
            Self::Replay => SOURCES,
            Self::SystemdTest => SYSTEMD_TEST,
            Self::Vmtest => VIRTUAL_MACHINES,
        }
    }
}

/// What is missing, if anything is.
pub(super) fn step() -> Option<Step> {
    missing(TOOLS)
}

/// What is missing for looking at the report page, if it can be had here.
pub(super) fn browser() -> Option<Step> {
    missing(BROWSER).filter(|_| debian::is_debian())
}

/// What is missing for a long run, if anything is.
pub(super) fn step_for(run: Run) -> Option<Step> {
    missing(run.tools())
}

fn missing(tools: &'static [(&str, &str)]) -> Option<Step> {
    missing_by(tools, |program| shell::find(program).is_some())
}

fn missing_by(tools: &'static [(&str, &str)], is_there: impl Fn(&str) -> bool) -> Option<Step> {
    let missing: Vec<_> = tools.iter().filter(|(program, _)| !is_there(program)).collect();
    if missing.is_empty() {
        return None;
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let plan = vec![debian::install_line(&packages)];
    let run = move || debian::install(&packages);
    Some(Step { missing: format!("no {}", programs.join(", no ")), plan, run: Box::new(run) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_of_two_missing_programs_is_installed_once() {
        let step = missing_by(SYSTEMD_TEST, |program| program == "ip").expect("three programs are missing");
        assert_eq!(step.missing, "no debootstrap, no unshare, no pivot_root");
        assert!(step.plan[0].ends_with(" debootstrap util-linux"), "{:?}", step.plan);
        assert!(missing_by(SYSTEMD_TEST, |_| true).is_none());
    }
}
