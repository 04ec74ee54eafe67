//! Tables: columns that align and no borders. On a terminal no wider than it is; elsewhere a row is a line, for `grep`.

use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, Width, presets};

use crate::cli::output::Terminal;
use crate::policy::ruleset::SourceRow;
use crate::text::escape::line;

/// Rows of cells below a header. Names of others stand in cells: each is one line, and obeyed by no terminal.
#[derive(Clone, Debug)]
pub struct Rows(Table);

impl Rows {
    /// Adds a row.
    pub fn add_row(&mut self, cells: impl IntoIterator<Item: AsRef<str>>) {
        self.0.add_row(cells.into_iter().map(|cell| line(cell.as_ref()).into_owned()));
    }

    /// How many there are.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.0.row_count()
    }
}

/// A table with a header, to be filled with rows and printed with [`print`]. The first column is never wrapped.
#[must_use]
pub fn table(terminal: Terminal, header: &[&str]) -> Rows {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = terminal.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.clamp(60, 160));
    }
    if terminal.color_out {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index == 0 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    Rows(table)
}

/// The table as lines without trailing blanks. Lines break between words, and within one only if it is very long; columns of
/// few characters do not break at all where there is room.
#[must_use]
pub fn print(rows: &Rows) -> String {
    let mut table = rows.0.clone();
    let columns = 0..table.column_count();
    let whole: Vec<u16> = columns.clone().map(|index| longest(&table, index, false)).collect();
    let words: Vec<u16> = columns.map(|index| longest(&table, index, true).min(LONG)).collect();
    let unbroken = whole.iter().zip(&words).map(|(whole, word)| if *whole <= SHORT { *whole } else { *word });
    let unbroken: Vec<u16> = unbroken.collect();
    let needed = whole.first().copied().unwrap_or(0)
        + unbroken.iter().skip(1).fold(0_u16, |sum, width| sum.saturating_add(width + 2));
    let least = if table.width().is_some_and(|width| needed > width) { words } else { unbroken };
    for (column, width) in table.column_iter_mut().zip(least).skip(1) {
        // The padding behind the column counts.
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + 2)));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A column that is no wider is not broken where there is room.
const SHORT: u16 = 24;
/// A word that is longer may be broken, or one formula would take the room of a sentence.
const LONG: u16 = 31;

/// Characters of the longest cell, or of the longest word in any cell.
fn longest(table: &Table, column: usize, words: bool) -> u16 {
    let cells = table.column_cells_with_header_iter(column).flatten().map(Cell::content);
    let length = |text: String| match words {
        true => text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0),
        false => text.chars().count(),
    };
    cells.map(length).max().unwrap_or(0).try_into().unwrap_or(u16::MAX)
}

/// Rows of documents in short, as a person looks them up: `cce 2:1,3` is rows 1 and 3 of table 2.
#[must_use]
pub fn source_rows(rows: &[SourceRow]) -> String {
    let mut text = String::new();
    let mut last: Option<&SourceRow> = None;
    for row in rows {
        let number = row.row.to_string();
        match last {
            Some(last) if last.document == row.document && last.table == row.table => text.extend([",", &number]),
            Some(last) if last.document == row.document => text.extend([" ", &row.table, ":", &number]),
            Some(_) => text.extend(["; ", &row.document, " ", &row.table, ":", &number]),
            None => text.extend([&row.document, " ", &row.table, ":", &number]),
        }
        last = Some(row);
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[test]
    fn on_a_terminal_sentences_break_and_columns_of_few_characters_do_not() {
        check(
            Some(60),
            &expect![[r#"
                WHO          ASKED FOR            WHAT FOR
                198.18.90.2  in tcp 3306 (mysql)  A sentence about what
                                                  this is good for.
            "#]],
        );
    }

    #[test]
    fn elsewhere_a_row_is_a_line() {
        check(
            None,
            &expect![[r#"
                WHO          ASKED FOR            WHAT FOR
                198.18.90.2  in tcp 3306 (mysql)  A sentence about what this is good for.
            "#]],
        );
    }

    #[test]
    fn a_name_of_somebody_else_neither_begins_a_row_nor_moves_the_cursor() {
        let mut rows = table(Terminal::default(), &["PROCESS", "WHY"]);
        rows.add_row(["x\x1b[1A\x1b[2K\nroot (1)", "no-rule"]);
        expect![[r"
            PROCESS                        WHY
            x\u{1b}[1A\u{1b}[2K\nroot (1)  no-rule
        "]]
        .assert_eq(&print(&rows));
    }

    fn check(width: Option<u16>, expected: &Expect) {
        let mut table =
            table(Terminal { color_out: false, color_err: false, width }, &["WHO", "ASKED FOR", "WHAT FOR"]);
        table.add_row(["198.18.90.2", "in tcp 3306 (mysql)", "A sentence about what this is good for."]);
        expected.assert_eq(&print(&table));
    }
}
