//! Where a command writes, and how it looks there.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;
use crate::text::diagnostic::Diagnostic;
use crate::text::escape::verbatim;

/// Where a command writes: results to `out`, messages for people to `err`, what must not be overlooked to `errors`.
pub struct Output<'a> {
    /// Standard output: results, and nothing else.
    pub out: &'a mut dyn Write,
    /// Standard error, or nowhere with `--quiet`: messages for a person.
    pub err: &'a mut dyn Write,
    /// Standard error: what is wrong, and questions.
    pub errors: &'a mut dyn Write,
    /// How they look where they end.
    pub terminal: Terminal,
}

/// What the ends of the output can show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// Results may be coloured.
    pub color_out: bool,
    /// Messages may be coloured.
    pub color_err: bool,
    /// Width of the terminal that results go to, if they go to one.
    pub width: Option<u16>,
}

/// How a listing is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Table,
    /// JSON for programs.
    Json,
}

impl Terminal {
    /// Looks at the standard streams and at `NO_COLOR` (<https://no-color.org>).
    #[must_use]
    pub fn detect() -> Self {
        let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let width = if out { comfy_table::Table::new().width() } else { None };
        Self { color_out: color && out, color_err: color && err, width }
    }
}

impl Output<'_> {
    /// Prints a result as JSON.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written to.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        verbatim(|| {
            serde_json::to_writer_pretty(&mut *self.out, value).map_err(io::Error::from)?;
            Ok(writeln!(self.out)?)
        })
    }

    /// Prints errors for a person.
    ///
    /// # Errors
    ///
    /// Standard error cannot be written to.
    pub fn report(&mut self, errors: &[Diagnostic]) -> Result<(), Failure> {
        print(errors, self.errors, self.terminal)
    }

    /// Prints warnings for a person.
    ///
    /// # Errors
    ///
    /// Standard error cannot be written to.
    pub fn warn(&mut self, warnings: &[Diagnostic]) -> Result<(), Failure> {
        print(warnings, self.err, self.terminal)
    }
}

pub(crate) fn print(findings: &[Diagnostic], to: &mut dyn Write, terminal: Terminal) -> Result<(), Failure> {
    /// More would scroll the first ones, which usually explain the rest, out of sight.
    const MOST: usize = 50;
    for finding in findings.iter().take(MOST) {
        writeln!(to, "{}\n", finding.render(terminal.color_err))?;
    }
    if findings.len() > MOST {
        writeln!(to, "... and {} more", findings.len() - MOST)?;
    }
    Ok(())
}
