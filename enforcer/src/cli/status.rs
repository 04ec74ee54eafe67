//! `enforcer status`: shows the active policies, as read from the kernel.

use enforcer_common::{Direction, Mode};
use serde::Serialize;

use super::apply::say_gone;
use crate::cli::args::interfaces::{InterfaceArgs, other_versions};
use crate::cli::output::{Format, Output};
use crate::cli::print::table::table;
use crate::cli::print::usage::Usage;
use crate::dataplane::{InterfaceStatus, Judges, Judging, Pending, Protected, not_judging, status, watch_native};
use crate::failure::Failure;
use crate::policy::modes::Protects;
use crate::protect::judging::GLANCE;
use crate::text::escape::line;

/// Show active policies, modes and problems.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 1: there is a problem; status describes it.\n\n\
                  Where native XDP is attached, status compares for a moment the packets that the interface receives with those \
                  that the program counts. If packets come in and none is counted, nothing is judged, and that is a problem.\n\n\
                  Examples:\n  \
                  enforcer status\n  \
                  enforcer status --format json | jq '.interfaces[].inbound.mode'")]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Serialize)]
struct Listing {
    interfaces: Vec<Listed>,
    /// What all interfaces take together: those of this machine share the flow table and more, which is counted once here.
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<Usage>,
}

#[derive(Serialize)]
struct Listed {
    interface: String,
    pin: String,
    inbound: Option<ListedDirection>,
    outbound: Option<ListedDirection>,
    deadline: Option<String>,
    /// Who is protected: `host` or `guest`.
    protects: Protects,
    /// The slot of the protected host; 0: this machine.
    slot: u32,
    /// Which policy judges: `applied`, `unconfirmed` or `last-confirmed`.
    judges: &'static str,
    /// What judges past the deadline of an unconfirmed change: `last-confirmed` or `audit`, the unconfirmed policy in audit.
    at_deadline: Option<&'static str>,
    /// The policy that was confirmed last, while a change waits or has not been reverted yet.
    last_confirmed: Option<String>,
    policy_hash: String,
    policy: String,
    /// The estate that the policy belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    estate: Option<String>,
    /// The host of the estate.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    rules: usize,
    drift: bool,
    /// Whether the inbound program counts what the interface receives; `null`: too little has come in to tell, or a guest is behind it.
    judging: Option<bool>,
    /// Packets that the interface has received, as its driver counts them.
    received: Option<u64>,
    /// Directions in which enforcement is held against the site file.
    held: Vec<&'static str>,
    problems: Vec<String>,
    notes: Vec<String>,
    since: String,
    applied: String,
    #[serde(flatten)]
    usage: Usage,
}

#[derive(Serialize)]
struct ListedDirection {
    hook: &'static str,
    attach_mode: &'static str,
    mode: Mode,
    pin: String,
}

/// Runs the command.
///
/// # Errors
/// When the pins cannot be read; [`Failure::Reported`] when something is not as it should be.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let interfaces = args.interfaces.protected()?;
    let statuses = look(&interfaces)?;
    let usages = interfaces.iter().map(Usage::of).collect::<Result<Vec<_>, _>>()?;
    let others = other_versions()?;
    let is_well = statuses.iter().all(|one| one.problems.is_empty()) && others.is_empty();
    match args.format {
        Format::Json => {
            let all = Usage::together(&interfaces, &usages);
            output.json(&Listing { interfaces: statuses.iter().zip(usages).map(listed).collect(), all })?;
        }
        Format::Table if statuses.is_empty() && !others.is_empty() => {}
        Format::Table if statuses.is_empty() => {
            writeln!(output.err, "no interface in this network namespace is protected")?;
        }
        Format::Table => print(output, &statuses, &usages, Usage::together(&interfaces, &usages).as_ref())?,
    }
    for other in others {
        writeln!(output.err, "{other}")?;
    }
    say_gone(output)?;
    if is_well { Ok(()) } else { Err(Failure::Reported) }
}

/// The state of these interfaces, after watching native programs for a moment.
pub(super) fn look(interfaces: &[Protected]) -> Result<Vec<InterfaceStatus>, Failure> {
    let mut statuses = interfaces.iter().map(status).collect::<Result<Vec<_>, _>>()?;
    let glanced = watch_native(interfaces, GLANCE, |_| {})?;
    for one in &mut statuses {
        match (glanced.get(&one.record.interface), one.judging) {
            (Some(Judging::No(received)), Judging::Yes | Judging::Unknown) => {
                one.problems.push(not_judging(&one.record, *received));
                one.judging = Judging::No(*received);
            }
            (Some(Judging::Yes), Judging::Unknown) => one.judging = Judging::Yes,
            _ => {}
        }
    }
    Ok(statuses)
}

