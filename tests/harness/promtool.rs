//! Prometheus' own checker: the installed one, or the program alone out of Debian's package, without its daemon.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::debian;

/// The program, or why there is none.
///
/// # Errors
/// When it is not installed, and the package cannot be had or unpacked.
pub fn promtool() -> Result<&'static Path, &'static str> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(|| installed().map_or_else(unpacked, Ok)).as_deref().map_err(String::as_str)
}

fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("promtool")).find(|file| file.is_file())
}

/// Kept for the next run, as the package is large.
fn unpacked() -> Result<PathBuf, String> {
    const PROGRAM: &str = "usr/bin/promtool";
    debian::unpacked("promtool", &["prometheus"], PROGRAM).map(|folder| folder.join(PROGRAM))
}
