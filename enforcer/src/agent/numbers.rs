//! How the agent itself fares, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Numbers that the agent writes and the metrics read.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Numbers>>);

/// What is counted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Numbers {
    /// The site file as it stands is in force.
    pub(super) is_site_in_force: bool,
    /// Changes of policy that came into force.
    pub(super) reloads: u64,
    /// Changes that did not: the file was wrong, or the kernel or our own safety refused it.
    pub(super) reload_failures: u64,
    /// When the last one came into force.
    pub(super) last_reload: Option<Timestamp>,
    /// Interfaces that were put back to what was applied.
    pub(super) repairs: u64,
    /// Interfaces that should be protected, and are not.
    pub(super) unprotected: u64,
    /// Interfaces that are protected.
    pub(super) protected: u64,
    /// Interfaces on which enforcement is held against the site file.
    pub(super) held: u64,
    /// Interfaces that receive packets of which the program counts none.
    pub(super) blind: u64,
    /// Times that an interface went over from native XDP to tc, because the driver did not run the program.
    pub(super) left_native: u64,
}

impl Shared {
    /// The numbers.
    pub(super) fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // A thread that panicked in between has left numbers, and nothing that depends on them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbers {
    /// As metrics.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, kind: &str, help: &str, value: u64| {
            // Writing into memory does not fail.
            let _ = writeln!(
                text,
                "# HELP enforcer_agent_{name} {help}\n# TYPE enforcer_agent_{name} {kind}\nenforcer_agent_{name} {value}"
            );
        };
        let is_in_force = u64::from(self.is_site_in_force);
        add(
            "site_in_force",
            "gauge",
            "1: the site file as it stands is in force; 0: an earlier policy is.",
            is_in_force,
        );
        add("reloads_total", "counter", "Changes of policy that came into force.", self.reloads);
        add("reload_failures_total", "counter", "Changes of policy that were refused.", self.reload_failures);
        let last = self.last_reload.and_then(|at| u64::try_from(at.as_second()).ok()).unwrap_or_default();
        add("last_reload_timestamp_seconds", "gauge", "When the policy in force came into force; 0: not yet.", last);
        add("repairs_total", "counter", "Interfaces on which something was put back.", self.repairs);
        add("interfaces_protected", "gauge", "Interfaces that are protected.", self.protected);
        add("interfaces_unprotected", "gauge", "Interfaces that should be protected and are not.", self.unprotected);
        let help = "Interfaces that enforce although the site file says audit: nobody has asked to end enforcement.";
        add("mode_held", "gauge", help, self.held);
        let help = "Interfaces that receive packets of which the inbound program counts none: nothing is judged there.";
        add("interfaces_not_judging", "gauge", help, self.blind);
        let help = "Times that an interface left native XDP for tc, because its driver did not run the program.";
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
