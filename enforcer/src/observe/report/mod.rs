//! The page about a host: what is in force, what passed and by which row of a document, what was or would be dropped, and whether
//! it may enforce. As one HTML file that needs nothing else, or as JSON.
//!
//! Pure: what is known goes in (`parts`). Names and addresses of the page are other people's text, so the template escapes all of
//! it; the charts hold nothing but numbers and times. What is the same on several interfaces the page says once (`groups`), and it
//! shows no number that is greater than what was counted (`series`).

mod axis;
mod charts;
mod groups;
mod page;
mod parts;
mod series;

use enforcer_common::{Direction, Reason};
use jiff::Timestamp;
use serde::Serialize;

use crate::observe::readiness::Readiness;
use crate::observe::suggest::Suggestions;
use crate::policy::modes::Modes;
use crate::policy::ruleset::SourceRow;
use crate::state::history::{DirectionTotals, Entry};

pub use parts::{Parts, span_parts};

/// Everything on the page.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of enforcer.
    pub version: &'static str,
    /// Name of the host.
    pub host: String,
    /// When this was.
    pub at: Timestamp,
    /// The policy in force.
    pub policy: PolicyPart,
    /// The protected interfaces.
    pub interfaces: Vec<InterfacePart>,
    /// Every rule of every interface.
    pub rules: Vec<RulePart>,
    /// The verdict about enforcing.
    pub readiness: Readiness,
    /// Live connections that enforcement would cut.
    pub cut: Vec<CutPart>,
    /// What would permit the refused flows.
    pub suggestions: Suggestions,
    /// What was in force when.
    pub spans: Vec<SpanPart>,
    /// Changes, the newest first.
    pub changes: Vec<Entry>,
    /// What was counted between two entries of the history.
    pub over_time: Vec<Interval>,
    /// When refused flows were last seen, hour by hour.
    pub last_seen: Vec<LastSeen>,
}

/// The policy in force.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyPart {
    /// Its hash.
    pub hash: String,
    /// Where it came from.
    pub origin: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Rules.
    pub rules: usize,
    /// Whether outbound is judged.
    pub outbound_judged: bool,
}

/// A protected interface.
#[derive(Clone, Debug, Serialize)]
pub struct InterfacePart {
    /// Its name.
    pub interface: String,
    /// Its modes.
    pub modes: Modes,
    /// A deadline that is armed.
    pub deadline: Option<Timestamp>,
    /// How it is attached, inbound and outbound.
    pub attached: [Option<String>; 2],
    /// Since when it counts.
    pub since: Timestamp,
    /// When its policy was applied.
    pub applied: Timestamp,
    /// What the kernel holds is not what was applied.
    pub drift: bool,
    /// What is not as it should be.
    pub problems: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// Packets, inbound and outbound.
    pub totals: [DirectionTotals; 2],
    /// Packets by reason.
    pub reasons: Vec<ReasonPart>,
}

/// Packets of one reason.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonPart {
    /// Its name.
    pub reason: Reason,
    /// In a sentence.
    pub sentence: &'static str,
    /// `inbound` or `outbound`.
    pub direction: Direction,
    /// `pass`, `drop` or `would_drop`.
    pub verdict: &'static str,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A rule and what it matched.
#[derive(Clone, Debug, Serialize)]
pub struct RulePart {
    /// Its interface.
    pub interface: String,
    /// Its id.
    pub id: String,
    /// `inbound` or `outbound`.
    pub direction: Direction,
    /// `deny`, `permit` or `internal`.
    pub action: &'static str,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// When it matched last.
    pub last_hit: Option<Timestamp>,
    /// Since when it is counted.
    pub since: Timestamp,
    /// Rows of the documents.
    pub sources: Vec<SourceRow>,
    /// The same in short.
    pub rows: String,
}

/// A live connection that would be cut.
#[derive(Clone, Debug, Serialize)]
pub struct CutPart {
    /// Protocol and ends.
    pub connection: String,
    /// Whose it is.
    pub process: Option<String>,
    /// Why, and by which rule.
    pub why: String,
}

/// A stretch of time with one pair of modes.
#[derive(Clone, Debug, Serialize)]
pub struct SpanPart {
    /// The interface.
    pub interface: String,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// The modes.
    pub modes: Modes,
    /// Hash of the policy.
    pub policy_hash: Option<String>,
}

/// What was counted between two entries of the history.
#[derive(Clone, Debug, Serialize)]
pub struct Interval {
    /// The interface.
    pub interface: String,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Packets of both directions together.
    pub packets: DirectionTotals,
    /// Packets towards the host.
    pub inbound: DirectionTotals,
    /// Packets from the host.
    pub outbound: DirectionTotals,
}

/// Refused flows that were last seen in an hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct LastSeen {
    /// The hour.
    pub hour: Timestamp,
    /// Flows of both directions together.
    pub flows: usize,
    /// Flows towards the host.
    pub inbound: FlowCounts,
    /// Flows from the host.
    pub outbound: FlowCounts,
}

/// How many flows were dropped, and how many would be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct FlowCounts {
    /// Flows whose packets were dropped.
    pub dropped: usize,
    /// Flows whose packets were counted in audit, and passed.
    pub would_drop: usize,
}

impl Interval {
    /// Packets of a direction.
    const fn of(&self, direction: Direction) -> DirectionTotals {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }
}

impl LastSeen {
    /// Flows of a direction.
    const fn of(&self, direction: Direction) -> FlowCounts {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }
}

/// A number with its thousands apart.
fn count(number: &u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // Narrow, and never where a line breaks.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// The beginning of a hash.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
