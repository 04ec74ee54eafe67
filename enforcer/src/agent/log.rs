//! Log lines of the agent on standard error. If standard error is the journal, each line starts with its priority.

use std::fmt::Display;
use std::io::Write as _;

use crate::text::escape::message;

/// The priority of a line, with its number in syslog(3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// Writes log lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    is_journal: bool,
}

impl Log {
    /// Checks whether standard error is the journal.
    pub(super) fn new() -> Self {
        Self { is_journal: std::env::var_os("JOURNAL_STREAM").is_some() }
    }

    /// Logs something that the agent did.
    pub(super) fn info(self, text: impl Display) {
        self.line(Priority::Info, &text);
    }

    /// Logs something that an operator should look at, but not at once.
    pub(super) fn warning(self, text: impl Display) {
        self.line(Priority::Warning, &text);
    }

    /// Logs an error that an operator should look at.
    pub(super) fn error(self, text: impl Display) {
        self.line(Priority::Error, &text);
    }

    fn line(self, priority: Priority, text: &impl Display) {
        let text = text.to_string();
        let text = message(&text);
        let mut stderr = std::io::stderr().lock();
        for line in text.lines() {
            // A failed write to the log must not stop the agent.
            let _ = if self.is_journal {
                writeln!(stderr, "<{}>{line}", priority as u8)
            } else {
                writeln!(stderr, "{line}")
            };
        }
    }
}
