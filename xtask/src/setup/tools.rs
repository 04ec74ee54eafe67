//! Programs that the tests and the demo start.

use super::{Step, debian};
use crate::shell;

/// Program and the Debian package it comes from.
const TOOLS: &[(&str, &str)] = &[
    // Namespaces, links and addresses of the tests and the demo.
    ("ip", "iproute2"),
    // A second opinion on what is loaded and attached, and the foreign program of the tests of a busy hook.
    ("bpftool", "bpftool"),
    // A linker and a C library for every Rust program.
    ("cc", "gcc"),
];

/// What is missing, if anything is.
pub(super) fn step() -> Option<Step> {
    let missing: Vec<_> = TOOLS.iter().filter(|(program, _)| shell::find(program).is_none()).collect();
    if missing.is_empty() {
        return None;
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    let plan = vec![debian::install_line(&packages)];
    let run = move || debian::install(&packages);
    Some(Step { missing: format!("no {}", programs.join(", no ")), plan, run: Box::new(run) })
}
