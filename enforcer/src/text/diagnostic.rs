//! What is wrong with a file, and where: one [`Diagnostic`] a finding, printed as rustc prints them or as JSON.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::escape::{is_hostile, line as in_one_line};

/// A text that a person wrote, and the name under which errors show it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Text {
    /// Path of the file, `<stdin>` or `<command line>`.
    pub name: String,
    /// All of it.
    pub content: String,
    lines: Vec<usize>,
}

/// A place in a [`Text`]: line and column from 1, in characters, and how many characters are meant.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Characters, on this line.
    pub length: u32,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The input is refused.
    Error,
    /// The input is accepted, but may not mean what its author wants.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Diagnostic {
    /// The file it is about.
    pub file: Option<String>,
    /// Line in the file, from 1.
    pub line: Option<u32>,
    /// Column in the line, from 1.
    pub column: Option<u32>,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Error or warning.
    #[serde(skip)]
    pub severity: Severity,
    #[serde(skip)]
    excerpt: Option<Box<Excerpt>>,
}

/// Findings that refuse an input; never empty.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .0.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Findings(pub Vec<Diagnostic>);

/// The offending line, shortened around the place if it is very long, and the bytes of it that are meant.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Excerpt {
    line: String,
    span: Range<usize>,
    cut: bool,
}

impl Text {
    /// A text under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, content: impl Into<String>) -> Self {
        let content = content.into();
        let ends = content.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { name: name.into(), content, lines }
    }

    /// A line by its number from 1, without its end; empty past the last.
    #[must_use]
    pub fn line(&self, number: u32) -> &str {
        let index = (number as usize).saturating_sub(1);
        let Some(&start) = self.lines.get(index) else { return "" };
        let end = self.lines.get(index + 1).map_or(self.content.len(), |next| next - 1);
        self.content[start..end].trim_end_matches('\r')
    }

    /// An error at a place of this text.
    #[must_use]
    pub fn error(&self, at: Position, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            file: Some(self.name.clone()),
            line: Some(at.line),
            column: Some(at.column),
            message: printable(message.into()),
            hint: None,
            severity: Severity::Error,
            excerpt: Some(Box::new(Excerpt::cut(self.line(at.line), at))),
        }
    }

    /// A warning at a place of this text.
    #[must_use]
    pub fn warning(&self, at: Position, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self.error(at, message) }
    }
}

impl Diagnostic {
    /// An error about a file as a whole.
    #[must_use]
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: Some(file.into()), ..Self::plain(message) }
    }

    /// An error about no file.
    #[must_use]
    pub fn plain(message: impl Into<String>) -> Self {
        Self {
            file: None,
            line: None,
            column: None,
            message: printable(message.into()),
            hint: None,
            severity: Severity::Error,
            excerpt: None,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn into_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(printable(hint.into())), ..self }
    }

    /// The same with a hint, if there is one.
    #[must_use]
    pub fn with_hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// The finding as a person reads it: message, place, the line itself, hint. Ends without a line break.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let file = self.file.as_deref().map(in_one_line);
        let mut group = level.primary_title(self.message.as_str()).elements(std::iter::empty::<Origin<'_>>());
        match (&file, self.line, &self.excerpt) {
            (Some(file), Some(line), Some(excerpt)) => {
                let annotation = AnnotationKind::Primary.span(excerpt.span.clone());
                let mut snippet =
                    Snippet::source(excerpt.line.as_str()).line_start(line as usize).annotation(annotation);
                if excerpt.cut {
                    // The column that the snippet would print is that of the shortened line.
                    let column = self.column.unwrap_or_default() as usize;
                    group = group.element(Origin::path(file.as_ref()).line(line as usize).char_column(column));
                } else {
                    snippet = snippet.path(file.as_ref());
                }
                group = group.element(snippet);
            }
            (Some(file), ..) => group = group.element(Origin::path(file.as_ref())),
            (None, ..) => {}
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// One line: `file:line:column: message (hint)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", in_one_line(file))?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl Excerpt {
    /// Characters kept on either side of the place: a hostile line of megabytes must not be printed, nor kept.
    const AROUND: usize = 60;

    fn cut(line: &str, at: Position) -> Self {
        let column = (at.column as usize).saturating_sub(1);
        let skipped = column.saturating_sub(Self::AROUND);
        let (mut kept, mut span, mut cut) = (String::new(), None, false);
        if skipped > 0 {
            kept.push('…');
        }
        for (index, c) in line.chars().enumerate().skip(skipped) {
            if index >= column + Self::AROUND * 2 {
                cut = true;
                break;
            }
            let start = kept.len();
            kept.push(if c == '\t' { c } else { harmless(c) });
            if index >= column && index < column + (at.length.max(1) as usize) {
                span = Some(span.map_or(start, |span: Range<usize>| span.start)..kept.len());
            }
        }
        let span = span.unwrap_or(kept.len()..kept.len());
        if cut {
            kept.push('…');
        }
        Self { line: kept, span, cut: cut || skipped > 0 }
    }
}

/// Control characters and escape sequences of a file must not reach the terminal.
fn harmless(c: char) -> char {
    if is_hostile(c) { char::REPLACEMENT_CHARACTER } else { c }
}

fn printable(text: String) -> String {
    if text.contains(is_hostile) { text.chars().map(harmless).collect() } else { text }
}

/// `1 rule`, `2 rules`.
pub(crate) fn count(number: impl TryInto<u64>, what: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[test]
    fn a_finding_shows_its_line_and_its_hint() {
        let text = Text::new("site.yaml", "roles:\n  - unity-conection\n");
        let at = Position { line: 2, column: 5, length: 15 };
        check(
            &text.error(at, "no role is called `unity-conection`").with_hint("did you mean `unity-connection`?"),
            &expect![[r#"
                error: no role is called `unity-conection`
                 --> site.yaml:2:5
                  |
                2 |   - unity-conection
                  |     ^^^^^^^^^^^^^^^
                  |
                  = help: did you mean `unity-connection`?"#]],
        );
    }

    #[test]
    fn a_finding_about_a_file_has_no_line() {
        check(
            &Diagnostic::of_file("site.yaml", "the file is empty"),
            &expect![[r#"
                error: the file is empty
                --> site.yaml"#]],
        );
    }

    #[test]
    fn a_line_of_a_megabyte_is_cut_around_the_place() {
        let text = Text::new("site.yaml", "x".repeat(1 << 20));
        let finding = text.error(Position { line: 1, column: 70_000, length: 1 << 20 }, "too long");
        assert!(finding.render(false).len() < 1000, "{}", finding.render(false));
    }

    #[test]
    fn a_place_behind_the_end_of_the_line_is_still_shown() {
        let text = Text::new("site.yaml", "a:\n");
        let finding = text.error(Position { line: 1, column: 3, length: 1 }, "a value is missing");
        assert!(finding.render(false).contains("1 | a:"), "{}", finding.render(false));
    }

    fn check(finding: &Diagnostic, expected: &Expect) {
        expected.assert_eq(&finding.render(false));
    }
}
