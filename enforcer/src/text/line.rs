//! A text of one line, such as an argument of a command, whose errors point at a part of it.

use super::diagnostic::{Diagnostic, Position, Text};

/// A text of one line.
#[derive(Debug)]
pub(crate) struct Line<'t> {
    original: &'t str,
    text: Text,
}

impl<'t> Line<'t> {
    /// The line, under the name that stands in its errors.
    pub(crate) fn new(name: &str, original: &'t str) -> Self {
        Self { original, text: Text::new(name, original) }
    }

    /// An error at a part of the line, which must be a slice of it.
    pub(crate) fn error(&self, part: &str, message: impl Into<String>) -> Diagnostic {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.original.as_ptr() as usize);
        let before = self.original.get(..offset).unwrap_or_default();
        let chars = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        self.text.error(Position { line: 1, column: chars(before) + 1, length: chars(part).max(1) }, message)
    }
}
