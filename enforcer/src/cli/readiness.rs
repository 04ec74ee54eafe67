//! `enforcer readiness`: says whether this host is ready to enforce, with evidence.

use enforcer_common::Direction;
use serde::Serialize;

use crate::cli::args::evidence::Evidence;
use crate::cli::args::live::cut_table;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::{Format, Output};
use crate::cli::print::table::{print, source_rows, table};
use crate::failure::Failure;
use crate::observe::readiness::{Readiness, Thresholds, WouldDrop};
use crate::protect::live::moment::CutConnection;

/// Maximum number of groups in a table.
const ROWS: usize = 30;

/// Check whether this host is ready to enforce.
///
/// Prints the evidence: how long and when audit ran, what would be dropped, and which live connections would be cut.
#[derive(Debug, clap::Args)]
#[command(after_help = "A host is ready if all of these conditions hold. The programs and tables are those that were \
                  applied. Audit ran for --min-hours in total, for --min-policy-hours with the active policy, and \
                  for at least four hours on each of --min-weekdays weekdays (local time). At most --max-flows \
                  refused flows remain for which `enforcer suggest` has a change, and at most as many without an \
                  explanation. At most --max-connections live connections would be cut. Scans, ports that a \
                  document keeps for the host itself, and traffic that no site can permit do not count. Time \
                  before the last boot counts only if the history proves it. An interface that already enforces \
                  needs no audit.\n\n\
                  The evidence is about the active policy. With SITE, it is about the interfaces on which that \
                  policy is active; if there is none, this is an error.\n\n\
                  Exit code 0: ready. Exit code 1: not ready.\n\n\
                  Examples:\n  \
                  enforcer readiness\n  \
                  enforcer readiness --min-hours 24 --min-weekdays 1 --max-flows 3\n  \
                  enforcer readiness --format json | jq '.checks[] | select(.met | not)'\n  \
                  enforcer readiness && enforcer mode enforce --confirm-within 5m")]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Conditions for a host to be ready.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Thresholds")]
pub struct ThresholdArgs {
    /// Hours of audit in total.
    #[arg(long, value_name = "N", default_value_t = 168.0, value_parser = hours)]
    min_hours: f64,
    /// Hours of audit with the active policy.
    #[arg(long, value_name = "N", default_value_t = 24.0, value_parser = hours)]
    min_policy_hours: f64,
    /// Weekdays on which audit ran.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=7))]
    min_weekdays: u8,
    /// Maximum number of remaining refused flows.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = crate::text::decimal::argument::<usize>)]
    max_flows: usize,
    /// Maximum number of live connections that would be cut.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = crate::text::decimal::argument::<usize>)]
    max_connections: usize,
}

impl From<ThresholdArgs> for Thresholds {
    fn from(args: ThresholdArgs) -> Self {
        Self {
            hours: args.min_hours,
            policy_hours: args.min_policy_hours,
            weekdays: usize::from(args.min_weekdays),
            flows: args.max_flows,
            connections: args.max_connections,
        }
    }
}

fn hours(text: &str) -> Result<f64, String> {
    if let Some(hint) = crate::text::decimal::leading_zero(text) {
        return Err(hint);
    }
    let hours: f64 = text.parse().map_err(|_| "expected a number of hours".to_owned())?;
    if hours.is_finite() && hours >= 0.0 { Ok(hours) } else { Err("expected a number of hours, 0 or more".to_owned()) }
}

