//! Tables on the terminal: columns that align, no borders, and no more width than there is.

use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::Terminal;
use crate::ruleset::SourceRow;

/// Width where the output is not a terminal.
const WIDTH: u16 = 110;

/// A table with a header, to be filled with rows and printed with [`print`]. The first column is never wrapped.
#[must_use]
pub fn table(terminal: Terminal, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(terminal.width.unwrap_or(WIDTH).clamp(60, 160));
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
    table
}

/// The table as lines without trailing blanks. Lines break between words, and within one only if it is very long.
#[must_use]
pub fn print(table: &Table) -> String {
    let mut table = table.clone();
    let widths: Vec<u16> = (0..table.column_count()).map(|index| longest_word(&table, index)).collect();
    for (column, width) in table.column_iter_mut().zip(widths).skip(1) {
        // The padding behind the column counts.
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + 2)));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn longest_word(table: &Table, column: usize) -> u16 {
    /// A word that is longer may be broken, or one formula would take the room of a sentence.
    const MOST: usize = 31;
    let cells = table.column_cells_with_header_iter(column).flatten().map(Cell::content);
    let words = cells.flat_map(|text| text.split_whitespace().map(|word| word.chars().count()).collect::<Vec<_>>());
    words.max().unwrap_or(0).min(MOST).try_into().unwrap_or(u16::MAX)
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
