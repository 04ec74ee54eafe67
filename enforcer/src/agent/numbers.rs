//! Metrics about the agent itself, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Counters that the worker thread writes and the metrics thread reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Numbers>>);

/// The counters and gauges of the agent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Numbers {
    /// Whether the current site file is applied.
    pub(super) is_site_in_force: bool,
    /// Policy changes that were applied.
    pub(super) reloads: u64,
    /// Policy changes that failed: the file has errors, the kernel refused a program, or a safety check refused the change.
    pub(super) reload_failures: u64,
    /// When the last policy change was applied.
    pub(super) last_reload: Option<Timestamp>,
    /// Repairs: programs or tables of an interface were changed by another process, and applied again.
    pub(super) repairs: u64,
    /// Interfaces that the policy names and that are not protected.
    pub(super) unprotected: u64,
    /// Interfaces that are protected.
    pub(super) protected: u64,
    /// Interfaces that keep enforcing although the site file says audit.
    pub(super) held: u64,
    /// Interfaces that receive packets of which the program counts none.
    pub(super) blind: u64,
    /// Switches from native XDP to tc because the driver did not run the program.
    pub(super) left_native: u64,
}

impl Shared {
    /// Locks the numbers.
    pub(super) fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // A thread that panicked while it held the lock leaves valid numbers.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbers {
    /// Writes the numbers as metrics.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, kind: &str, help: &str, value: u64| {
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "# HELP enforcer_agent_{name} {help}\n# TYPE enforcer_agent_{name} {kind}\nenforcer_agent_{name} {value}"
            );
        };
        let is_in_force = u64::from(self.is_site_in_force);
        add(
            "site_in_force",
            "gauge",
            "1 if the current site file is applied, 0 if an earlier policy is active.",
            is_in_force,
        );
        add("reloads_total", "counter", "Policy changes that were applied.", self.reloads);
        add("reload_failures_total", "counter", "Policy changes that failed.", self.reload_failures);
        let last = self.last_reload.and_then(|at| u64::try_from(at.as_second()).ok()).unwrap_or_default();
        add(
            "last_reload_timestamp_seconds",
            "gauge",
            "When the last policy change was applied; 0 before the first.",
            last,
        );
        add(
            "repairs_total",
            "counter",
            "Repairs of interfaces whose programs or tables were changed by another process.",
            self.repairs,
        );
        add("interfaces_protected", "gauge", "Interfaces that are protected.", self.protected);
        add(
            "interfaces_unprotected",
            "gauge",
            "Interfaces that the policy names and that are not protected.",
            self.unprotected,
        );
        let help = "Interfaces that keep enforcing although the site file says audit, because no command has ended enforcement.";
        add("mode_held", "gauge", help, self.held);
        let help = "Interfaces whose inbound program counts none of the received packets: nothing is judged there.";
        add("interfaces_not_judging", "gauge", help, self.blind);
        let help = "Switches from native XDP to tc because the driver did not run the program.";
        add("left_native_total", "counter", help, self.left_native);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_help_and_its_kind() {
        let shared = Shared::default();
        shared.numbers().reload_failures = 3;
        let text = shared.numbers().text();
        assert!(text.contains("\nenforcer_agent_reload_failures_total 3\n"), "{text}");
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((lines("# HELP"), lines("# TYPE"), lines("enforcer_agent_")), (10, 10, 10));
    }
}
