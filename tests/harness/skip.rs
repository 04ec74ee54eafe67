//! Tests that cannot run here: they say why, and are counted as skipped.

use std::io::{self, Write};
use std::thread;

/// Says why the running test is skipped. The line reaches the terminal whatever libtest captures, and `cargo xtask test`
/// counts it.
pub fn skip(reason: &str) {
    let thread = thread::current();
    let _ = writeln!(io::stderr(), "skipped: {}: {reason}", thread.name().unwrap_or("test"));
}