fn listed((status, usage): (&InterfaceStatus, Usage)) -> Listed {
    let direction = |direction: Direction| {
        status.record.direction(direction).map(|record| ListedDirection {
            hook: record.hook.name(),
            attach_mode: record.attach_mode.name(),
            mode: status.modes.of(direction),
            pin: status.pins.program(direction).display().to_string(),
        })
    };
    Listed {
        interface: status.record.interface.clone(),
        pin: status.pins.program(Direction::Inbound).display().to_string(),
        inbound: direction(Direction::Inbound),
        outbound: direction(Direction::Outbound),
        deadline: status.pending.as_ref().filter(|pending| pending.is_armed()).map(|pending| pending.at().to_string()),
        protects: status.record.protects,
        slot: status.record.slot(),
        judges: status.judges.name(),
        at_deadline: status.pending.as_ref().and_then(at_deadline),
        last_confirmed: status.pending.as_ref().and_then(Pending::confirmed_hash).map(str::to_owned),
        policy_hash: status.record.policy_hash.clone(),
        policy: status.origin.clone(),
        estate: status.estate.as_ref().map(|of| of.estate.clone()),
        host: status.estate.as_ref().map(|of| of.host.clone()),
        rules: status.rules,
        drift: status.drift,
        judging: match status.judging {
            Judging::Yes => Some(true),
            Judging::No(_) => Some(false),
            Judging::Unknown => None,
        },
        received: status.received,
        held: status.held.iter().map(|direction| direction.name()).collect(),
        problems: status.problems.clone(),
        notes: status.notes.clone(),
        since: status.record.since.to_string(),
        applied: status.record.applied.to_string(),
        usage,
    }
}

/// What judges past the deadline of a change that waits; `None`: none waits, or only its modes are unconfirmed.
fn at_deadline(pending: &Pending) -> Option<&'static str> {
    if !pending.is_armed() || !pending.is_of_unconfirmed() {
        return None;
    }
    Some(if pending.is_dispatched() { "last-confirmed" } else { "audit" })
}

fn print(
    output: &mut Output<'_>,
    statuses: &[InterfaceStatus],
    usages: &[Usage],
    all: Option<&Usage>,
) -> Result<(), Failure> {
    let mut rows =
        table(output.terminal, &["INTERFACE", "DIRECTION", "MODE", "HOOK", "PASSED", "DROPPED", "WOULD DROP"]);
    for status in statuses {
        for direction in Direction::ALL {
            let Some(record) = status.record.direction(direction) else { continue };
            let totals = status.verdicts[direction as usize];
            rows.add_row([
                status.record.interface.clone(),
                direction.name().to_owned(),
                status.modes.of(direction).name().to_owned(),
                format!("{} ({})", record.hook.name(), record.attach_mode.name()),
                totals.pass.packets.to_string(),
                totals.drop.packets.to_string(),
                totals.would_drop.packets.to_string(),
            ]);
        }
    }
    writeln!(output.out, "{}", crate::cli::print::table::print(&rows))?;
    for (status, usage) in statuses.iter().zip(usages) {
        let InterfaceStatus { record, origin, estate, rules, problems, notes, judges, .. } = status;
        let host = estate.as_ref().map(|of| format!(" (host {} of the estate {})", of.host, of.estate));
        writeln!(
            output.out,
            "{}: {rules} rules of {}{}, {}policy {}, protected since {:.0}, applied {:.0}",
            record.interface,
            line(origin),
            line(&host.unwrap_or_default()),
            match judges {
                Judges::Applied => "",
                Judges::Unconfirmed => "unconfirmed ",
                Judges::LastConfirmed => "last confirmed ",
            },
            record.policy_hash.get(..16).unwrap_or(&record.policy_hash),
            record.since,
            record.applied
        )?;
        if record.protects == Protects::Guest {
            writeln!(output.out, "{}: guest in slot {}, {}", record.interface, record.slot(), usage.flows_line())?;
        }
        for note in notes {
            writeln!(output.out, "{}: {note}", record.interface)?;
        }
        for problem in problems {
            writeln!(output.err, "{}: PROBLEM: {problem}", record.interface)?;
        }
    }
    let of_this_machine = statuses.iter().zip(usages).find(|(status, _)| status.record.protects == Protects::Host);
    if let Some((_, usage)) = of_this_machine {
        writeln!(output.out, "{}", usage.flows_line())?;
    }
    if let Some(all) = all {
        writeln!(output.out, "{}", all.memory_line())?;
    }
    Ok(())
}
