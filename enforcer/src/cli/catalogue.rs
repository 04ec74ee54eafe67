//! `enforcer catalogue`: prints the catalogue as data, and its findings.

use std::io::Write;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use crate::cli::output::{Format, Output};
use crate::cli::print::table::{print, source_rows, table};
use crate::failure::Failure;
use crate::policy::catalogue::{Decision, Finding, FindingKind, Record, export, lint};
use crate::policy::source::{Error, load_catalogue};
use crate::text::diagnostic::count;
use crate::text::escape::verbatim;
use crate::text::nearest::one_of;

/// Export or check the catalogue.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Read the catalogue from this directory instead of the built-in one.
    #[arg(long, value_name = "DIR", global = true)]
    catalogue: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print one record for each port in the documents, with its row.
    #[command(
        after_help = "Examples:\n  enforcer catalogue export --format csv > ports.csv\n  enforcer catalogue export --format json | jq '.[] | select(.doubt)'"
    )]
    Export {
        /// Output format.
        #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
        format: ExportFormat,
    },
    /// List contradictions, collisions, overlaps and doubts, with the decisions about them.
    #[command(after_help = "Exit code 1: there is a finding without a decision.\n\n\
                  Examples:\n  \
                  enforcer catalogue lint\n  \
                  enforcer catalogue lint --kind contradiction")]
    Lint {
        /// List only findings of these kinds.
        #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
        kind: Vec<FindingKind>,
        /// Output format.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExportFormat {
    Json,
    Csv,
}

/// Runs the command.
///
/// # Errors
///
/// The catalogue is wrong, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let catalogue = match load_catalogue(args.catalogue.as_deref()) {
        Ok(catalogue) => catalogue,
        Err(error) => return Err(Error::from(error).into()),
    };
    match &args.command {
        Command::Export { format: ExportFormat::Json } => output.json(&export(&catalogue)),
        Command::Export { format: ExportFormat::Csv } => verbatim(|| csv(&export(&catalogue), output.out)),
        Command::Lint { kind, format } => {
            let mut findings = lint(&catalogue);
            findings.retain(|finding| kind.is_empty() || kind.contains(&finding.kind));
            match format {
                Format::Json => output.json(&findings)?,
                Format::Table => list(&findings, output)?,
            }
            if findings.iter().all(|finding| finding.decision.is_some()) { Ok(()) } else { Err(Failure::Reported) }
        }
    }
}

fn kind(text: &str) -> Result<FindingKind, String> {
    let known = FindingKind::WORDS.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind);
    known.ok_or_else(|| format!("expected {}", one_of(&FindingKind::WORDS.map(|(name, _)| name))))
}

fn list(findings: &[Finding], output: &mut Output<'_>) -> Result<(), Failure> {
    let mut rows = table(output.terminal, &["KIND", "FINDING", "SOURCE", "DECISION"]);
    for finding in findings {
        let services = finding.services.join(", ");
        let text = match (finding.kind, &finding.ports) {
            (FindingKind::Doubt | FindingKind::Protocol, Some(ports)) => format!("{services}, {ports}"),
            (FindingKind::Doubt | FindingKind::Protocol, None) => services,
            _ => finding.message.clone(),
        };
        let decision = match &finding.decision {
            Some(Decision { decision, why, .. }) => format!("{decision} {why}"),
            None => "NEW: no decision yet".to_owned(),
        };
        rows.add_row(vec![finding.kind.to_string(), text, source_rows(&finding.sources), decision]);
    }
    write!(output.out, "{}", print(&rows))?;
    let new = findings.iter().filter(|finding| finding.decision.is_none()).count();
    Ok(writeln!(output.out, "\n{}, {new} of them new", count(findings.len(), "finding"))?)
}

fn csv(records: &[Record], out: &mut dyn Write) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(out);
    let header = [
        "document",
        "table",
        "row",
        "side",
        "protocol",
        "ports",
        "direction",
        "exposure",
        "peers",
        "roles",
        "service",
        "doubt",
    ];
    let failed = |error: csv::Error| Failure::Failed(error.into());
    writer.write_record(header).map_err(failed)?;
    for record in records {
        let row = record.row.to_string();
        let roles = record.roles.join(" ");
        let peers = record.peers.join(" ");
        let side = match record.side {
            crate::policy::catalogue::Side::Listener => "listener",
            crate::policy::catalogue::Side::Remote => "remote",
        };
        let fields: [&str; 12] = [
            &record.document,
            &record.table,
            &row,
            side,
            record.protocol,
            &record.ports,
            record.direction,
            record.exposure,
            &peers,
            &roles,
            &record.service,
            record.doubt.as_deref().unwrap_or_default(),
        ];
        writer.write_record(fields).map_err(failed)?;
    }
    Ok(writer.flush()?)
}
