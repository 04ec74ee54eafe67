//! `enforcer events --bpf-log`: what the programs write about what they judge.

use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use enforcer_common::{Direction, Reason};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::args::interfaces::InterfaceArgs;
use crate::cli::output::Output;
use crate::cli::print::interrupt;
use crate::dataplane::{LogLine, LogStream};
use crate::failure::Failure;
use crate::observe::events::{Format, write_json};

/// How often the programs in force are looked for anew.
const ROUND: Duration = Duration::from_secs(1);
/// How long a line may wait to be printed together with others.
const STEP: Duration = Duration::from_millis(100);

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'a> {
    /// A packet was judged.
    Judged {
        time: String,
        interface: &'a str,
        direction: Direction,
        verdict: &'static str,
        reason: Reason,
        rule: Option<&'a str>,
        bytes: u32,
    },
}

/// Prints lines until interrupted, or so many of them (0: no limit).
pub(super) fn run(
    interfaces: &InterfaceArgs,
    count: u64,
    format: Format,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    interrupt::catch()?;
    let mut stream = LogStream::open(&interfaces.some_protected()?)?;
    let mut out = BufWriter::with_capacity(1 << 16, &mut output.out);
    let (mut shown, mut looked) = (0, Instant::now());
    while !interrupt::asked() {
        if let Some(line) = stream.next_line(STEP) {
            write_line(format, &line, &mut out)?;
            shown += 1;
            if shown == count {
                break;
            }
        } else {
            out.flush()?;
        }
        if looked.elapsed() >= ROUND {
            out.flush()?;
            stream.follow(&interfaces.some_protected()?)?;
            looked = Instant::now();
        }
    }
    out.flush()?;
    Ok(())
}

/// `2026-11-22T17:29:20Z eth0 in no-rule, would be dropped (54 bytes)`.
fn write_line(format: Format, line: &LogLine, out: &mut impl Write) -> Result<(), Failure> {
    // When it was read: the programs write no time.
    let time = Timestamp::now().to_string();
    let LogLine { interface, direction, outcome, rule, goes_on, bytes } = line;
    let (reason, rule) = (outcome.reason(), rule.as_deref());
    let (verdict, fate) = match (outcome.passes(), goes_on) {
        (true, _) => ("pass", "passed"),
        (false, true) => ("would_drop", "would be dropped"),
        (false, false) => ("drop", "dropped"),
    };
    if format == Format::Json {
        let (direction, bytes) = (*direction, *bytes);
        return write_json(&Line::Judged { time, interface, direction, verdict, reason, rule, bytes }, out);
    }
    let way = match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
    };
    let rule = rule.map(|rule| format!(" {rule}")).unwrap_or_default();
    Ok(writeln!(out, "{time} {interface} {way} {reason}{rule}, {fate} ({bytes} bytes)")?)
}
