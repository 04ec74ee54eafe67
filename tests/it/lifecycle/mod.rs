//! What stays when something happens: a second apply, a kill, a mistake, somebody else's program.

mod apply;
mod busy;
mod detach;
mod killed;
mod mistakes;

use std::fs;
use std::path::PathBuf;

use aya::programs::ProgramInfo;
use harness::enforcer::Protected;

/// The arguments of a policy that enforces.
const ENFORCE: &[&str] = &["--role", "unity-connection", "--mode", "enforce", "--hook", "native"];

/// The kernel's number of the program that judges what comes in.
#[track_caller]
fn program_id(protected: &Protected) -> u32 {
    ProgramInfo::from_pin(protected.pin()).expect("it is pinned").id()
}

/// Pins that belong to an interface, by name.
fn pins_of(interface: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir("/sys/fs/bpf/enforcer").into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains(interface)).collect()
}

/// Whether the kernel shows an XDP program on the near end.
#[track_caller]
fn has_xdp(protected: &harness::netns::Cable) -> bool {
    let near = &protected.near.interface;
    let output = protected.host.command("ip").args(["-details", "link", "show", "dev", near]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).expect("ip runs");
    assert!(text.contains(near), "{text}");
    text.contains("xdp")
}
