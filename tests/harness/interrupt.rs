//! Ctrl-C ends a program between two steps, by unwinding, so that everything is taken down in order.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static SEEN: AtomicBool = AtomicBool::new(false);

/// What [`check`] unwinds with.
#[derive(Debug)]
pub struct Interrupted;

/// From here on, SIGINT, SIGTERM and SIGHUP are remembered.
pub fn listen() {
    let action = SigAction::new(SigHandler::Handler(remember), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler stores to an atomic, which is allowed in a signal handler (signal-safety(7)).
        let set = unsafe { sigaction(signal, &action) };
        // A signal that cannot be caught ends the process at once; the next run removes what it left.
        let _ = set;
    }
}

/// Whether one of the signals came.
#[must_use]
pub fn asked() -> bool {
    SEEN.load(Ordering::Relaxed)
}

/// Unwinds if one of the signals came.
///
/// # Panics
/// Then, and with [`Interrupted`].
pub fn check() {
    if asked() {
        std::panic::resume_unwind(Box::new(Interrupted));
    }
}

extern "C" fn remember(_: libc::c_int) {
    SEEN.store(true, Ordering::Relaxed);
}
