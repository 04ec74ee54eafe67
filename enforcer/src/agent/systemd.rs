//! Notifications to systemd (sd_notify(3)): ready, status, watchdog and stopping. Without systemd, nothing is sent.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::text::escape::line;

/// The service manager.
#[derive(Debug)]
pub(super) struct Systemd {
    /// Half of the watchdog interval; `None`: no watchdog is configured.
    every: Option<Duration>,
    last: Instant,
    status: String,
}

impl Systemd {
    /// Reads the watchdog interval from the environment.
    pub(super) fn new() -> Self {
        Self {
            every: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            last: Instant::now(),
            status: String::new(),
        }
    }

    /// The longest time between two notifications of the watchdog.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        const LONG: Duration = Duration::from_secs(3600);
        self.every.map_or(LONG, |every| (self.last + every).saturating_duration_since(now))
    }

    /// Notifies the watchdog. Only the worker thread calls this, so a hung agent sends nothing.
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
            // A line break would start another message to the service manager.
            tell(&[NotifyState::Status(&line(text))]);
        }
    }

    /// Reports that the agent has started and protects the interfaces that exist.
    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// Reports that the agent is stopping.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(what: &[NotifyState<'_>]) {
    // A failed notification must not stop the agent.
    let _ = sd_notify::notify(what);
}
