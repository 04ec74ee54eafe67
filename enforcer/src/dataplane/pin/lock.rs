//! The lock of the pins: only one command at a time changes them.

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
/// The path of the locked file.
const LOCK: &str = "lock";

/// Waits for and takes the lock for changing pins; it is released when the returned value is dropped.
pub(in crate::dataplane) fn lock() -> Result<Flock<fs::File>, DataplaneError> {
    // Held until this process has the lock, so that readers who come meanwhile wait for it.
    let _turn = wait("turn", FlockArg::LockExclusive)?;
    let lock = wait(LOCK, FlockArg::LockExclusive)?;
    // The command or the agent has already printed this.
    if check_folders().is_err() {
        secure_folders()?;
    }
    Ok(lock)
}

/// Prevents changes of pins while it exists, so that everything read belongs together. Must stay in its thread.
#[derive(Debug)]
pub struct Reading {
    _lock: Flock<fs::File>,
    _of_thread: PhantomData<*const ()>,
}

thread_local! {
    /// The number of [`Reading`]s of this thread. Only the first waits for its turn: otherwise a nested one would wait for a change that
    /// waits for the first.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

impl Drop for Reading {
    fn drop(&mut self) {
        HELD.set(HELD.get() - 1);
    }
}

/// Waits for running and waiting changes of the pins, and prevents new ones until the returned value is dropped. Readers do not wait for
/// each other. The caller must not change pins meanwhile, because that would be a deadlock.
///
/// # Errors
/// When the lock file cannot be opened or locked.
pub fn reading() -> Result<Reading, DataplaneError> {
    // The kernel grants a shared lock for as long as another reader holds it, so endless readers would keep a change waiting for ever.
    // A waiting change therefore holds a second lock, the turn, and new readers wait for that.
    let _turn = if HELD.get() == 0 { Some(wait("turn", FlockArg::LockShared)?) } else { None };
    let _lock = wait(LOCK, FlockArg::LockShared)?;
    HELD.set(HELD.get() + 1);
    Ok(Reading { _lock, _of_thread: PhantomData })
}

/// Like [`lock`], but returns `None` if another process holds it.
pub(in crate::dataplane) fn try_lock() -> Option<Flock<fs::File>> {
    let (_, file) = open(LOCK).ok()?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// The folder of the lock files; it is created if it is missing.
///
/// # Errors
/// When it cannot be created.
pub fn run_folder() -> Result<PathBuf, DataplaneError> {
    let folder = PathBuf::from(FOLDER);
    make_dir(&folder)?;
    match take_over_folder(&folder).map_err(at(folder.clone()))? {
        Trust::Good => {}
        // Other users could hold a lock and block every command.
        Trust::Repaired(_) => remove_others(&folder).map_err(at(folder.clone()))?,
        Trust::Bad(why) => return Err(DataplaneError::Refused(why)),
    }
    Ok(folder)
}

/// Removes files of other users from a folder.
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
            // A signal interrupted the wait; the caller checks for it, so retry.
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
