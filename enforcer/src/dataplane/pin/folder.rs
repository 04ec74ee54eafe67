//! Folders on bpffs, and the file names that are valid there.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::{fs, io};

use crate::dataplane::error::{DataplaneError, at};

/// Creates a folder that only root can enter.
pub(in crate::dataplane) fn make_dir(path: &Path) -> Result<(), DataplaneError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path.to_owned()))
}

/// Removes a folder of pins with its contents. A missing folder is not an error.
pub(in crate::dataplane) fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The names in a folder, sorted; none if it cannot be read.
pub(in crate::dataplane) fn names_in(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// An interface name as a file name on bpffs, which does not accept dots.
pub(super) fn escape(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

/// The inverse of [`escape`].
pub(super) fn unescape(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}
