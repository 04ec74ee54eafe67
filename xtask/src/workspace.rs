//! Where things are in the clone.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace that this xtask was built from.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The target folder of the workspace.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The revision of the clone, as git names it; empty where there is no git.
pub(crate) fn revision() -> String {
    let line = ["describe", "--always", "--dirty", "--abbrev=10"];
    let output = Command::new("git").args(line).current_dir(root()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
