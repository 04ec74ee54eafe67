//! Ending a command that goes on until somebody has seen enough, with everything written and exit code 0.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::failure::Failure;

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on the first SIGINT or SIGTERM only asks; the second one ends the process, in case it waits for a reader that
/// does not read.
///
/// # Errors
/// When the kernel does not take the handlers.
pub fn catch() -> Result<(), Failure> {
    extern "C" fn ask(_: libc::c_int) {
        ASKED.store(true, Ordering::Relaxed);
    }
    // Without SA_RESTART: whoever waits in a system call learns of it at once.
    let action = SigAction::new(SigHandler::Handler(ask), SaFlags::SA_RESETHAND, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler stores to an atomic and does nothing else, which is allowed at any moment.
        unsafe { sigaction(signal, &action) }.map_err(std::io::Error::from)?;
    }
    Ok(())
}

/// Whether somebody has asked.
#[must_use]
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Waits so long, or until somebody asks.
pub fn wait(time: Duration) {
    /// The signal may go to another thread, or come just before the sleep.
    const STEP: Duration = Duration::from_millis(100);
    let end = Instant::now() + time;
    while !asked() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(STEP));
    }
}
