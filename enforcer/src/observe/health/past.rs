//! The rate of refused packets now, and what was usual before, from the samples of the history.

use jiff::{SignedDuration, Timestamp};

use crate::state::history::{Entry, Totals};

/// How far back a host's own past counts.
const PAST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A shorter window says nothing about a rate.
const SHORTEST: SignedDuration = SignedDuration::from_mins(5);
/// With fewer windows, nothing is usual yet: the agent makes four in an hour.
const FEWEST: usize = 4;

/// Refused packets a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DeniedRate {
    /// Since the last sample that is at least five minutes old; `None`: there is none.
    pub now: Option<f64>,
    /// What 95 of 100 windows of the last week did not exceed; `None`: the history is too short.
    pub usual: Option<f64>,
}

impl DeniedRate {
    /// The rates of one interface, by the name of its pins. `totals` is what it has counted now.
    #[must_use]
    pub fn of(entries: &[Entry], interface: &str, totals: Totals, now: Timestamp) -> Self {
        let samples: Vec<(Timestamp, Totals)> = entries
            .iter()
            .filter(|entry| entry.interface == interface && entry.at <= now && now.duration_since(entry.at) <= PAST)
            .filter_map(|entry| Some((entry.at, entry.totals?)))
            .collect();
        let Some(last) = samples.iter().rposition(|(at, _)| now.duration_since(*at) >= SHORTEST) else {
            return Self::default();
        };
        let mut windows = Vec::new();
        let mut begun = samples[0];
        for sample in &samples[1..=last] {
            if let Some(rate) = rate(begun, *sample) {
                windows.push(rate);
                begun = *sample;
            }
        }
        windows.sort_by(f64::total_cmp);
        let usual = (windows.len() >= FEWEST).then(|| windows[(windows.len() - 1) * 95 / 100]);
        Self { now: rate(samples[last], (now, totals)), usual }
    }

    /// The rates of two interfaces together; a rate that is unknown for one of them stays unknown.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
        Self { now: sum(self.now, other.now), usual: sum(self.usual, other.usual) }
    }
}

/// Refused packets a second between two samples; `None`: they are too close to each other.
fn rate(from: (Timestamp, Totals), to: (Timestamp, Totals)) -> Option<f64> {
    let apart = to.0.duration_since(from.0);
    if apart < SHORTEST {
        return None;
    }
    let inbound = to.1.inbound.since(from.1.inbound);
    let outbound = to.1.outbound.since(from.1.outbound);
    let refused = [inbound.drop, inbound.would_drop, outbound.drop, outbound.would_drop];
    #[expect(clippy::cast_precision_loss, reason = "a rate is rounded anyway")]
    let refused = refused.into_iter().fold(0_u64, u64::saturating_add) as f64;
    Some(refused / apart.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::history::{DirectionTotals, Event};

    fn entry(minute: i64, drop: u64) -> Entry {
        Entry {
            at: at(minute),
            event: Event::Sample,
            interface: "eth0".to_owned(),
            boot: "b".to_owned(),
            modes: None,
            until: None,
            policy_hash: None,
            totals: Some(totals(drop)),
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    fn totals(drop: u64) -> Totals {
        Totals { inbound: DirectionTotals { pass: 0, drop, would_drop: 0 }, outbound: DirectionTotals::default() }
    }

    #[test]
    fn the_rate_now_stands_beside_the_usual_rate_of_the_same_host() {
        // One refused packet a second for two hours, then a hundred a second for ten minutes.
        let past: Vec<Entry> =
            (0..=8).map(|quarter| entry(15 * quarter, 900 * u64::try_from(quarter).unwrap())).collect();
        let found = DeniedRate::of(&past, "eth0", totals(7200 + 60_000), at(130));
        assert_eq!(found, DeniedRate { now: Some(100.0), usual: Some(1.0) });
        assert_eq!(DeniedRate::of(&past, "eth1", totals(0), at(130)), DeniedRate::default(), "another interface");
    }

    #[test]
    fn a_short_history_is_no_past() {
        let past = [entry(0, 0), entry(15, 900)];
        assert_eq!(DeniedRate::of(&past, "eth0", totals(1200), at(20)), DeniedRate { now: Some(1.0), usual: None });
        assert_eq!(DeniedRate::of(&past[1..], "eth0", totals(1200), at(16)), DeniedRate::default(), "too short");
        assert_eq!(DeniedRate::of(&[], "eth0", totals(1200), at(16)), DeniedRate::default());
    }

    #[test]
    fn what_is_older_than_a_week_does_not_count() {
        let past = [entry(0, 0), entry(15, 900), entry(30, 1800), entry(45, 2700), entry(60, 3600)];
        let week = 7 * 24 * 60;
        assert_eq!(DeniedRate::of(&past, "eth0", totals(3600), at(60)).usual, None, "the last is no past yet");
        assert_eq!(DeniedRate::of(&past, "eth0", totals(3600), at(65)).usual, Some(1.0));
        assert_eq!(DeniedRate::of(&past, "eth0", totals(3600), at(60 + week)).usual, None);
    }

    #[test]
    fn counters_that_began_anew_make_no_flood() {
        let past = [entry(0, 500_000), entry(15, 0), entry(30, 900)];
        let found = DeniedRate::of(&past, "eth0", totals(900), at(45));
        assert_eq!(found.now, Some(0.0));
    }
}
