//! `enforcer simulate`: judges the packets of a capture file.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::args::estate::whole_estate;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::{Format, Output};
use crate::cli::print::capture::{finish, read, show};
use crate::failure::Failure;
use crate::host::trusted::Pipes;
use crate::judge::capture::End;
use crate::judge::explain::Known;
use crate::judge::host::Host;
use crate::judge::simulate::{Locals, Origin, Report, Simulation, Survey};

/// Judge the packets of a capture file.
///
/// Prints the refused packets with the changes that would permit them, then the packets that pass. Reads pcap and pcapng with Ethernet, Linux cooked or raw IP
/// frames. Needs no privileges. Of an estate, judges a capture from a mirror port for each host in it.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = "Conversations that began before the capture have no flow, so their first replies may appear as \
                  refused.\n\n\
                  Exit code 2: the file is no capture, is cut short or is corrupt. The readable part is printed.\n\n\
                  Examples:\n  \
                  enforcer simulate site.yaml monday.pcapng\n  \
                  enforcer simulate site.yaml span.pcap --local 10.1.1.10 --local 2001:db8::10\n  \
                  enforcer simulate --role finesse monday.pcapng --format json"
)]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Capture file.
    capture: PathBuf,
    /// Address of the protected host; may be repeated. Default: taken from the capture, or guessed.
    #[arg(long, value_name = "ADDRESS")]
    local: Vec<IpAddr>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// The output as JSON.
#[derive(Serialize)]
struct Listing<'a> {
    local: &'a BTreeSet<IpAddr>,
    complete: bool,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs the command.
///
/// # Errors
///
/// The policy or the capture is wrong, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    if let Some(whole) = whole_estate(&args.policy)? {
        return super::simulate_estate::run(&args.capture, &args.local, args.format, &whole, output);
    }
    let policy = args.policy.load()?;
    let compiled =
        match crate::policy::compile::compile(&policy.site, &policy.catalogue, jiff::ZonedDateTime::now().date()) {
            Ok(compiled) => compiled,
            Err(error) => return Err(crate::policy::source::Error::from(error).into()),
        };
    let locals = locals(args, output)?;
    let pipes = if args.local.is_empty() { Pipes::Refused } else { Pipes::Allowed };
    let host = Host::with_addresses(locals.addresses.iter().copied());
    let known = Known { site: &policy.site, catalogue: &policy.catalogue, ruleset: &compiled.ruleset };
    let mut simulation = Simulation::new(known, &host);
    let (end, _) = read(&args.capture, pipes, "judging", output, |packet| simulation.packet(packet))?;
    let report = simulation.report();
    match args.format {
        Format::Json => {
            let complete = end == End::Complete;
            output.json(&Listing { local: &locals.addresses, complete, report: &report })?;
        }
        Format::Table => show(&report, output)?,
    }
    finish(&args.capture, &end)
}

/// The host's addresses: named, or looked for in a first reading of the file.
fn locals(args: &Args, output: &mut Output<'_>) -> Result<Locals, Failure> {
    if !args.local.is_empty() {
        let addresses = args.local.iter().copied().collect();
        return Ok(Locals { addresses, origin: Origin::Named, share: None });
    }
    let mut survey = Survey::default();
    let look = read(&args.capture, Pipes::Refused, "looking for the host", output, |packet| survey.packet(packet));
    let (_, interface) = look?;
    let Some(locals) = survey.locals(&interface) else {
        return Err(Failure::BadInput(anyhow::anyhow!(
            "no address occurs in most packets of {}, so the protected host cannot be guessed; name it with `--local ADDRESS`",
            args.capture.display()
        )));
    };
    let list = locals.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match (locals.origin, locals.share) {
        (Origin::Guess, Some((with, all))) => writeln!(
            output.err,
            "note: assuming {list} as the protected host, because it occurs in {with} of {all} packets; `--local ADDRESS` overrides this"
        )?,
        (Origin::Interface, _) => writeln!(output.err, "note: according to the capture, its interface has {list}")?,
        (Origin::Direction, _) => {
            writeln!(output.err, "note: according to the capture, packets from {list} left the host")?;
        }
        (Origin::Named | Origin::Guess, _) => {}
    }
    Ok(locals)
}
