//! Sets of ports: ascending ranges that do not touch.

use std::ops::RangeInclusive;

use crate::policy::catalogue::merge_ranges;

/// A set of ports.
pub(super) type Ports = Vec<RangeInclusive<u16>>;

/// The ports of one set that are not in another.
pub(super) fn without(ports: &[RangeInclusive<u16>], holes: &[RangeInclusive<u16>]) -> Ports {
    let mut left = Vec::new();
    for range in ports {
        let mut next = Some(*range.start());
        for hole in holes.iter().filter(|hole| hole.end() >= range.start() && hole.start() <= range.end()) {
            let Some(start) = next else { break };
            if *hole.start() > start {
                left.push(start..=*hole.start() - 1);
            }
            next = hole.end().checked_add(1).filter(|after| after <= range.end());
        }
        left.extend(next.map(|start| start..=*range.end()));
    }
    left
}

/// The ports that are in both sets.
pub(super) fn common(one: &[RangeInclusive<u16>], other: &[RangeInclusive<u16>]) -> Ports {
    let both = one.iter().flat_map(|a| {
        other.iter().filter_map(move |b| {
            let (start, end) = (*a.start().max(b.start()), *a.end().min(b.end()));
            (start <= end).then_some(start..=end)
        })
    });
    merge_ranges(both.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_ports_are_subtracted_and_compared() {
        assert_eq!(without(&[1..=10], &[3..=4, 10..=12]), [1..=2, 5..=9]);
        assert_eq!(without(&[1..=10], &[0..=65535]), []);
        assert_eq!(without(&[1..=10, 20..=30], &[]), [1..=10, 20..=30]);
        assert_eq!(without(&[0..=65535], &[65535..=65535]), [0..=65534]);
        assert_eq!(common(&[1..=10, 20..=30], &[5..=25]), [5..=10, 20..=25]);
        assert_eq!(common(&[1..=2], &[3..=4]), []);
    }
}
