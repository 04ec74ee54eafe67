//! The report as one HTML page.

use askama::Template;
use enforcer_common::Direction;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::charts::{self, Chart};
use super::groups::{self, Change, Remark, State};
use super::series::Bars;
use super::{ReasonPart, Report, RulePart, axis, count, short};
use crate::observe::readiness::WouldDrop;
use crate::state::history::DirectionTotals;
use crate::text::escape;

/// Rows that the page's longest tables have at most; JSON has all.
const ROWS: usize = 200;
/// Rows that are shown before the reader asks for more.
const OPEN_ROWS: usize = 15;
/// Charts of modes that are shown before the reader asks for more.
const OPEN_CHARTS: usize = 3;
/// Names of interfaces that are shown before the reader asks for more.
const NAMES: usize = 4;

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    sums: [Sum; 2],
    states: Vec<State<'a>>,
    remarks: Vec<Remark<'a>>,
    audits: Vec<Remark<'a>>,
    /// Charts, as SVG that holds numbers and times alone.
    modes: Vec<(String, Chart)>,
    refused: Vec<(String, Chart)>,
    used: Vec<RulePart>,
    reasons: Vec<ReasonPart>,
    changes: Vec<Change<'a>>,
    zone: TimeZone,
}

/// Packets of a direction on all interfaces.
struct Sum {
    title: &'static str,
    totals: DirectionTotals,
    note: &'static str,
}

impl Report {
    /// As a page.
    ///
    /// # Errors
    /// A chart cannot be drawn.
    pub fn html(&self) -> anyhow::Result<String> {
        let zone = TimeZone::system();
        let mut modes = Vec::new();
        for (names, spans) in groups::spans(&self.interfaces, &self.spans) {
            if let Some(chart) = charts::modes(&spans, self.at, &zone)? {
                modes.push((some_names(&names), chart));
            }
        }
        let page = Page {
            sums: Direction::ALL.map(|direction| self.sum(direction)),
            states: groups::states(&self.interfaces),
            remarks: groups::remarks(&self.interfaces, &zone),
            audits: groups::audits(&self.readiness.audit),
            modes,
            refused: self.refused(&zone)?,
            used: groups::used(&self.rules),
            reasons: groups::reasons(&self.interfaces),
            changes: groups::changes(&self.changes, &zone),
            report: self,
            zone,
        };
        Ok(escape::page(page.render()? + "\n"))
    }

    /// Packets of all interfaces.
    fn sum(&self, direction: Direction) -> Sum {
        let mut totals = DirectionTotals::default();
        for one in &self.interfaces {
            let one = one.totals[direction as usize];
            totals.pass = totals.pass.saturating_add(one.pass);
            totals.drop = totals.drop.saturating_add(one.drop);
            totals.would_drop = totals.would_drop.saturating_add(one.would_drop);
        }
        match direction {
            Direction::Inbound => Sum { title: "Inbound packets", totals, note: "" },
            Direction::Outbound if self.policy.outbound_judged => Sum { title: "Outbound packets", totals, note: "" },
            Direction::Outbound => {
                Sum { title: "Outbound packets", totals, note: "The policy does not judge outbound traffic." }
            }
        }
    }

    /// The charts of refused packets and flows, those of each direction apart.
    fn refused(&self, zone: &TimeZone) -> anyhow::Result<Vec<(String, Chart)>> {
        let mut charts = Vec::new();
        for direction in Direction::ALL {
            let bars = Bars::of(&self.over_time, direction, zone);
            if let Some(chart) = charts::refused(&bars, zone)? {
                charts.push((format!("Refused {} packets", direction.name()), chart));
            }
        }
        for direction in Direction::ALL {
            if let Some(chart) = charts::last_seen(&self.last_seen, direction, self.at, zone)? {
                charts.push((format!("Refused {} flows by the hour of their last packet", direction.name()), chart));
            }
        }
        Ok(charts)
    }
}

/// At most a few names.
fn some_names(names: &[&str]) -> String {
    match names.get(..NAMES) {
        Some(some) if names.len() > NAMES => format!("{} and {} more", some.join(", "), names.len() - NAMES),
        _ => names.join(", "),
    }
}

impl Page<'_> {
    /// A time as people on this host read it.
    fn time(&self, time: &Timestamp) -> String {
        axis::time(*time, &self.zone)
    }

    /// The day of a time.
    fn day(&self, time: &Timestamp) -> String {
        time.to_zoned_datetime(self.zone.clone()).strftime("%Y-%m-%d").to_string()
    }

    /// From when to when; one time, where both are the same for people.
    fn span(&self, (first, last): &(Timestamp, Timestamp)) -> String {
        let (first, last) = (self.time(first), self.time(last));
        if first == last { first } else { format!("{first} to {last}") }
    }

    /// How many rows the page has no room for.
    fn more(&self, rows: usize) -> String {
        match rows.saturating_sub(ROWS) {
            0 => String::new(),
            more => format!("... and {more} more; enforcer report --format json lists all."),
        }
    }

    /// Part of the busiest rule's packets, in hundredths.
    fn share(&self, packets: &u64) -> u64 {
        let most = self.used.first().map_or(1, |rule| rule.packets).max(1);
        (u128::from(*packets) * 100 / u128::from(most)).try_into().unwrap_or(100)
    }
}

/// The rows that are shown at once, and those that the reader can unfold. A few more are shown at once, too.
fn fold<T>(rows: &[T]) -> (&[T], &[T]) {
    let rows = &rows[..rows.len().min(ROWS)];
    if rows.len() <= OPEN_ROWS + 3 { (rows, &[]) } else { rows.split_at(OPEN_ROWS) }
}

/// Packets of a service that were counted in audit, and passed.
fn not_dropped(one: &WouldDrop) -> String {
    count(&one.packets.saturating_sub(one.dropped))
}

/// The parts of a name, between which it may be broken.
fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive([':', '/', '@', '_', '.', '%']).collect()
}

/// Bytes as people read them.
fn bytes(number: &u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut whole = *number;
    while whole >= 10_000 && unit + 1 < UNITS.len() {
        whole /= 1000;
        unit += 1;
    }
    format!("{}\u{a0}{}", count(&whole), UNITS[unit])
}

#[cfg(test)]
mod tests;
