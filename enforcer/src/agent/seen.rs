//! The state of the site file at the last reading, to recognise whether it has changed since.

use super::policy::Followed;
use crate::text::diagnostic::Diagnostic;

/// The state of the site file at one reading.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    Text(String),
    Wrong(Vec<Diagnostic>),
}

impl Seen {
    pub(super) fn of(read: &Result<Followed, Vec<Diagnostic>>) -> Self {
        match read {
            Ok(next) => Self::Text(next.site.text.content.clone()),
            Err(findings) => Self::Wrong(findings.clone()),
        }
    }
}
