//! `enforcer report`: writes a page about the active policy and its traffic.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::ValueEnum;

use super::readiness::ThresholdArgs;
use crate::cli::args::evidence::Evidence;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::file::replace;
use crate::cli::output::Output;
use crate::cli::print::table::source_rows;
use crate::failure::Failure;
use crate::observe::report::{CutPart, Parts, PolicyPart, Report, span_parts};
use crate::state::history::{Entry, Event, spans, this_boot};
use crate::text::escape::{line, verbatim};

/// Write a report page about this host.
///
/// The page shows modes and their history, traffic by rule and document row, refused traffic, permitted services without traffic, drift, and
/// readiness.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page is self-contained: it needs no network and has no scripts. It has a light and a dark \
                  theme, and can be printed. It contains addresses and ports of this host, so treat it as \
                  confidential.\n\n\
                  Examples:\n  \
                  enforcer report -o report.html\n  \
                  enforcer report -o - > report.html\n  \
                  enforcer report --format json | jq '.readiness.ready'"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Output file; `-` is standard output. An existing file is replaced atomically.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    thresholds: ThresholdArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    format: ReportFormat,
}

/// Format of a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum ReportFormat {
    /// A page.
    Html,
    /// JSON for programs.
    Json,
}

/// Runs the command.
///
/// # Errors
/// When nothing is protected, or the file cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let file = args.output.as_deref().filter(|path| path.as_os_str() != "-");
    if args.output.is_none() && args.format == ReportFormat::Html && io::stdout().is_terminal() {
        return Err(Failure::BadInput(anyhow::anyhow!(
            "the report is an HTML page; write it to a file: `enforcer report -o report.html`"
        )));
    }
    let report = report(args, output)?;
    let text = match args.format {
        ReportFormat::Html => report.html()?,
        ReportFormat::Json => serde_json::to_string_pretty(&report).map_err(io::Error::from)? + "\n",
    };
    let Some(file) = file else { return Ok(verbatim(|| output.out.write_all(text.as_bytes()))?) };
    replace(file, text.as_bytes()).map_err(|error| anyhow::anyhow!("cannot write {}: {error}", file.display()))?;
    Ok(writeln!(output.err, "{} written, {} bytes", line(&file.to_string_lossy()), text.len())?)
}

fn report(args: &Args, output: &mut Output<'_>) -> Result<Report, Failure> {
    let evidence = Evidence::look(&args.policy, output)?;
    let readiness = evidence.judge(args.thresholds.into());
    let hash = evidence.policy_hash().to_owned();
    let Evidence { whole, protected, interfaces, denied, suggestions, cut, history, at } = evidence;
    let parts = Parts { interfaces: &interfaces, history: &history.entries, denied: &denied.flows };
    let boot = this_boot();
    let of = |one: &crate::dataplane::Protected| {
        span_parts(&one.interface, spans(&history.entries, one.pins.name(), &boot, at))
    };
    // The history knows interfaces by the names of their pins, people by their own.
    let change = |entry: &Entry| {
        let one = protected.iter().find(|one| one.pins.name() == entry.interface)?;
        (entry.event != Event::Sample).then(|| Entry { interface: one.interface.clone(), ..entry.clone() })
    };
    let changes: Vec<Entry> = history.entries.iter().rev().filter_map(change).collect();
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        host: nix::unistd::gethostname()
            .map_or_else(|_| "this host".to_owned(), |name| name.to_string_lossy().into_owned()),
        at,
        policy: PolicyPart {
            hash,
            origin: interfaces.first().map(|one| one.status.origin.clone()).unwrap_or_default(),
            roles: whole.site.roles.iter().map(|role| role.role.clone()).collect(),
            rules: interfaces.first().map_or(0, |one| one.status.rules),
            outbound_judged: whole.ruleset.settings.outbound_judged,
        },
        interfaces: parts.interfaces(),
        rules: parts.rules(source_rows),
        readiness,
        cut: cut
            .into_iter()
            .map(|one| CutPart {
                connection: format!("{} {} - {}", one.protocol, one.local, one.remote),
                process: one.process,
                why: one.rule.map_or_else(|| one.reason.to_string(), |rule| format!("{} ({rule})", one.reason)),
            })
            .collect(),
        suggestions,
        spans: protected.iter().flat_map(of).collect(),
        changes,
        over_time: parts.over_time(at),
        last_seen: parts.last_seen(at),
    })
}
