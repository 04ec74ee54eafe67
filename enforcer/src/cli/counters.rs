//! `enforcer counters`: what passed, what was dropped, what would have been, by rule and by reason.

use serde::Serialize;

use super::interfaces::{InterfaceArgs, ModeNames, modes_text};
use super::table::{print, source_rows, table};
use super::{Failure, Format, Output};
use crate::dataplane::{Count, InterfaceCounters, VerdictCounts, counters};
use crate::ruleset::SourceRow;

/// Shows the counters of every protected interface.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  enforcer counters\n  enforcer counters --all\n  \
                  enforcer counters --format json | jq '.interfaces[0].verdicts.inbound'")]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
    /// List rules that never matched too (JSON always does).
    #[arg(long)]
    all: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Serialize)]
struct Listing<'a> {
    interfaces: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    interface: &'a str,
    mode: ModeNames,
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
    direction: &'a str,
    packets: u64,
    bytes: u64,
    last_hit: Option<String>,
    since: String,
    source: Option<&'a SourceRow>,
    sources: &'a [SourceRow],
}

#[derive(Serialize)]
struct ListedReason {
    reason: &'static str,
    verdict: &'static str,
    direction: &'static str,
    packets: u64,
    bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// When the maps cannot be read.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let interfaces = args.interfaces.protected()?;
    let counted = interfaces.iter().map(counters).collect::<Result<Vec<_>, _>>()?;
    match args.format {
        Format::Json => output.json(&Listing { interfaces: counted.iter().map(listed).collect() }),
        Format::Table if counted.is_empty() => {
            Ok(writeln!(output.err, "no interface of this network namespace is protected")?)
        }
        Format::Table => counted.iter().try_for_each(|one| show(output, one, args.all)),
    }
}

fn listed(one: &InterfaceCounters) -> Listed<'_> {
    let [inbound, outbound] = one.verdicts.map(totals);
    Listed {
        interface: &one.interface,
        mode: one.modes.into(),
        since: one.since.to_string(),
        verdicts: ListedVerdicts { inbound, outbound },
        rules: one
            .rules
            .iter()
            .map(|counted| ListedRule {
                id: &counted.rule.id,
                direction: &counted.rule.direction,
                packets: counted.count.packets,
                bytes: counted.count.bytes,
                last_hit: counted.last_hit.map(|time| time.to_string()),
                since: counted.rule.since.to_string(),
                source: counted.rule.sources.first(),
                sources: &counted.rule.sources,
            })
            .collect(),
        reasons: one
            .reasons
            .iter()
            .map(|counted| ListedReason {
                reason: counted.reason.name(),
                verdict: verdict(counted.reason, counted.would_drop),
                direction: counted.direction.name(),
                packets: counted.count.packets,
                bytes: counted.count.bytes,
            })
            .collect(),
    }
}

/// A refusal that was let through in audit is told apart from a drop.
const fn verdict(reason: enforcer_common::Reason, would_drop: bool) -> &'static str {
    if would_drop { "would_drop" } else { reason.verdict().name() }
}

fn totals(counts: VerdictCounts) -> ListedTotals {
    let count = |Count { packets, bytes }| ListedCount { packets, bytes };
    ListedTotals { pass: count(counts.pass), drop: count(counts.drop), would_drop: count(counts.would_drop) }
}

fn show(output: &mut Output<'_>, one: &InterfaceCounters, all: bool) -> Result<(), Failure> {
    writeln!(output.out, "{} ({}), counting since {}", one.interface, modes_text(one.modes), one.since)?;
    let mut reasons = table(output.terminal, &["REASON", "DIRECTION", "VERDICT", "PACKETS", "BYTES", "MEANING"]);
    for counted in &one.reasons {
        reasons.add_row([
            counted.reason.name().to_owned(),
            counted.direction.name().to_owned(),
            verdict(counted.reason, counted.would_drop).replace('_', " "),
            counted.count.packets.to_string(),
            counted.count.bytes.to_string(),
            counted.reason.sentence().to_owned(),
        ]);
    }
    if one.reasons.is_empty() {
        writeln!(output.out, "no packet has been seen")?;
    } else {
        writeln!(output.out, "{}", print(&reasons))?;
    }
    let mut rules = table(output.terminal, &["RULE", "DIRECTION", "PACKETS", "BYTES", "LAST", "SOURCE"]);
    let mut silent = 0;
    for counted in &one.rules {
        if counted.count.packets == 0 && !all {
            silent += 1;
            continue;
        }
        rules.add_row([
            counted.rule.id.clone(),
            counted.rule.direction.clone(),
            counted.count.packets.to_string(),
            counted.count.bytes.to_string(),
            counted.last_hit.map_or_else(|| "never".to_owned(), |time| time.to_string()),
            source_rows(&counted.rule.sources),
        ]);
    }
    if rules.row_count() > 0 {
        writeln!(output.out, "{}", print(&rules))?;
    }
    if silent > 0 {
        writeln!(output.out, "{silent} rules never matched; --all lists them")?;
    }
    Ok(())
}
