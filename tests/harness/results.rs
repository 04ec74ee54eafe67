//! Figures for `docs/assurance.md`: long runs leave them where `ENFORCER_RESULTS` says.

use std::path::PathBuf;

use serde_json::{Value, json};

/// Writes figures under a name, if anybody collects them.
///
/// # Panics
/// When they cannot be written.
pub fn write(name: &str, figures: &Value) {
    let Some(folder) = std::env::var_os("ENFORCER_RESULTS").map(PathBuf::from) else { return };
    let path = folder.join(format!("{name}.json"));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let run = json!({
        "kernel": kernel.trim(),
        "revision": std::env::var("ENFORCER_REVISION").unwrap_or_default(),
        "figures": figures,
    });
    let text = serde_json::to_string_pretty(&run).expect("figures are JSON");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, text + "\n"))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
