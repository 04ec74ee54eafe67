//! `enforcer simulate`: judges the packets of a capture file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use enforcer_common::{Direction, Reason, Verdict};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde::Serialize;

use crate::cli::args::estate::whole_estate;
use crate::cli::args::policy::PolicyArgs;
use crate::cli::output::{Format, Output};
use crate::cli::print::table::{print, table};
use crate::failure::Failure;
use crate::host::trusted::{Pipes, open_named};
use crate::judge::capture::{self, Addresses, End, Packet};
use crate::judge::explain::Known;
use crate::judge::host::Host;
use crate::judge::simulate::{Locals, Origin, Report, Reported, Simulation, Survey};

/// Packets between two looks at the clock of the progress line.
const EVERY: u64 = 1 << 14;
/// Files smaller than this are read before anybody could read a progress line.
const LARGE: u64 = 16 << 20;
/// Groups that are printed; the rest is for JSON.
const SHOWN: usize = 40;

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
    pub(super) capture: PathBuf,
    /// Address of the protected host; may be repeated. Default: taken from the capture, or guessed.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) local: Vec<IpAddr>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
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
        return super::simulate_estate::run(args, &whole, output);
    }
    let policy = args.policy.load()?;
    let compiled = match crate::policy::compile::compile(&policy.site, &policy.catalogue, jiff::Zoned::now().date()) {
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

/// Reads the file, with a line of progress where somebody sees it.
pub(super) fn read(
    path: &Path,
    pipes: Pipes,
    doing: &str,
    output: &mut Output<'_>,
    mut each: impl FnMut(&Packet<'_>),
) -> Result<(End, Addresses), Failure> {
    let open = || -> anyhow::Result<(File, u64)> {
        let file = open_named(path, pipes)?;
        let meta = file.metadata()?;
        if meta.is_file() {
            return Ok((file, meta.len()));
        }
        // Whoever gives a pipe waits for it, as for that of tcpdump(1).
        fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
        Ok((file, u64::MAX))
    };
    let (file, length) = open().map_err(|error| {
        let is_pipe = error.downcast_ref().is_some_and(|error: &std::io::Error| error.kind() == ErrorKind::NotSeekable);
        // It is read twice where the host has to be looked for.
        let hint = if is_pipe { ", or say which addresses are the host's, with `--local ADDRESS`" } else { "" };
        Failure::BadInput(anyhow::anyhow!("cannot open {}: {error}{hint}", path.display()))
    })?;
    // What is written to the file while it is read is not read.
    let file = file.take(length);
    let shows = (LARGE..u64::MAX).contains(&length) && std::io::stderr().is_terminal();
    let read = capture::read(file, |packet| {
        if shows && packet.number.is_multiple_of(EVERY) {
            let percent = (packet.read as u64).saturating_mul(100) / length.max(1);
            // A line that cannot be written is not worth stopping for.
            let _ = write!(output.err, "\r{doing}: {percent}% ({} packets)\x1b[K", packet.number);
        }
        each(packet);
    });
    if shows {
        write!(output.err, "\r\x1b[K")?;
    }
    read.with_context(|| path.display().to_string()).map_err(Failure::BadInput)
}

/// Says where a broken file broke.
pub(super) fn finish(path: &Path, end: &End) -> Result<(), Failure> {
    let path = path.display();
    match end {
        End::Complete => Ok(()),
        End::Truncated { byte, packets } => Err(Failure::BadInput(anyhow::anyhow!(
            "{path} is cut short: the block at byte {byte}, after packet {packets}, is incomplete; the output covers the packets before it"
        ))),
        End::Corrupt { byte, packets, what } => Err(Failure::BadInput(anyhow::anyhow!(
            "{path} is corrupt at byte {byte}, after packet {packets}: {what}; the output covers the packets before it"
        ))),
    }
}

pub(super) fn show(report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
    let of = |verdict| report.groups.iter().filter(move |group: &&Reported| group.verdict == verdict);
    let total = |verdict| of(verdict).map(|group| group.packets).sum::<u64>();
    writeln!(
        output.out,
        "{} in {} s: {} would pass, {} would be refused",
        packets(report.packets),
        report.seconds,
        total(Verdict::Pass),
        total(Verdict::Drop)
    )?;
    unjudged(report, output)?;
    let mut refused =
        table(output.terminal, &["REFUSED", "PACKETS", "REASON", "FROM OR TO", "FIRST", "WHAT WOULD PERMIT IT"]);
    for group in of(Verdict::Drop).take(SHOWN) {
        refused.add_row([
            name(group),
            group.packets.to_string(),
            if group.audited { format!("{} (only counted)", group.reason) } else { group.reason.to_string() },
            remotes(group),
            format!("#{}", group.first),
            permit(group),
        ]);
    }
    let mut passed = table(output.terminal, &["PASSED", "PACKETS", "REASON", "FROM OR TO", "FIRST", "RULE"]);
    for group in of(Verdict::Pass).take(SHOWN) {
        passed.add_row([
            name(group),
            group.packets.to_string(),
            group.reason.to_string(),
            remotes(group),
            format!("#{}", group.first),
            group.rule.clone().unwrap_or_default(),
        ]);
    }
    for (table, verdict) in [(refused, Verdict::Drop), (passed, Verdict::Pass)] {
        if table.row_count() > 0 {
            write!(output.out, "\n{}", print(&table))?;
        }
        let all = of(verdict).count();
        if all > SHOWN {
            writeln!(output.out, "and {} more; `--format json` has all", all - SHOWN)?;
        }
    }
    Ok(())
}

fn unjudged(report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
    let unjudged = &report.unjudged;
    if unjudged.cut > 0 {
        writeln!(
            output.out,
            "{} not judged: the capture cut them too short (use a larger snapshot length: `tcpdump -s 256`)",
            packets(unjudged.cut)
        )?;
    }
    if unjudged.foreign > 0 {
        writeln!(output.out, "{} not judged: between other hosts", packets(unjudged.foreign))?;
    }
    for (number, count) in &unjudged.link_types {
        writeln!(output.out, "{} not judged: link type {number} is not understood", packets(*count))?;
    }
    Ok(())
}

fn packets(number: u64) -> String {
    if number == 1 { "1 packet".to_owned() } else { format!("{number} packets") }
}

fn name(group: &Reported) -> String {
    let direction = if group.direction == Direction::Inbound { "in" } else { "out" };
    format!("{direction} {}", group.service)
}

fn remotes(group: &Reported) -> String {
    let shown: Vec<String> = group.some_remotes.iter().take(2).map(ToString::to_string).collect();
    let more = group.remotes.saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// In one line: the rule that is for others, or entries of the catalogue, or that an `allow` is needed.
fn permit(group: &Reported) -> String {
    let rows: Vec<String> = group
        .candidates
        .iter()
        .take(3)
        .map(|candidate| {
            format!(
                "{} ({} {}:{})",
                candidate.id, candidate.source.document, candidate.source.table, candidate.source.row
            )
        })
        .collect();
    let more =
        if group.candidates.len() > 3 { format!(" and {} more", group.candidates.len() - 3) } else { String::new() };
    match (&group.rule, rows.is_empty(), &group.hint) {
        (Some(rule), ..) if group.reason == Reason::Peer => format!("{rule}, if its peers had the address"),
        (Some(rule), ..) => format!("refused by {rule}"),
        (None, false, _) => format!("{}{more}", rows.join(", ")),
        (None, true, Some(_)) => "an `allow` of the site".to_owned(),
        (None, true, None) if group.reason == Reason::Ethertype => "an `allow` of the site".to_owned(),
        (None, true, None) => "nothing".to_owned(),
    }
}
