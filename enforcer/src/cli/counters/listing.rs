//! Counters for programs: JSON and CSV.

use std::io::{self, Write};

use enforcer_common::{Direction, Reason};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::print::table::source_rows;
use crate::dataplane::{Count, InterfaceCounters, VerdictCounts};
use crate::failure::Failure;
use crate::observe::rates::{Rate, Rates};
use crate::policy::modes::Modes;
use crate::policy::ruleset::SourceRow;
use crate::state::totals::verdict_name;

/// What is printed as JSON.
#[derive(Serialize)]
pub(super) struct Listing<'a> {
    /// When the rates are of; only with rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    interfaces: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    interface: &'a str,
    mode: Modes,
    since: String,
    verdicts: ListedVerdicts,
    rules: Vec<ListedRule<'a>>,
    reasons: Vec<ListedReason>,
}

#[derive(Serialize)]
struct ListedVerdicts {
    inbound: ListedTotals,
    outbound: ListedTotals,
}

#[derive(Serialize)]
struct ListedTotals {
    pass: ListedCount,
    drop: ListedCount,
    would_drop: ListedCount,
}

#[derive(Serialize)]
struct ListedCount {
    packets: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct ListedRule<'a> {
    id: &'a str,
    direction: Direction,
    packets: u64,
    bytes: u64,
    last_hit: Option<String>,
    since: String,
    source: Option<&'a SourceRow>,
    sources: &'a [SourceRow],
    #[serde(flatten)]
    rate: Option<ListedRate>,
}

#[derive(Serialize)]
struct ListedReason {
    reason: Reason,
    verdict: &'static str,
    direction: Direction,
    packets: u64,
    bytes: u64,
    #[serde(flatten)]
    rate: Option<ListedRate>,
}

#[derive(Serialize)]
struct ListedRate {
    packets_per_second: f64,
    bytes_per_second: f64,
}

impl From<Rate> for ListedRate {
    fn from(Rate { packets, bytes }: Rate) -> Self {
        Self { packets_per_second: packets, bytes_per_second: bytes }
    }
}

/// The JSON of some interfaces, each with its rates where there are any, and when they were taken.
pub(super) fn listing<'a>(counted: &'a [InterfaceCounters], rates: Option<(&[Rates], Timestamp)>) -> Listing<'a> {
    let of = |index: usize| rates.and_then(|(rates, _)| rates.get(index));
    let interfaces = (0..).zip(counted).map(|(index, one)| listed(one, of(index)));
    Listing { time: rates.map(|(_, at)| at.to_string()), interfaces: interfaces.collect() }
}

fn listed<'a>(one: &'a InterfaceCounters, rates: Option<&Rates>) -> Listed<'a> {
    let [inbound, outbound] = one.verdicts.map(totals);
    Listed {
        interface: &one.interface,
        mode: one.modes,
        since: one.since.to_string(),
        verdicts: ListedVerdicts { inbound, outbound },
        rules: one
            .rules
            .iter()
            .map(|counted| ListedRule {
                id: &counted.rule.id,
                direction: counted.rule.direction,
                packets: counted.count.packets,
                bytes: counted.count.bytes,
                last_hit: counted.last_hit.map(|time| time.to_string()),
                since: counted.rule.since.to_string(),
                source: counted.rule.sources.first(),
                sources: &counted.rule.sources,
                rate: rates.map(|rates| rates.rule(counted.rule.direction, &counted.rule.id).into()),
            })
            .collect(),
        reasons: one
            .reasons
            .iter()
            .map(|counted| ListedReason {
                reason: counted.reason,
                verdict: verdict_name(counted.reason, counted.would_drop),
                direction: counted.direction,
                packets: counted.count.packets,
                bytes: counted.count.bytes,
                rate: rates.map(|rates| rates.reason(counted.direction, counted.reason, counted.would_drop).into()),
            })
            .collect(),
    }
}

fn totals(counts: VerdictCounts) -> ListedTotals {
    let count = |Count { packets, bytes }| ListedCount { packets, bytes };
    ListedTotals { pass: count(counts.pass), drop: count(counts.drop), would_drop: count(counts.would_drop) }
}

/// Writes a line for each rule and each reason.
pub(super) fn csv(out: &mut dyn Write, counted: &[InterfaceCounters]) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(out);
    let header =
        ["interface", "kind", "direction", "name", "verdict", "packets", "bytes", "last_hit", "since", "sources"];
    writer.write_record(header).map_err(io::Error::from)?;
    for one in counted {
        for rule in &one.rules {
            let record = [
                one.interface.clone(),
                "rule".to_owned(),
                rule.rule.direction.to_string(),
                rule.rule.id.clone(),
                String::new(),
                rule.count.packets.to_string(),
                rule.count.bytes.to_string(),
                rule.last_hit.map(|time| time.to_string()).unwrap_or_default(),
                rule.rule.since.to_string(),
                source_rows(&rule.rule.sources),
            ];
            writer.write_record(record).map_err(io::Error::from)?;
        }
        for counted in &one.reasons {
            let record = [
                one.interface.clone(),
                "reason".to_owned(),
                counted.direction.name().to_owned(),
                counted.reason.name().to_owned(),
                verdict_name(counted.reason, counted.would_drop).to_owned(),
                counted.count.packets.to_string(),
                counted.count.bytes.to_string(),
                String::new(),
                one.since.to_string(),
                String::new(),
            ];
            writer.write_record(record).map_err(io::Error::from)?;
        }
    }
    Ok(writer.flush()?)
}
