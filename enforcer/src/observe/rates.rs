//! How fast counters go, from two readings of them.

use std::collections::BTreeMap;
use std::time::Duration;

use enforcer_common::{Direction, Reason};

use crate::dataplane::{Count, InterfaceCounters};

/// Packets and bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Packets a second.
    pub packets: f64,
    /// Bytes a second.
    pub bytes: f64,
}

/// The rates of one interface between two readings.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    rules: BTreeMap<(Direction, String), Rate>,
    reasons: BTreeMap<(Direction, Reason, bool), Rate>,
}

impl Rates {
    /// Between two readings of the same interface, so far apart. A counter that was set to zero meanwhile (its interface was
    /// detached and protected again) has what it shows now.
    #[must_use]
    pub fn between(before: &InterfaceCounters, now: &InterfaceCounters, apart: Duration) -> Self {
        let rules = before.rules.iter().map(|one| ((one.rule.direction, one.rule.id.clone()), one.count));
        let rules: BTreeMap<(Direction, String), Count> = rules.collect();
        let reasons = before.reasons.iter().map(|one| ((one.direction, one.reason, one.would_drop), one.count));
        let reasons: BTreeMap<(Direction, Reason, bool), Count> = reasons.collect();
        let rate = |before: Option<&Count>, now: Count| rate(before.copied().unwrap_or_default(), now, apart);
        Self {
            rules: now
                .rules
                .iter()
                .map(|one| {
                    let key = (one.rule.direction, one.rule.id.clone());
                    let rate = rate(rules.get(&key), one.count);
                    (key, rate)
                })
                .collect(),
            reasons: now
                .reasons
                .iter()
                .map(|one| {
                    let key = (one.direction, one.reason, one.would_drop);
                    (key, rate(reasons.get(&key), one.count))
                })
                .collect(),
        }
    }

    /// Of a rule, by direction and id.
    #[must_use]
    pub fn rule(&self, direction: Direction, id: &str) -> Rate {
        self.rules.get(&(direction, id.to_owned())).copied().unwrap_or_default()
    }

    /// Of a reason.
    #[must_use]
    pub fn reason(&self, direction: Direction, reason: Reason, would_drop: bool) -> Rate {
        self.reasons.get(&(direction, reason, would_drop)).copied().unwrap_or_default()
    }
}

fn rate(before: Count, now: Count, apart: Duration) -> Rate {
    #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
    let per_second = |before: u64, now: u64| {
        let more = now.checked_sub(before).unwrap_or(now) as f64;
        // Two readings at once have no rate.
        if apart.is_zero() { 0.0 } else { more / apart.as_secs_f64() }
    };
    Rate { packets: per_second(before.packets, now.packets), bytes: per_second(before.bytes, now.bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_came_in_the_time_between() {
        let count = |packets| Count { packets, bytes: packets * 100 };
        let seconds = Duration::from_secs;
        assert_eq!(rate(count(10), count(30), seconds(2)), Rate { packets: 10.0, bytes: 1000.0 });
        assert_eq!(rate(count(10), count(4), seconds(2)).packets, 2.0, "the counter began anew");
        assert_eq!(rate(count(10), count(30), Duration::ZERO), Rate::default());
    }
}
