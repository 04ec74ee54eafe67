//! One command at a time changes pins.

use std::fs;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::error::{DataplaneError, at};
use super::pins::make_dir;

const FOLDER: &str = "/run/enforcer";

/// Holds others off while the pins are changed: released when it is dropped.
pub(super) fn lock() -> Result<Flock<fs::File>, DataplaneError> {
    let (path, file) = open()?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| {
        DataplaneError::system(format!("cannot lock {}", path.display()), std::io::Error::from(errno))
    })
}

/// The same, unless somebody else holds it.
pub(super) fn try_lock() -> Option<Flock<fs::File>> {
    let (_, file) = open().ok()?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

fn open() -> Result<(std::path::PathBuf, fs::File), DataplaneError> {
    let folder = Path::new(FOLDER);
    make_dir(folder)?;
    let path = folder.join("lock");
    let file = fs::File::create(&path).map_err(at(path.clone()))?;
    Ok((path, file))
}
