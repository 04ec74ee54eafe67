//! What stays when something happens: a second apply, a kill, a mistake, somebody else's program.

mod addresses;
mod apply;
mod atomic;
mod boot;
mod busy;
mod children;
mod deadline;
mod detach;
mod drift;
mod estate;
mod failure;
mod killed;
mod mistakes;
mod mode;
mod names;
mod overdue;
mod own;
mod picture;
mod renamed;
mod totals;
mod undo;
mod upgrade;
mod way_back;
mod window;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use aya::programs::ProgramInfo;
use harness::enforcer::Protected;
use serde_json::Value;

pub(crate) use deadline::restorers;

/// The arguments of a policy that enforces.
const ENFORCE: &[&str] = &["--role", "unity-connection", "--mode", "enforce", "--hook", "native"];

/// A port that the policy refuses.
const REFUSED_PORT: u16 = 4444;

/// What `status` says of the interface, whatever its exit code.
#[track_caller]
fn status(protected: &Protected) -> (Option<i32>, Value) {
    let near = &protected.cable.near.interface;
    let ran = protected.run(&["status", "--format", "json", "--interface", near]);
    let json = ran.json()["interfaces"][0].clone();
    (ran.code, json)
}

/// The sentences that `status` has under a name, in one.
fn sentences(status: &Value, name: &str) -> String {
    let all = status[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    all.collect::<Vec<_>>().join("; ")
}

/// Asks until the answer is the wanted one, for what comes with time.
#[track_caller]
fn wait_for<T: PartialEq + std::fmt::Debug>(wanted: &T, mut ask: impl FnMut() -> T) {
    let end = Instant::now() + Duration::from_secs(60) * harness::machine::patience();
    loop {
        let found = ask();
        if found == *wanted {
            return;
        }
        assert!(Instant::now() < end, "still {found:?} instead of {wanted:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

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
