//! What the site file was at the last look: a change is told from a look that shows the same again.

use super::policy::Followed;
use crate::text::diagnostic::Diagnostic;

/// A look at the site file.
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
