//! The programs' own lines about what they judge, for the diagnosis of the programs themselves. They write them into a ring of
//! their interface, and only if they were loaded so; else the verifier has removed what would.

use std::fmt::Arguments;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use aya_log::EbpfLogger;
use enforcer_common::Direction;
use enforcer_common::outcome::Outcome;
use log::{Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::programs::program_id;
use crate::dataplane::pin::protected::{Protected, policy};
use crate::dataplane::pin::record::RecordedRule;
use crate::dataplane::plan::BpfLog;

/// Lines that wait for whoever prints them; more wait in the ring, and what finds that full is lost.
const WAITING: usize = 4096;

/// A line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// Name of the interface.
    pub interface: String,
    /// Direction of the packet.
    pub direction: Direction,
    /// The outcome of the judgement.
    pub outcome: Outcome,
    /// Id of the deciding rule; `None`: no rule decided.
    pub rule: Option<String>,
    /// Whether the packet was let through.
    pub goes_on: bool,
    /// Length of the frame.
    pub bytes: u32,
}

/// The lines of some interfaces, as they come.
pub struct LogStream {
    sender: SyncSender<LogLine>,
    lines: Receiver<LogLine>,
    readers: Vec<Reader>,
}

/// A thread that reads a ring: its library goes on reading for as long as lines come.
struct Reader {
    program: u32,
    ends: Arc<AtomicBool>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

impl LogStream {
    /// Begins to read what the programs of these interfaces write.
    ///
    /// # Errors
    /// When none of them was loaded so that it writes, or a ring cannot be opened.
    pub fn open(protected: &[Protected]) -> Result<Self, DataplaneError> {
        let (sender, lines) = sync_channel(WAITING);
        let mut stream = Self { sender, lines, readers: Vec::new() };
        stream.follow(protected)?;
        if stream.readers.is_empty() {
            return Err(DataplaneError::NotProtected(
                "the programs in force write no log lines; `enforcer apply --bpf-log debug` loads them so that they do"
                    .to_owned(),
            ));
        }
        Ok(stream)
    }

    /// Follows to the programs that are in force now.
    ///
    /// # Errors
    /// When a ring cannot be opened.
    pub fn follow(&mut self, protected: &[Protected]) -> Result<(), DataplaneError> {
        let in_force = protected
            .iter()
            .filter(|one| one.record.bpf_log != BpfLog::Off)
            .filter_map(|one| Some((program_id(&one.pins.program(Direction::Inbound))?, one)));
        let in_force: Vec<(u32, &Protected)> = in_force.collect();
        self.readers.retain(|reader| in_force.iter().any(|(program, _)| *program == reader.program));
        for (program, one) in in_force {
            if self.readers.iter().any(|reader| reader.program == program) {
                continue;
            }
            let decoder = Decoder {
                interface: one.interface.clone(),
                rules: policy(&one.record)?.rules,
                lines: self.sender.clone(),
            };
            let logger = EbpfLogger::init_from_id_with_logger(program, decoder)
                .with_context(|| format!("cannot open the log of the programs of {}", one.interface))?;
            let ends = Arc::new(AtomicBool::new(false));
            let asked = Arc::clone(&ends);
            thread::spawn(move || read(logger, &asked));
            self.readers.push(Reader { program, ends });
        }
        Ok(())
    }

    /// The next line; `None` when none came in this time.
    #[must_use]
    pub fn next_line(&self, within: Duration) -> Option<LogLine> {
        // It cannot be disconnected: we hold a sender ourselves.
        self.lines.recv_timeout(within).ok()
    }
}

fn read(mut logger: EbpfLogger<Decoder>, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        logger.flush();
        // A signal ends it early, and there is nothing else that could fail here.
        let _ = poll(&mut [PollFd::new(logger.as_fd(), PollFlags::POLLIN)], PollTimeout::from(200_u16));
    }
}

/// Makes lines of the numbers that the programs write.
struct Decoder {
    interface: String,
    rules: Vec<RecordedRule>,
    lines: SyncSender<LogLine>,
}

impl Decoder {
    fn line(&self, text: Arguments<'_>) -> Option<LogLine> {
        let text = text.to_string();
        let numbers: Vec<u32> = text.split(' ').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        let [direction, outcome, goes_on, bytes] = numbers[..] else { return None };
        let direction = Direction::ALL.into_iter().find(|one| *one as u32 == direction)?;
        let outcome = Outcome::from_word(outcome);
        let of_slot = |slot| self.rules.iter().find(|rule| rule.slot == slot).map(|rule| rule.id.clone());
        Some(LogLine {
            interface: self.interface.clone(),
            direction,
            outcome,
            rule: outcome.rule().and_then(of_slot),
            goes_on: goes_on != 0,
            bytes,
        })
    }
}

impl Log for Decoder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(line) = self.line(*record.args()) {
            // The receiver is gone: the command is stopping.
            let _ = self.lines.send(line);
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use enforcer_common::Reason;

    use super::*;

    #[test]
    fn numbers_become_words_and_what_is_none_of_ours_is_left_out() {
        let (lines, _receiver) = sync_channel(1);
        let decoder = Decoder { interface: "eth0".to_owned(), rules: Vec::new(), lines };
        let word = Outcome::by_rule(Reason::Denied, 7, false).word();
        let line = decoder.line(format_args!("1 {word} 0 60")).unwrap();
        assert_eq!((line.direction, line.outcome.reason(), line.bytes), (Direction::Outbound, Reason::Denied, 60));
        assert_eq!((line.rule, line.goes_on), (None, false));
        for other in ["", "1 2 3", "2 0 0 60", "a b c d", "1 2 3 4 5"] {
            assert_eq!(decoder.line(format_args!("{other}")), None, "{other}");
        }
    }
}
