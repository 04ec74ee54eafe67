//! Lists of port ranges: read, merged, written.

use std::ops::RangeInclusive;

use crate::text::decimal;

/// `N` or `A-B` with A not above B.
pub(super) fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (start, end) = match text.split_once('-') {
        Some((start, end)) => (port_number(start)?, port_number(end)?),
        None => (port_number(text)?, port_number(text)?),
    };
    (start <= end).then_some(start..=end)
}

/// Ports and ranges with commas between them, sorted and merged.
#[must_use]
pub fn parse_ranges(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    text.split(',').map(parse_range).collect::<Option<Vec<_>>>().map(merge_ranges)
}

/// Sorts ranges and joins those that overlap or touch.
pub(crate) fn merge_ranges(mut ranges: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    ranges.sort_by_key(|range| (*range.start(), *range.end()));
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                *last = *last.start()..=(*last.end()).max(*range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// `A-B,C`.
#[must_use]
pub fn format_ranges(ranges: &[RangeInclusive<u16>]) -> String {
    let texts = ranges.iter().map(|range| match (range.start(), range.end()) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}-{end}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

pub(super) fn port_number(text: &str) -> Option<u16> {
    decimal::parse(text.trim())
}
