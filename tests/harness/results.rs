//! Figures for `docs/assurance.md`: long runs leave them where `ENFORCER_RESULTS` says.

use std::path::PathBuf;

use serde_json::Value;

/// Writes figures under a name, if anybody collects them.
///
/// # Panics
/// When they cannot be written.
pub fn write(name: &str, figures: &Value) {
    let Some(folder) = std::env::var_os("ENFORCER_RESULTS").map(PathBuf::from) else { return };
    let path = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(figures).expect("figures are JSON");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, text + "\n"))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