#[derive(Serialize)]
struct Listing<'a> {
    /// The policy that this is about.
    policy_hash: &'a str,
    #[serde(flatten)]
    readiness: &'a Readiness,
    /// Live connections that would be cut.
    cut: &'a [CutConnection],
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Reported`] when the host is not ready.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let evidence = Evidence::look(&args.policy, output)?;
    let readiness = evidence.judge(args.thresholds.into());
    match args.format {
        Format::Json => {
            output.json(&Listing { policy_hash: evidence.policy_hash(), readiness: &readiness, cut: &evidence.cut })?;
        }
        Format::Table => show(&readiness, &evidence, output)?,
    }
    if readiness.ready { Ok(()) } else { Err(Failure::Reported) }
}

fn show(readiness: &Readiness, evidence: &Evidence, output: &mut Output<'_>) -> Result<(), Failure> {
    let mut rows = table(output.terminal, &["CHECK", "MET", "FOUND", "WANTED"]);
    for check in &readiness.checks {
        let met = if check.met { "yes" } else { "NO" };
        rows.add_row([check.name, met, check.found.as_str(), check.wanted.as_str()]);
    }
    writeln!(output.out, "{}", print(&rows))?;
    let mut rows = table(output.terminal, &["INTERFACE", "AUDIT", "THIS POLICY", "SINCE", "RESTARTS", "WEEKDAYS"]);
    for one in &readiness.audit {
        rows.add_row([
            one.interface.clone(),
            format!("{:.1} h", one.hours),
            format!("{:.1} h", one.policy_hours),
            one.first.map_or_else(|| "-".to_owned(), |first| format!("{first:.0}")),
            one.restarts.to_string(),
            one.weekdays.iter().map(|day| &day[..3]).collect::<Vec<_>>().join(" "),
        ]);
    }
    writeln!(output.out, "{}", print(&rows))?;
    if !readiness.would_drop.is_empty() {
        writeln!(output.out, "What would be dropped")?;
        would_drop(&readiness.would_drop, output)?;
    }
    if !evidence.cut.is_empty() {
        writeln!(output.out, "Live connections that would be cut")?;
        writeln!(output.out, "{}", cut_table(&evidence.cut, output.terminal))?;
    }
    if !readiness.unused.is_empty() {
        writeln!(output.out, "Permitted services without traffic (candidates to close)")?;
        let mut rows = table(output.terminal, &["RULE", "DIRECTION", "SINCE", "SOURCE"]);
        for one in readiness.unused.iter().take(ROWS) {
            rows.add_row([
                one.id.clone(),
                one.direction.to_string(),
                format!("{:.0}", one.since),
                source_rows(&one.sources),
            ]);
        }
        writeln!(output.out, "{}", print(&rows))?;
        if readiness.unused.len() > ROWS {
            writeln!(output.out, "... and {} more; --format json lists all\n", readiness.unused.len() - ROWS)?;
        }
    }
    readiness.notes.iter().try_for_each(|note| writeln!(output.err, "{note}"))?;
    let missed: Vec<&str> = readiness.checks.iter().filter(|check| !check.met).map(|check| check.name).collect();
    if readiness.ready {
        Ok(writeln!(output.out, "ready to enforce")?)
    } else {
        Ok(writeln!(output.out, "not ready: {}", missed.join(", "))?)
    }
}

fn would_drop(groups: &[WouldDrop], output: &mut Output<'_>) -> Result<(), Failure> {
    let mut rows = table(
        output.terminal,
        &["PEER", "SERVICE", "PACKETS", "DROPPED", "ADDRESSES", "CLASS", "SUGGESTION, OR WHY NONE"],
    );
    for one in groups.iter().take(ROWS) {
        let way = if one.direction == Direction::Inbound { "in" } else { "out" };
        let addresses = match (one.example, one.addresses) {
            (Some(example), 1) => example.to_string(),
            (Some(example), count) => format!("{count}, like {example}"),
            (None, _) => "-".to_owned(),
        };
        rows.add_row([
            one.peer.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{way} {}", one.service),
            one.packets.to_string(),
            one.dropped.to_string(),
            addresses,
            one.class.to_owned(),
            one.says.clone(),
        ]);
    }
    writeln!(output.out, "{}", print(&rows))?;
    if groups.len() > ROWS {
        writeln!(output.out, "... and {} more; --format json lists all\n", groups.len() - ROWS)?;
    }
    Ok(())
}
