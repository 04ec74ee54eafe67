//! A capture file: reading it before somebody's eyes, and what came of it in tables.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::Context as _;
use enforcer_common::{Direction, Reason, Verdict};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::cli::output::Output;
use crate::cli::print::table::{print, table};
use crate::failure::Failure;
use crate::host::trusted::{Pipes, open_named};
use crate::judge::capture::{self, Addresses, End, Packet};
use crate::judge::simulate::{Report, Reported};

/// Packets between two looks at the clock of the progress line.
const EVERY: u64 = 1 << 14;
/// Files smaller than this are read before anybody could read a progress line.
const LARGE: u64 = 16 << 20;
/// Groups that are printed; the rest is for JSON.
const SHOWN: usize = 40;

/// Reads the file, with a line of progress where somebody sees it.
///
/// # Errors
///
/// The file is no capture, or the line cannot be written.
pub fn read(
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
///
/// # Errors
///
/// It is broken.
pub fn finish(path: &Path, end: &End) -> Result<(), Failure> {
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

/// Prints what would pass and what would be refused.
///
/// # Errors
///
/// The output cannot be written.
pub fn show(report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
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
