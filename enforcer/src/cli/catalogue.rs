//! `enforcer catalogue`: the catalogue as data, and what is doubtful in it.

use std::io::Write;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::policy_args::{Error, load_catalogue};
use super::{Failure, Output};
use crate::catalogue::{Record, export};

/// Looks at the whole catalogue.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// A catalogue instead of the built-in one.
    #[arg(long, value_name = "DIR", global = true)]
    catalogue: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every printed port with its row: a record for each row, side, protocol and port.
    #[command(
        after_help = "Examples:\n  enforcer catalogue export --format csv > ports.csv\n  enforcer catalogue export --format json | jq '.[] | select(.doubt)'"
    )]
    Export {
        /// How to print.
        #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
        format: ExportFormat,
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
        Err(error) => return Err(Error::from(error).report(output)?),
    };
    match args.command {
        Command::Export { format: ExportFormat::Json } => output.json(&export(&catalogue)),
        Command::Export { format: ExportFormat::Csv } => csv(&export(&catalogue), output.out),
    }
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
            crate::catalogue::Side::Listener => "listener",
            crate::catalogue::Side::Remote => "remote",
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
