//! The restoring process: restores the last confirmed policy if a change is not confirmed in time. At the deadline the programs
//! themselves end enforcement; this process then restores the previous policy. If it was killed, the next command does so.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::way_back::finish;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::pin::lock::{lock, try_lock};
use crate::dataplane::pin::protected::{Protected, all_protected};
use crate::dataplane::sys::clock;
use crate::state::FOLDER_VARIABLE;

/// Interval at which the process checks whether its deadline still exists.
const LOOK: Duration = Duration::from_secs(1);
/// Number of attempts to restore.
const ATTEMPTS: u32 = 5;

/// Starts the restoring process: the same binary, in a new session, in this network namespace, detached from this process.
pub(in crate::dataplane) fn start(token: u64, deadline: u64) -> Result<u32, DataplaneError> {
    let context = || "cannot start the process that would restore the current policy; nothing was changed".to_owned();
    let mut command = Command::new("/proc/self/exe");
    // The name under which it is listed.
    command.arg0("enforcer").arg("restore").args([token.to_string(), deadline.to_string()]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).env_clear();
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        command.env(FOLDER_VARIABLE, folder);
    }
    // SAFETY: between fork and exec only system calls are made, which allocate nothing.
    unsafe { command.pre_exec(leave_caller) };
    let mut child = command.spawn().with_context(context)?;
    let mut said = String::new();
    let read = child.stdout.take().map_or(Ok(0), |mut pipe| pipe.read_to_string(&mut said));
    // The child that we know has ended; the one that we asked for is its child.
    child.wait().with_context(context)?;
    read.with_context(context)?;
    said.trim().parse().map_err(|_| DataplaneError::system(context(), io::Error::other("it did not start")))
}

/// Detaches the process from the terminal and from its parent.
fn leave_caller() -> io::Result<()> {
    nix::unistd::setsid()?;
    // SAFETY: the child goes on to exec, and calls nothing before.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(()),
        // SAFETY: ends this process at once, without running anything of the parent's.
        nix::unistd::ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

/// Waits for the deadline and restores the last confirmed policy, unless the change was confirmed. The body of the hidden command.
///
/// # Errors
/// When it cannot be restored. Enforcement has then ended, and `status` reports it.
pub fn restore(token: u64, deadline: u64) -> Result<(), DataplaneError> {
    loop {
        let left = Duration::from_nanos(deadline.saturating_sub(clock::since_boot()));
        if left.is_zero() {
            break;
        }
        thread::sleep(left.min(LOOK));
        // Whoever holds the lock may be about to arm the deadline.
        if try_lock().is_some() && waiting(token)?.is_empty() {
            return Ok(());
        }
    }
    for attempt in 1.. {
        let result = lock().and_then(|_lock| finish(|pending| pending.token == token && pending.outcome.is_none()));
        let is_done = result.as_ref().is_ok_and(|all| all.iter().all(|one| !one.end.is_failure()));
        if is_done {
            break;
        }
        if attempt == ATTEMPTS {
            return result.map(drop);
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// The unconfirmed interfaces whose deadline has this token.
fn waiting(token: u64) -> Result<Vec<(Protected, Pending)>, DataplaneError> {
    let mut found = Vec::new();
    for one in all_protected()? {
        if let Some(pending) = Pending::read(&one.pins)?
            && pending.token == token
            && pending.outcome.is_none()
        {
            found.push((one, pending));
        }
    }
    Ok(found)
}
