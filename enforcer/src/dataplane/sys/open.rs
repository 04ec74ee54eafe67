//! Opening a pinned map.

use std::path::Path;

use aya::maps::MapData;

use crate::dataplane::error::{Context as _, DataplaneError, error_number};

/// Opens a pinned map that must exist.
///
/// # Errors
/// When it does not exist or cannot be opened.
pub(in crate::dataplane) fn open_map(path: &Path) -> Result<MapData, DataplaneError> {
    match MapData::from_pin(path) {
        Err(error) if error_number(&error) == Some(libc::ENOENT) => Err(DataplaneError::NotProtected(format!(
            "the table {} is gone; run `enforcer apply` again",
            path.display()
        ))),
        opened => opened.with_context(|| format!("cannot open the map {}", path.display())),
    }
}
