//! One agent for each network namespace: two would undo each other's work.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use crate::dataplane::{here, run_folder};
use crate::failure::Failure;
use crate::host::trusted::open_plain;

/// A lock that the agent holds while it runs. The kernel releases it however the agent ends.
#[derive(Debug)]
pub(super) struct Instance(#[expect(dead_code, reason = "held, never read")] Flock<File>);

impl Instance {
    /// Takes the lock of this network namespace.
    pub(super) fn take() -> Result<Self, Failure> {
        let path = path()?;
        let failed = |error: std::io::Error| {
            Failure::Failed(anyhow::Error::from(error).context(format!("cannot lock {}", path.display())))
        };
        let file = open_plain(&path, File::options().read(true).write(true).create(true)).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
                Ok(Self(lock))
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut by = String::new();
                // The process id is only for the error message of another agent.
                let _ = file.rewind().and_then(|()| file.read_to_string(&mut by));
                Err(Failure::Refused(anyhow::anyhow!(
                    "another agent runs in this network namespace (process {}); two would undo each other's work",
                    by.trim()
                )))
            }
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}

fn path() -> Result<PathBuf, Failure> {
    Ok(run_folder()?.join(format!("agent-{}.lock", here()?.inode)))
}
