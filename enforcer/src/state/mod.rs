//! What outlives a reboot: the last good policy of each interface, the totals, the history.

pub mod history;
pub mod last_good;
pub mod totals;

use std::path::PathBuf;

/// Where the files are, unless the environment says otherwise.
const FOLDER: &str = "/var/lib/enforcer";

/// The variable that says so.
pub const FOLDER_VARIABLE: &str = "ENFORCER_STATE_DIR";

/// Where the files are: in `/var/lib/enforcer`, unless the environment says otherwise.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::var_os(FOLDER_VARIABLE)
        .filter(|value| !value.is_empty())
        .map_or_else(|| PathBuf::from(FOLDER), PathBuf::from)
}
