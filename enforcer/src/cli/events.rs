//! `enforcer events`: prints each refused packet as it arrives.

use std::io::BufWriter;
use std::time::{Duration, Instant};

use super::bpf_log;
use super::denied::FilterArgs;
use crate::cli::args::interfaces::InterfaceArgs;
use crate::cli::output::Output;
use crate::cli::print::interrupt;
use crate::dataplane::{DeniedEvent, EventStream};
use crate::failure::Failure;
use crate::observe::denied::Filter;
use crate::observe::events::{Format, Lines, wait};
use crate::observe::syslog::{Destination, Sender};
use crate::observe::told::Sink;
use crate::text::escape::verbatim;

/// Interval at which the number of suppressed events is printed and the stream is checked.
const ROUND: Duration = Duration::from_secs(1);

/// Print refused packets as they arrive.
///
/// The command runs until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each CPU reports at most 1000 refused packets a second, and counts the rest. The command prints \
                  the number of suppressed events once a second and at the end. A slow reader delays no packet: \
                  the ring holds 16384 events, and the programs count further events as lost. Packets that were \
                  refused before the command began are not shown; --backlog shows those that are still in the \
                  ring, which may be hours old.\n\n\
                  Each event has one reader. While the agent or another `enforcer events` reads them, a second \
                  reader is refused.\n\n\
                  Examples:\n  \
                  enforcer events\n  \
                  enforcer events --reason no-rule --count 10\n  \
                  enforcer events --format json | jq -r 'select(.event == \"denied\") | .remote'\n  \
                  enforcer events --format syslog\n  \
                  enforcer events --to udp://127.0.0.1"
)]
pub struct Args {
    #[command(flatten)]
    interfaces: InterfaceArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Exit after this number of events; 0 means at Ctrl-C.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = crate::text::decimal::argument::<u64>)]
    count: u64,
    /// Start with the events that were already in the ring.
    #[arg(long)]
    backlog: bool,
    /// The default; kept for old scripts.
    #[arg(long, hide = true, conflicts_with = "backlog")]
    new: bool,
    /// Print the log lines of the programs instead of refused packets. The programs must have been loaded with `enforcer apply
    /// --bpf-log LEVEL`.
    #[arg(long, conflicts_with_all = ["direction", "reason", "mode", "port", "new", "backlog"])]
    bpf_log: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Send the events as syslog (RFC 5424) instead of printing them: `udp://HOST[:PORT]`, `tcp://HOST[:PORT]`,
    /// `tls://HOST[:PORT][?ca=FILE][&cert=FILE&key=FILE]`, or as fields of the journal: `journald`. If the receiver cannot be reached, the
    /// command fails; the agent (`enforcer run --events`) tries again.
    #[arg(long, value_name = "URL|journald", value_parser = receiver, conflicts_with_all = ["format", "bpf_log"])]
    to: Option<Destination>,
}

fn receiver(text: &str) -> Result<Destination, String> {
    match Destination::parse(text)? {
        Destination::File(_) => Err("expected udp://HOST, tcp://HOST, tls://HOST or journald".to_owned()),
        found @ (Destination::Server(_) | Destination::Journal) => Ok(found),
    }
}

/// Runs the command.
///
/// # Errors
/// When somebody else reads the events, or they cannot be read.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    if args.bpf_log {
        let mut run = || bpf_log::run(&args.interfaces, args.count, args.format, output);
        return if args.format == Format::Json { verbatim(run) } else { run() };
    }
    let protected = args.interfaces.some_protected()?;
    interrupt::catch()?;
    // As they were protected: an interface may be named by the name that it has now.
    let is_any = args.interfaces.interface.is_empty();
    let names: Vec<String> = protected.iter().filter(|_| !is_any).map(|one| one.interface.clone()).collect();
    let mut stream = EventStream::open(&protected)?;
    let Output { out, err, .. } = output;
    if !args.backlog {
        // No more than the ring holds, or a flood would keep this going.
        let old = (0..1 << 14).take_while(|_| stream.next_event().is_some()).count();
        if old > 0 {
            writeln!(err, "{old} earlier events are left out; --backlog shows them")?;
        }
    }
    let mut told = Told { start: stream.suppressed()?, shown: 0, last: (0, 0), at: Instant::now() };
    let mut sink: Box<dyn Sink + '_> = match &args.to {
        Some(Destination::Server(server)) => connected(Sender::to_server(server)?)?,
        Some(Destination::Journal) => connected(Sender::to_journal())?,
        // Line by line would be a system call each; what is there is written at once.
        Some(Destination::File(_)) | None => {
            Box::new(Lines { format: args.format, out: BufWriter::with_capacity(1 << 16, out) })
        }
    };
    let mut write = || {
        follow(args, &names, &mut stream, &mut told, &mut *sink)?;
        sink.flush()
    };
    if args.format == Format::Text { write() } else { verbatim(write) }?;
    drop(sink);
    let (suppressed, lost) = told.now(&stream).unwrap_or(told.last);
    writeln!(err, "{} events; {suppressed} refused packets suppressed, {lost} events lost meanwhile", told.shown)?;
    Ok(())
}

