//! What the agent tells systemd: that it is ready, how it is, and that it is alive. Without systemd, nobody hears it.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::text::escape::line;

/// The service manager.
#[derive(Debug)]
pub(super) struct Systemd {
    /// Half of the time within which it wants to hear from us.
    every: Option<Duration>,
    last: Instant,
    status: String,
}

impl Systemd {
    /// Looks for what it wants.
    pub(super) fn new() -> Self {
        Self {
            every: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            last: Instant::now(),
            status: String::new(),
        }
    }

    /// How long the agent may work or sleep before it has to be heard of.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        const LONG: Duration = Duration::from_secs(3600);
        self.every.map_or(LONG, |every| (self.last + every).saturating_duration_since(now))
    }

    /// The work that was due is done, by the thread that does all of it: a hung agent sends nothing.
    pub(super) fn alive(&mut self) {
        if self.patience(Instant::now()).is_zero() {
            tell(&[NotifyState::Watchdog]);
            self.last = Instant::now();
        }
    }

    /// The line that `systemctl status` shows.
    pub(super) fn status(&mut self, text: &str) {
        if self.status != text {
            text.clone_into(&mut self.status);
            // A line break in it would begin another message to the manager.
            tell(&[NotifyState::Status(&line(text))]);
        }
    }

    /// Everything that is there is protected.
    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The end.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(what: &[NotifyState<'_>]) {
    // A manager that does not listen is no reason to stop protecting.
    let _ = sd_notify::notify(what);
}
