//! Refused packets over time, in bars of equal width: never more than were counted.

use enforcer_common::Direction;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Interval, axis};

/// Bars that a chart has room for.
const BARS: f64 = 60.0;

/// Packets in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar {
    /// Seconds since 1970.
    pub(super) from: f64,
    /// Seconds since 1970.
    pub(super) to: f64,
    /// Dropped.
    pub(super) dropped: f64,
    /// Counted in audit.
    pub(super) would_drop: f64,
}

/// Refused packets of a direction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bars {
    /// From the first entry of the history until now.
    pub(super) bars: Vec<Bar>,
    /// Width of a bar, in seconds; the first and the last may be narrower.
    pub(super) step: i64,
    /// Dropped in all.
    pub(super) dropped: u64,
    /// Counted in audit in all.
    pub(super) would_drop: u64,
}

impl Bars {
    /// From what was counted between two entries of the history.
    ///
    /// A bar holds packets, not a rate: what was counted in a short time is not what would have been counted in a longer one. Where
    /// the entries are further apart than bars are wide, what was counted between them is spread evenly.
    pub(super) fn of(intervals: &[Interval], direction: Direction, zone: &TimeZone) -> Self {
        let ends = intervals.iter().map(|one| (seconds(one.from), seconds(one.to)));
        let (from, to) =
            ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), one| (from.min(one.0), to.max(one.1)));
        let mut found = Self { bars: Vec::new(), step: 60, dropped: 0, would_drop: 0 };
        if intervals.is_empty() {
            return found;
        }
        found.step = axis::step(to - from, BARS);
        let mut edges = axis::grid(from, to, found.step, zone);
        edges.push(f64::INFINITY);
        for pair in edges.windows(2) {
            let (start, end) = (pair[0].max(from), pair[1].min(to));
            if end > start {
                found.bars.push(Bar { from: start, to: end, dropped: 0.0, would_drop: 0.0 });
            }
        }
        for one in intervals {
            let (start, end, packets) = (seconds(one.from), seconds(one.to), one.of(direction));
            found.dropped += packets.drop;
            found.would_drop += packets.would_drop;
            for bar in &mut found.bars {
                let shared = (end.min(bar.to) - start.max(bar.from)).max(0.0) / (end - start).max(1e-9);
                #[expect(clippy::cast_precision_loss, reason = "a bar is not that exact")]
                let (dropped, would_drop) = (packets.drop as f64 * shared, packets.would_drop as f64 * shared);
                bar.dropped += dropped;
                bar.would_drop += would_drop;
            }
        }
        found
    }

    /// What the bars show, in a sentence.
    pub(super) fn in_words(&self, zone: &TimeZone) -> String {
        let from = self.bars.first().map_or(0.0, |bar| bar.from);
        #[expect(clippy::cast_possible_truncation, reason = "seconds of our time")]
        let from = Timestamp::from_second(from as i64).unwrap_or(Timestamp::UNIX_EPOCH);
        format!(
            "Since {}: {} dropped, {} would be dropped. Each bar holds the packets of {}.",
            axis::time(from, zone),
            super::count(&self.dropped),
            super::count(&self.would_drop),
            axis::name(self.step)
        )
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::history::DirectionTotals;

    const START: i64 = 1_790_000_000;

    fn interval(from: i64, to: i64, drop: u64, would_drop: u64) -> Interval {
        let at = |second: i64| Timestamp::from_second(START + second).unwrap();
        let (inbound, outbound) =
            (DirectionTotals { pass: 7, drop, would_drop }, DirectionTotals { pass: 7, drop: 1, would_drop: 0 });
        Interval { interface: "eth0".to_owned(), from: at(from), to: at(to), packets: inbound, inbound, outbound }
    }

    fn sums(bars: &Bars) -> (f64, f64) {
        let sum = |of: fn(&Bar) -> f64| (bars.bars.iter().map(of).sum::<f64>() * 1000.0).round() / 1000.0;
        (sum(|bar| bar.dropped), sum(|bar| bar.would_drop))
    }

    #[test]
    fn a_short_time_is_not_extrapolated() {
        // 22 packets within 40 seconds are 22, not 1,980 an hour.
        let bars = Bars::of(&[interval(0, 40, 0, 22)], Direction::Inbound, &TimeZone::UTC);
        assert_eq!(sums(&bars), (0.0, 22.0));
        assert!(bars.bars.iter().all(|bar| bar.would_drop <= 22.0), "{bars:?}");
        let words = bars.in_words(&TimeZone::UTC);
        assert!(words.contains("0 dropped, 22 would be dropped") && words.contains("one minute"), "{words}");
    }

    #[test]
    fn the_bars_hold_what_was_counted_however_long_it_took() {
        for (number, width) in [30, 600, 7000, 90_000, 4_000_000, 33_000_000, 400_000_000].into_iter().enumerate() {
            let intervals = [interval(0, width, 10, 100), interval(width, width + 7, 3, 0)];
            let bars = Bars::of(&intervals, Direction::Inbound, &TimeZone::UTC);
            assert_eq!(sums(&bars), (13.0, 100.0), "{number}: {bars:?}");
            assert_eq!((bars.dropped, bars.would_drop), (13, 100));
            assert!(bars.bars.len() <= 62, "{} bars", bars.bars.len());
            let ends = (bars.bars.first().unwrap().from, bars.bars.last().unwrap().to);
            #[expect(clippy::cast_precision_loss, reason = "seconds")]
            let wanted = (START as f64, (START + width + 7) as f64);
            assert_eq!(ends, wanted, "nothing before the first entry, nothing after now");
        }
    }

    #[test]
    fn directions_are_apart() {
        let intervals = [interval(0, 40, 5, 22)];
        assert_eq!(sums(&Bars::of(&intervals, Direction::Inbound, &TimeZone::UTC)), (5.0, 22.0));
        assert_eq!(sums(&Bars::of(&intervals, Direction::Outbound, &TimeZone::UTC)), (1.0, 0.0));
    }
}
