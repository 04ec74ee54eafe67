//! What tests say beside passing or failing: why they cannot run here (counted as skipped), and how much they have done.

use std::io::{self, Write};
use std::thread;

/// Says why the running test is skipped. The line reaches the terminal whatever libtest captures, and `cargo xtask test`
/// counts it.
pub fn skip(reason: &str) {
    let thread = thread::current();
    tell(&format!("skipped: {}: {reason}\n", thread.name().unwrap_or("test")));
}

/// Says how much the running test has done, where that is not the same in every run or on every kernel.
pub fn say(what: &str) {
    let thread = thread::current();
    tell(&format!("{}: {what}\n", thread.name().unwrap_or("test")));
}

/// In one piece: the tests beside it tell things too.
fn tell(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}
