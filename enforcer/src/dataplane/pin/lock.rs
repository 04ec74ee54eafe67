//! One command at a time changes pins.

use std::cell::Cell;
use std::fs;
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::folder::make_dir;
use super::owners::{check_folders, secure_folders};
use crate::dataplane::error::{DataplaneError, at};
use crate::host::trusted::{Trust, open_plain, take_over_folder};

const FOLDER: &str = "/run/enforcer";
/// The file that is locked.
const LOCK: &str = "lock";

/// Holds others off while the pins are changed: released when it is dropped.
pub(in crate::dataplane) fn lock() -> Result<Flock<fs::File>, DataplaneError> {
    // Held until the lock is ours, so that readers who come meanwhile wait behind us.
    let _turn = wait("turn", FlockArg::LockExclusive)?;
    let lock = wait(LOCK, FlockArg::LockExclusive)?;
    // Whoever is to be told of that has been told before, by the command or by the agent.
    if check_folders().is_err() {
        secure_folders()?;
    }
    Ok(lock)
}

/// Holds changes off while pins are read: what is read belongs together. It stays in the thread that it was made in.
#[derive(Debug)]
pub struct Reading {
    _lock: Flock<fs::File>,
    _of_thread: PhantomData<*const ()>,
}

thread_local! {
    /// How many [`Reading`]s this thread holds: of a reader that reads something else meanwhile, the second does not wait for its
    /// turn behind a change that waits for the first.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

impl Drop for Reading {
    fn drop(&mut self) {
        HELD.set(HELD.get() - 1);
    }
}

/// Waits for a change of the pins that is going on, or that waits to begin, and holds others off until what is given back is
/// dropped. Readers do not hold each other off. Whoever reads must not change pins meanwhile: it would wait for itself.
///
/// # Errors
/// When the lock cannot be taken.
pub fn reading() -> Result<Reading, DataplaneError> {
    // The kernel gives a lock to readers for as long as one of them holds it, so a change would wait until there happens to be
    // none: with readers that never cease, for ever. Whoever waits to change something has the turn, and no reader passes.
    let _turn = if HELD.get() == 0 { Some(wait("turn", FlockArg::LockShared)?) } else { None };
    let _lock = wait(LOCK, FlockArg::LockShared)?;
    HELD.set(HELD.get() + 1);
    Ok(Reading { _lock, _of_thread: PhantomData })
}

/// The same as [`lock`], unless somebody else holds it.
pub(in crate::dataplane) fn try_lock() -> Option<Flock<fs::File>> {
    let (_, file) = open(LOCK).ok()?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// Where locks are; it is made if it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn run_folder() -> Result<PathBuf, DataplaneError> {
    let folder = PathBuf::from(FOLDER);
    make_dir(&folder)?;
    match take_over_folder(&folder).map_err(at(folder.clone()))? {
        Trust::Good => {}
        // Locks of others would hold up everybody for as long as they like.
        Trust::Repaired(_) => remove_others(&folder).map_err(at(folder.clone()))?,
        Trust::Bad(why) => return Err(DataplaneError::Refused(why)),
    }
    Ok(folder)
}

/// Removes what somebody else has put into a folder.
fn remove_others(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        if meta.uid() != 0 || !meta.is_file() {
            if meta.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
        }
    }
    Ok(())
}

fn wait(name: &str, how: FlockArg) -> Result<Flock<fs::File>, DataplaneError> {
    let (path, mut file) = open(name)?;
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

fn open(name: &str) -> Result<(PathBuf, fs::File), DataplaneError> {
    let path = run_folder()?.join(name);
    let file = open_plain(&path, fs::File::options().write(true).create(true)).map_err(at(path.clone()))?;
    Ok((path, file))
}
