//! The process that puts back what was in force before, when a change was not confirmed in time. The data plane ends
//! enforcement by itself at the deadline; this process makes the previous policy enforce again.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use enforcer_common::Mode;
use jiff::Timestamp;

use super::switch::{ORDER, Old, Staged, publish, sweep};
use crate::dataplane::error::{DataplaneError, Doing as _};
use crate::dataplane::kinds::Attached;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::{Before, Outcome, Pending};
use crate::dataplane::pin::lock::{lock, try_lock};
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::{Protected, protected};
use crate::dataplane::sys::clock;
use crate::host::links::{Link, links};
use crate::policy::ruleset::Modes;
use crate::state::last_good::{FOLDER_VARIABLE, State};

/// How often it looks whether it is still wanted.
const LOOK: Duration = Duration::from_secs(1);
/// How often it tries.
const ATTEMPTS: u32 = 5;

/// Starts it: this very binary, in a session of its own, in this network namespace, a child of nobody here.
pub(in crate::dataplane) fn start(token: u64, deadline: u64) -> Result<u32, DataplaneError> {
    let doing = || "cannot start the process that would put back what is in force now; nothing was changed".to_owned();
    let mut command = Command::new("/proc/self/exe");
    // The name under which it is listed.
    command.arg0("enforcer").arg("restore").args([token.to_string(), deadline.to_string()]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).env_clear();
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        command.env(FOLDER_VARIABLE, folder);
    }
    // SAFETY: between fork and exec only system calls are made, which allocate nothing.
    unsafe { command.pre_exec(leave_caller) };
    let mut child = command.spawn().doing(doing)?;
    let mut said = String::new();
    let read = child.stdout.take().map_or(Ok(0), |mut pipe| pipe.read_to_string(&mut said));
    // The child that we know has ended; the one that we asked for is its child.
    child.wait().doing(doing)?;
    read.doing(doing)?;
    said.trim().parse().map_err(|_| DataplaneError::system(doing(), io::Error::other("it did not start")))
}

/// No terminal can reach the process, and no caller waits for it.
fn leave_caller() -> io::Result<()> {
    nix::unistd::setsid()?;
    // SAFETY: the child goes on to exec, and calls nothing before.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(()),
        // SAFETY: ends this process at once, without running anything of the parent's.
        nix::unistd::ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

/// Waits for the deadline and puts back what was in force before, unless it was confirmed. The body of the hidden command.
///
/// # Errors
/// When it cannot be put back; then enforcement has ended, and `status` says so.
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
        match put_back(token) {
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => thread::sleep(LOOK),
            Ok(()) => break,
        }
    }
    Ok(())
}

/// The interfaces for which a process with this token was started, and that nobody has confirmed.
fn waiting(token: u64) -> Result<Vec<(Protected, Pending)>, DataplaneError> {
    let mut found = Vec::new();
    for one in protected(&[])? {
        if let Some(pending) = Pending::read(&one.pins)?
            && pending.token == token
            && pending.outcome.is_none()
        {
            found.push((one, pending));
        }
    }
    Ok(found)
}

fn put_back(token: u64) -> Result<(), DataplaneError> {
    let _lock = lock()?;
    let links = links().doing(|| "cannot look at the interfaces".to_owned())?;
    let waiting = waiting(token)?;
    let Some(netns) = waiting.first().map(|(one, _)| one.record.netns) else { return Ok(()) };
    // All of them together, so that no conversation of the host falls between two interfaces. Where that is not possible, one that
    // cannot be put back keeps no other from it.
    let result = put_back_together(&waiting, &links).or_else(|error| match waiting.as_slice() {
        [_] => Err(error),
        all => all.chunks(1).map(|one| put_back_together(one, &links)).fold(Ok(()), Result::and),
    });
    // What cannot be removed is tried again by the next command.
    let _ = sweep(&HostPins::of(netns));
    result
}

fn put_back_together(waiting: &[(Protected, Pending)], links: &[Link]) -> Result<(), DataplaneError> {
    let mut staged = Vec::new();
    for (one, pending) in waiting {
        let Some(Before { record, .. }) = &pending.before else { continue };
        if record.generation == one.record.generation {
            continue;
        }
        // An interface that is gone has no hook. What is recorded of it is put back all the same.
        let Some(link) = links.iter().find(|link| link.index == record.index) else { continue };
        let attached = |mode| Attached { attach_mode: mode, why: String::new() };
        let modes = [record.inbound, record.outbound.unwrap_or(record.inbound)].map(|one| attached(one.attach_mode));
        let old = Old::read(&one.pins, one.record.clone())?;
        staged.push(Staged::new(link, record.protects, &one.pins, record.generation, modes, Some(old)));
    }
    let result = switch_all(&mut staged);
    if let Err(error) = result {
        for one in &mut staged {
            one.discard();
        }
        return Err(error);
    }
    for (one, pending) in waiting {
        let (modes, outcome) = match &pending.before {
            Some(Before { record, modes }) => {
                if record.generation != one.record.generation {
                    publish(&one.pins, record)?;
                }
                if let Some(staged) = staged.iter().find(|staged| staged.interface == one.interface) {
                    let _ = staged.drop_moved();
                }
                (*modes, Outcome::Restored(Timestamp::now()))
            }
            None => (Modes::both(Mode::Audit), Outcome::LeftInAudit(Timestamp::now())),
        };
        control::write(&one.pins, modes)?;
        if matches!(outcome, Outcome::Restored(_)) {
            State::of(one.pins.name()).drop_staged();
        }
        Pending { outcome: Some(outcome), ..pending.clone() }.write(&one.pins)?;
    }
    Ok(())
}

fn switch_all(staged: &mut [Staged]) -> Result<(), DataplaneError> {
    for direction in ORDER {
        for one in staged.iter_mut() {
            one.switch(direction)?;
        }
    }
    Ok(())
}
