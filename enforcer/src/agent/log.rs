//! Messages of the agent: lines on standard error, with the priority that the journal wants in front where it reads them.

use std::fmt::Display;
use std::io::Write as _;

use crate::text::escape::message;

/// How much a line matters, by its number in syslog(3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// Writes lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    is_journal: bool,
}

impl Log {
    /// Looks where standard error ends.
    pub(super) fn new() -> Self {
        Self { is_journal: std::env::var_os("JOURNAL_STREAM").is_some() }
    }

    /// Something was done.
    pub(super) fn info(self, text: impl Display) {
        self.line(Priority::Info, &text);
    }

    /// Somebody should look at it some day.
    pub(super) fn warning(self, text: impl Display) {
        self.line(Priority::Warning, &text);
    }

    /// Somebody should look at it.
    pub(super) fn error(self, text: impl Display) {
        self.line(Priority::Error, &text);
    }

    fn line(self, priority: Priority, text: &impl Display) {
        let text = text.to_string();
        let text = message(&text);
        let mut stderr = std::io::stderr().lock();
        for line in text.lines() {
            // A log that nobody can read any more is no reason to stop protecting.
            let _ = if self.is_journal {
                writeln!(stderr, "<{}>{line}", priority as u8)
            } else {
                writeln!(stderr, "{line}")
            };
        }
    }
}
