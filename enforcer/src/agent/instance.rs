//! One agent for each network namespace: two would undo each other's work.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::dataplane::{here, run_folder};
use crate::failure::Failure;
use crate::host::trusted::open_plain;
use crate::text::escape::line;

/// A lock that the agent holds while it runs. The kernel releases it however the agent ends. The file says when the agent last finished
/// its periodic check, for [`heartbeat`].
#[derive(Debug)]
pub(super) struct Instance {
    lock: Flock<File>,
    every: Duration,
}

/// What a running agent has left for monitoring.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    /// Time since the last periodic check, or since the start.
    pub age: Duration,
    /// The interval of the check; `None`: the agent is of another version.
    pub every: Option<Duration>,
    /// Why the site file is not applied; `None`: it is.
    pub trouble: Option<String>,
}

/// The heartbeat of the agent of this network namespace; `None`: no agent runs. The lock is not touched, so that no agent that starts
/// now is refused.
///
/// # Errors
/// When the file or the list of locks cannot be read.
pub fn heartbeat() -> Result<Option<Heartbeat>, Failure> {
    let path = path()?;
    let failed = |error: io::Error| {
        Failure::Failed(anyhow::Error::from(error).context(format!("cannot read {}", path.display())))
    };
    let mut file = match open_plain(&path, File::options().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let locks = fs::read_to_string("/proc/locks").map_err(failed)?;
    if !is_locked(&locks, metadata.dev(), metadata.ino()) {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    let mut lines = text.splitn(3, '\n').skip(1);
    let every = lines.next().and_then(|line| line.parse().ok()).map(Duration::from_secs);
    let trouble = lines.next().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty());
    // A clock that was set back makes no check old.
    let age = metadata.modified().map_err(failed)?.elapsed().unwrap_or_default();
    Ok(Some(Heartbeat { age, every, trouble }))
}

/// Whether `/proc/locks` has a lock of flock(2) on this file: `1: FLOCK  ADVISORY  WRITE 4711 00:1a:42 0 EOF`.
fn is_locked(locks: &str, device: u64, inode: u64) -> bool {
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    // A line with an arrow is of a process that waits.
    locks.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("FLOCK") && words.any(|word| word == file)
    })
}

impl Instance {
    /// Takes the lock of this network namespace. `every` is the interval of the periodic check.
    pub(super) fn take(every: Duration) -> Result<Self, Failure> {
        let path = path()?;
        let failed = |error: io::Error| {
            Failure::Failed(anyhow::Error::from(error).context(format!("cannot lock {}", path.display())))
        };
        let file = open_plain(&path, File::options().read(true).write(true).create(true)).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                let mut instance = Self { lock, every };
                instance.write(None).map_err(failed)?;
                Ok(instance)
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut by = String::new();
                // The process id is only for the error message of another agent.
                let _ = file.rewind().and_then(|()| file.read_to_string(&mut by));
                Err(Failure::Refused(anyhow::anyhow!(
                    "another agent runs in this network namespace (process {}); two would undo each other's work",
                    by.lines().next().unwrap_or_default()
                )))
            }
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }

    /// Notes that the periodic check was just finished.
    pub(super) fn beat(&mut self, trouble: Option<&str>) {
        // Monitoring must not stop the agent; a heartbeat that cannot be written grows old, which is noticed.
        let _ = self.write(trouble);
    }

    fn write(&mut self, trouble: Option<&str>) -> io::Result<()> {
        let trouble = line(trouble.unwrap_or_default());
        let text = format!("{}\n{}\n{trouble}\n", std::process::id(), self.every.as_secs());
        self.lock.rewind()?;
        self.lock.set_len(0)?;
        self.lock.write_all(text.as_bytes())
    }
}

fn path() -> Result<PathBuf, Failure> {
    Ok(run_folder()?.join(format!("agent-{}.lock", here()?.inode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_by_device_and_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 815 00:1a:41 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 00:1a:42 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 4712 00:1a:43 0 EOF\n";
        let device = nix::sys::stat::makedev(0, 0x1a);
        assert!(is_locked(locks, device, 42));
        assert!(!is_locked(locks, device, 41), "another kind of lock");
        assert!(!is_locked(locks, device, 43), "a process that waits holds nothing");
        assert!(!is_locked(locks, nix::sys::stat::makedev(8, 0x1a), 42), "another device");
        assert!(!is_locked(locks, device, 4), "another inode");
    }
}
