//! One command at a time changes pins.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::pins::make_dir;
use crate::dataplane::error::{DataplaneError, at};

const FOLDER: &str = "/run/enforcer";

/// Holds others off while the pins are changed: released when it is dropped.
pub(in crate::dataplane) fn lock() -> Result<Flock<fs::File>, DataplaneError> {
    wait(FlockArg::LockExclusive)
}

/// Holds changes off while pins are read: what is read belongs together.
#[derive(Debug)]
pub struct Reading(#[expect(dead_code, reason = "held, never read")] Flock<fs::File>);

/// Waits for a change of the pins that is going on, and holds others off until what is given back is dropped. Readers do not
/// hold each other off. Whoever reads must not change pins meanwhile: it would wait for itself.
///
/// # Errors
/// When the lock cannot be taken.
pub fn reading() -> Result<Reading, DataplaneError> {
    wait(FlockArg::LockShared).map(Reading)
}

/// The same as [`lock`], unless somebody else holds it.
pub(in crate::dataplane) fn try_lock() -> Option<Flock<fs::File>> {
    let (_, file) = open().ok()?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// Where locks are; it is made if it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn run_folder() -> Result<PathBuf, DataplaneError> {
    make_dir(Path::new(FOLDER))?;
    Ok(PathBuf::from(FOLDER))
}

fn wait(how: FlockArg) -> Result<Flock<fs::File>, DataplaneError> {
    let (path, mut file) = open()?;
    loop {
        match Flock::lock(file, how) {
            Ok(lock) => return Ok(lock),
            // Whoever catches a signal asks for it afterwards: to be told to end is no failure.
            Err((same, Errno::EINTR)) => file = same,
            Err((_, errno)) => {
                return Err(DataplaneError::system(
                    format!("cannot lock {}", path.display()),
                    std::io::Error::from(errno),
                ));
            }
        }
    }
}

fn open() -> Result<(PathBuf, fs::File), DataplaneError> {
    let path = run_folder()?.join("lock");
    let file = fs::File::create(&path).map_err(at(path.clone()))?;
    Ok((path, file))
}
