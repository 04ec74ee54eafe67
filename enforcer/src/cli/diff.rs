//! `enforcer diff`: prints the traffic on which two policies differ.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::args::estate::whole;
use crate::cli::output::{Format, Output};
use crate::cli::print::table::{print, table};
use crate::failure::Failure;
use crate::host::trusted::Pipes;
use crate::policy::diff::{Change, Difference, Effect, Judged, Sources, diff};
use crate::policy::ruleset::Ruleset;
use crate::policy::source::{Error, Flags};

/// Compare the traffic that two policies permit.
///
/// Prints the traffic that SECOND permits, only counts, or refuses while FIRST does something else. The comparison covers new conversations; replies
/// follow them. Of two estates, prints which conversations between which hosts become impossible, then which become possible.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 0, whether or not the policies differ.\n\n\
                  Examples:\n  \
                  enforcer diff running.yaml planned.yaml\n  \
                  enforcer diff old/estate.yaml new/estate.yaml\n  \
                  enforcer diff a.yaml b.yaml --format json | jq '.changes[] | select(.change == \"permit\")'")]
pub struct Args {
    /// First site file; `-` reads standard input.
    #[arg(value_hint = clap::ValueHint::FilePath)]
    first: String,
    /// Second site file; `-` reads standard input.
    #[arg(value_hint = clap::ValueHint::FilePath)]
    second: String,
    /// Host of the estates. Default: all hosts where both files are estates, else the host that has an address of this machine.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Read the catalogue from this directory instead of the built-in one.
    #[arg(long, value_name = "DIR")]
    catalogue: Option<PathBuf>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// The output as JSON.
#[derive(Serialize)]
struct Listing<'a> {
    equal: bool,
    #[serde(flatten)]
    difference: &'a Difference,
}

/// Runs the command.
///
/// # Errors
///
/// A policy is wrong, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    if args.first == "-" && args.second == "-" {
        return Err(Failure::BadInput(anyhow::anyhow!("only one of the two site files can be `-` (standard input)")));
    }
    if args.host.is_none() {
        let catalogue = args.catalogue.as_deref();
        if let (Some(first), Some(second)) = (whole(&args.first, catalogue)?, whole(&args.second, catalogue)?) {
            return super::diff_estate::run(&first, &second, args.format, output);
        }
    }
    let first = load(args, &args.first)?;
    let second = load(args, &args.second)?;
    let difference = diff(&first, &second);
    match args.format {
        Format::Json => output.json(&Listing { equal: difference.is_empty(), difference: &difference }),
        Format::Table => show(args, &difference, output),
    }
}

/// Compiles one of the two. Its warnings are for `check`.
fn load(args: &Args, site: &str) -> Result<Ruleset, Failure> {
    let flags = Flags { catalogue: args.catalogue.clone(), ..Flags::default() };
    let compiled = flags.load(Some(site), args.host.as_deref(), Pipes::Allowed).and_then(|policy| {
        crate::policy::compile::compile(&policy.site, &policy.catalogue, jiff::ZonedDateTime::now().date())
            .map_err(Error::from)
    });
    Ok(compiled?.ruleset)
}

fn show(args: &Args, difference: &Difference, output: &mut Output<'_>) -> Result<(), Failure> {
    if difference.is_empty() {
        let [first, second] = [&args.first, &args.second].map(|site| if site == "-" { "<stdin>" } else { site });
        return Ok(writeln!(output.out, "{first} and {second} permit and refuse the same traffic.")?);
    }
    for (effect, title) in
        [(Effect::Permit, "NEWLY PERMITTED"), (Effect::Deny, "NEWLY REFUSED"), (Effect::Count, "NEWLY ONLY COUNTED")]
    {
        for direction in enforcer_common::Direction::ALL {
            let mut table = table(output.terminal, &[title, "PORTS", "REMOTE", "BEFORE", "AFTER"]);
            let changes = difference.changes.iter().filter(|change| change.change == effect);
            for change in changes.filter(|change| change.direction == direction) {
                table.add_row([
                    service(change),
                    ports(change),
                    sources(&change.remote),
                    side(&change.before),
                    side(&change.after),
                ]);
            }
            if table.row_count() > 0 {
                writeln!(output.out, "{}", print(&table))?;
            }
        }
    }
    for change in &difference.settings {
        writeln!(output.out, "`{}` was {}, is {}", change.setting, change.before, change.after)?;
    }
    Ok(())
}

fn service(change: &Change) -> String {
    let direction = if change.direction == enforcer_common::Direction::Inbound { "in" } else { "out" };
    format!("{direction} {}", change.protocol)
}

fn ports(change: &Change) -> String {
    /// More is for JSON.
    const MOST: usize = 12;
    let Some(list) = change.ports.as_deref().or(change.numbers.as_deref()) else { return String::new() };
    let ranges: Vec<&str> = list.split(',').collect();
    let more = if ranges.len() > MOST { format!(" and {} more", ranges.len() - MOST) } else { String::new() };
    format!("{}{more}", ranges[..ranges.len().min(MOST)].join(", "))
}

fn sources(sources: &Sources) -> String {
    /// More is for JSON.
    const MOST: usize = 6;
    let list = |nets: &[ipnet::IpNet]| {
        let shown: Vec<String> = nets.iter().take(MOST).map(short).collect();
        let more = if nets.len() > MOST { format!(" and {} more", nets.len() - MOST) } else { String::new() };
        format!("{}{more}", shown.join(", "))
    };
    let inside = match &sources.prefixes {
        None => "any".to_owned(),
        Some(prefixes) if prefixes.iter().filter(|net| net.prefix_len() == 0).count() == 2 => {
            let others: Vec<ipnet::IpNet> = prefixes.iter().copied().filter(|net| net.prefix_len() > 0).collect();
            if others.is_empty() { "any".to_owned() } else { format!("any, {}", list(&others)) }
        }
        Some(prefixes) => list(prefixes),
    };
    if sources.except.is_empty() { inside } else { format!("{inside} except {}", list(&sources.except)) }
}

fn short(net: &ipnet::IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn side(judged: &Judged) -> String {
    let effect = match judged.effect {
        Effect::Permit => "permit",
        Effect::Count => "count",
        Effect::Deny => "deny",
    };
    let source =
        judged.source.as_ref().map_or_else(String::new, |row| format!(" ({} {}:{})", row.document, row.table, row.row));
    judged.rule.as_ref().map_or_else(|| effect.to_owned(), |rule| format!("{effect} {rule}{source}"))
}
