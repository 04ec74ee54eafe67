//! `enforcer counters`: prints passed, dropped and would-drop packets by rule and by reason.

mod listing;
mod show;

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::cli::args::interfaces::{InterfaceArgs, duration};
use crate::cli::output::Output;
use crate::cli::print::interrupt;
use crate::dataplane::{InterfaceCounters, Protected, counters};
use crate::failure::Failure;
use crate::observe::metrics::{Detail, Metrics};
use crate::observe::rates::Rates;
use crate::text::escape::verbatim;

/// Show counters by rule and by reason.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With --watch the counters are printed repeatedly, with packets and bytes a second, until Ctrl-C. \
                  As JSON, each reading is one line. CSV has one line for each rule and for each reason. The \
                  Prometheus text equals the metrics of the agent: fewer than 2000 series on a host with 64 interfaces; \
                  --detail full adds the rules. No label contains an address.\n\n\
                  Examples:\n  \
                  enforcer counters\n  \
                  enforcer counters --all\n  \
                  enforcer counters --watch --interval 2s\n  \
                  enforcer counters --format json | jq '.interfaces[0].verdicts.inbound'\n  \
                  enforcer counters --format prometheus > /var/lib/prometheus/node-exporter/enforcer.prom"
)]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
    /// List rules that never matched too. Formats other than the table always do.
    #[arg(long)]
    all: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Detail of the Prometheus text: `full` adds every rule, and every reason on every interface of a host with many.
    #[arg(long, value_enum, default_value_t)]
    detail: Detail,
    /// Print the counters repeatedly, with rates.
    #[arg(long)]
    watch: bool,
    /// Interval of --watch.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s", requires = "watch")]
    interval: Duration,
    /// Number of readings of --watch; 0 means until Ctrl-C.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "watch", value_parser = crate::text::decimal::argument::<u64>)]
    count: u64,
}

/// How counters are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Format {
    /// Text for people.
    Table,
    /// JSON for programs.
    Json,
    /// CSV for spreadsheets.
    Csv,
    /// For Prometheus.
    Prometheus,
}

/// Runs the command.
///
/// # Errors
/// When the maps cannot be read.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    if args.watch {
        return watch(args, output);
    }
    let interfaces = args.interfaces.protected()?;
    match args.format {
        Format::Json => {
            let counted = read(&interfaces, output)?;
            output.json(&listing::listing(&counted, None))
        }
        Format::Table if interfaces.is_empty() => {
            Ok(writeln!(output.err, "no interface in this network namespace is protected")?)
        }
        Format::Table => read(&interfaces, output)?.iter().try_for_each(|one| show::show(output, one, args.all, None)),
        Format::Csv => {
            let counted = read(&interfaces, output)?;
            verbatim(|| listing::csv(output.out, &counted))
        }
        Format::Prometheus => {
            let text = Metrics::read(&interfaces)?.text(args.detail).map_err(anyhow::Error::from)?;
            Ok(verbatim(|| output.out.write_all(text.as_bytes()))?)
        }
    }
}

fn read(interfaces: &[Protected], output: &mut Output<'_>) -> Result<Vec<InterfaceCounters>, Failure> {
    let counted = interfaces.iter().map(counters).collect::<Result<Vec<_>, _>>()?;
    for one in &counted {
        if let Some(warning) = &one.warning {
            writeln!(output.err, "{}: {warning}", one.interface)?;
        }
    }
    Ok(counted)
}

fn watch(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    if matches!(args.format, Format::Csv | Format::Prometheus) {
        return Err(Failure::BadInput(anyhow::anyhow!(
            "--watch prints a table or JSON lines; Prometheus computes rates by itself"
        )));
    }
    args.interfaces.some_protected()?;
    interrupt::catch()?;
    let mut before: Option<(Instant, Vec<InterfaceCounters>)> = None;
    let mut round = 0;
    loop {
        // Anew each time: a policy may be applied meanwhile.
        let now = (Instant::now(), read(&args.interfaces.protected()?, output)?);
        if let Some((at, before)) = &before {
            let apart = now.0.duration_since(*at);
            let rates = |one: &InterfaceCounters| {
                let before = before.iter().find(|before| before.interface == one.interface);
                before.map_or_else(Rates::default, |before| Rates::between(before, one, apart))
            };
            let rates: Vec<Rates> = now.1.iter().map(rates).collect();
            print_round(args, output, &now.1, &rates)?;
            round += 1;
            if round == args.count {
                return Ok(());
            }
        }
        before = Some(now);
        interrupt::wait(args.interval);
        if interrupt::asked() {
            return Ok(());
        }
    }
}

fn print_round(
    args: &Args,
    output: &mut Output<'_>,
    counted: &[InterfaceCounters],
    rates: &[Rates],
) -> Result<(), Failure> {
    if args.format == Format::Json {
        let line = serde_json::to_string(&listing::listing(counted, Some((rates, Timestamp::now()))))
            .map_err(std::io::Error::from)?;
        writeln!(output.out, "{line}")?;
        return Ok(output.out.flush()?);
    }
    if output.terminal.width.is_some() {
        // To the upper left corner of an empty screen (ECMA-48: CUP, ED).
        write!(output.out, "\x1b[H\x1b[2J")?;
    }
    for (one, rates) in counted.iter().zip(rates) {
        show::show(output, one, args.all, Some(rates))?;
    }
    Ok(output.out.flush()?)
}