/// The sender, once it has found its receiver.
fn connected(mut sender: Sender) -> Result<Box<dyn Sink>, Failure> {
    sender.connect()?;
    Ok(Box::new(sender))
}

/// What was told so far.
struct Told {
    /// Suppressed and lost when the command began.
    start: (u64, u64),
    /// Events that were shown.
    shown: u64,
    /// Suppressed and lost since the start, as they were told last.
    last: (u64, u64),
    /// When was looked last.
    at: Instant,
}

impl Told {
    fn now(&self, stream: &EventStream) -> Option<(u64, u64)> {
        let (suppressed, lost) = stream.suppressed().ok()?;
        Some((suppressed.saturating_sub(self.start.0), lost.saturating_sub(self.start.1)))
    }
}

fn follow(
    args: &Args,
    names: &[String],
    stream: &mut EventStream,
    told: &mut Told,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let filter = Filter::from(&args.filter);
    let wanted =
        |event: &DeniedEvent| filter.admits(&event.flow) && (names.is_empty() || names.contains(&event.flow.interface));
    loop {
        while !interrupt::asked() && told.at.elapsed() < ROUND {
            let Some(event) = stream.next_event() else { break };
            if wanted(&event) {
                sink.event(&event)?;
                told.shown += 1;
                if told.shown == args.count {
                    return Ok(());
                }
            }
        }
        sink.flush()?;
        if interrupt::asked() {
            return Ok(());
        }
        if told.at.elapsed() >= ROUND {
            told.at = Instant::now();
            look_after(args, stream, told, sink)?;
        }
        wait(stream)?;
    }
}

/// Tells what was suppressed, and follows the programs to another ring.
fn look_after(args: &Args, stream: &mut EventStream, told: &mut Told, sink: &mut dyn Sink) -> Result<(), Failure> {
    if !stream.is_current() {
        // The last interface was detached; another one may be protected since.
        *stream = EventStream::open(&args.interfaces.some_protected()?)?;
        (told.start, told.last) = (stream.suppressed()?, (0, 0));
    }
    if let Some(now) = told.now(stream)
        && now != told.last
    {
        told.last = now;
        sink.suppressed(now)?;
        sink.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use enforcer_common::Reason;
    use expect_test::{Expect, expect};

    use super::*;
    use crate::dataplane::Asked;
    use crate::dataplane::DeniedFlow;
    use crate::observe::events::write_event;
    use enforcer_common::{Direction, Mode};

    #[test]
    fn an_event_is_a_line() {
        check(
            Format::Text,
            &DeniedEvent::for_tests("eth0"),
            &expect![[r#"
                2026-01-02T03:04:05Z eth0 in tcp [2001:db8::2]:40000 -> [2001:db8::1]:23 no-rule, dropped (74 bytes)
            "#]],
        );
        check(
            Format::Json,
            &DeniedEvent::for_tests("eth0"),
            &expect![[r#"
                {"event":"denied","time":"2026-01-02T03:04:05Z","interface":"eth0","direction":"inbound","reason":"no-rule","mode":"enforce","protocol":"tcp","remote":"2001:db8::2","remote_port":40000,"local":"2001:db8::1","local_port":23,"port":23,"icmp_type":null,"ethertype":null,"bytes":74}
            "#]],
        );
    }

    #[test]
    fn what_leaves_is_shown_the_other_way_round() {
        let mut event = DeniedEvent::for_tests("eth0");
        event.flow.direction = Direction::Outbound;
        event.flow.mode = Mode::Audit;
        event.flow.reason = Reason::NoConnection;
        check(
            Format::Text,
            &event,
            &expect![[r#"
                2026-01-02T03:04:05Z eth0 out tcp [2001:db8::1]:23 -> [2001:db8::2]:40000 no-connection, would be dropped (74 bytes)
            "#]],
        );
    }

    #[test]
    fn a_frame_without_addresses_is_a_line_too() {
        let mut event = DeniedEvent::for_tests("eth0");
        event.flow =
            DeniedFlow { remote: None, local: None, protocol: None, asked: Asked::Ethertype(0x8892), ..event.flow };
        (event.remote_port, event.local_port) = (None, None);
        check(
            Format::Text,
            &event,
            &expect![[r#"
                2026-01-02T03:04:05Z eth0 in ethertype 0x8892 no-rule, dropped (74 bytes)
            "#]],
        );
    }

    fn check(format: Format, event: &DeniedEvent, expected: &Expect) {
        let mut out = Vec::new();
        write_event(format, event, &mut out).unwrap();
        expected.assert_eq(&String::from_utf8(out).unwrap());
    }
}
