//! Blocks as lines of a terminal.

use textwrap::Options;

use super::markdown::{Block, Span};

/// The blocks, in lines that are no wider than this, with headings and strong words in bold where that can be shown.
#[must_use]
pub fn print(blocks: &[Block], width: usize, color: bool) -> String {
    let mut lines = Vec::new();
    Page { width, color }.blocks(blocks, "", &mut lines);
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// A blank at which no line ends: a short command stays in one piece.
const KEPT: &str = "\u{a0}";
/// Longer ones would leave half a line empty.
const SHORT: usize = 32;

#[derive(Clone, Copy)]
struct Page {
    width: usize,
    color: bool,
}

impl Page {
    fn blocks(self, blocks: &[Block], indent: &str, lines: &mut Vec<String>) {
        for (index, block) in blocks.iter().enumerate() {
            if index > 0 {
                lines.push(String::new());
            }
            self.block(block, indent, lines);
        }
    }

    fn block(self, block: &Block, indent: &str, lines: &mut Vec<String>) {
        match block {
            Block::Heading { text, .. } => {
                let words = self.bold(&self.words(text));
                lines.push(format!("{indent}{words}"));
            }
            Block::Paragraph(spans) => self.wrap(&self.words(spans), indent, indent, lines),
            Block::Code { text, .. } => {
                lines.extend(text.lines().map(|line| format!("{indent}    {line}").trim_end().to_owned()));
            }
            Block::List { numbered, items } => self.list(*numbered, items, indent, lines),
            Block::Table { header, rows } => self.table(header, rows, indent, lines),
        }
    }

    fn list(self, numbered: bool, items: &[Vec<Block>], indent: &str, lines: &mut Vec<String>) {
        // Items of several blocks need air between them; short ones read better without.
        let is_wide = items.iter().any(|item| item.len() > 1);
        for (index, item) in items.iter().enumerate() {
            if is_wide && index > 0 {
                lines.push(String::new());
            }
            let mark = if numbered { format!("{}. ", index + 1) } else { "- ".to_owned() };
            let deeper = format!("{indent}{}", " ".repeat(mark.len()));
            let mut rest = item.as_slice();
            if let [Block::Paragraph(spans), others @ ..] = item.as_slice() {
                self.wrap(&self.words(spans), &format!("{indent}{mark}"), &deeper, lines);
                rest = others;
                if !rest.is_empty() {
                    lines.push(String::new());
                }
            }
            self.blocks(rest, &deeper, lines);
        }
    }

    /// A table whose last column takes the room that is left; one that is too wide for that becomes a list of its rows.
    fn table(self, header: &[Vec<Span>], rows: &[Vec<Vec<Span>>], indent: &str, lines: &mut Vec<String>) {
        const GAP: usize = 2;
        let header: Vec<String> = header.iter().map(|cell| self.words(cell).to_uppercase()).collect();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| self.cell(cell)).collect()).collect();
        let wide = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).chain(header.get(column));
            cells.map(|cell| textwrap::core::display_width(cell)).max().unwrap_or(0)
        };
        let fixed: Vec<usize> = (0..header.len().saturating_sub(1)).map(wide).collect();
        let before = indent.len() + fixed.iter().map(|width| width + GAP).sum::<usize>();
        if before + self.width / 3 > self.width {
            for (index, row) in rows.iter().enumerate() {
                if index > 0 {
                    lines.push(String::new());
                }
                let (first, others) = row.split_first().map_or(("", row.as_slice()), |(a, b)| (a.as_str(), b));
                self.wrap(first, indent, indent, lines);
                let deeper = format!("{indent}    ");
                for other in others {
                    self.wrap(other, &deeper, &deeper, lines);
                }
            }
            return;
        }
        let hanging = " ".repeat(before);
        for (index, row) in std::iter::once(&header).chain(&rows).enumerate() {
            let mut first = indent.to_owned();
            for (cell, width) in row.iter().zip(&fixed) {
                let room = width + GAP - textwrap::core::display_width(cell);
                first = format!("{first}{cell}{}", " ".repeat(room));
            }
            let last = row.last().map_or("", String::as_str);
            let start = lines.len();
            self.wrap(last, &first, &hanging, lines);
            if index == 0
                && let Some(line) = lines.get_mut(start)
            {
                *line = self.bold(line);
            }
        }
    }

    fn wrap(self, text: &str, first: &str, others: &str, lines: &mut Vec<String>) {
        let options = Options::new(self.width)
            .initial_indent(first)
            .subsequent_indent(others)
            // A command or an option that is broken at its dash cannot be copied.
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .break_words(false);
        let wrapped = textwrap::wrap(text, options);
        lines.extend(wrapped.iter().map(|line| line.trim_end().replace(KEPT, " ")));
    }

    fn words(self, spans: &[Span]) -> String {
        let word = |span: &Span| match span {
            Span::Text(text) => text.clone(),
            // As messages do, so that what is typed is told from words on a terminal without colours too.
            Span::Code(text) if text.len() <= SHORT => format!("`{}`", text.replace(' ', KEPT)),
            Span::Code(text) => format!("`{text}`"),
            Span::Strong(text) => self.bold(text),
        };
        spans.iter().map(word).collect()
    }

    /// What is alone in a cell needs no marks to be told from words.
    fn cell(self, spans: &[Span]) -> String {
        match spans {
            [Span::Code(text)] if text.len() <= SHORT => text.clone(),
            _ => self.words(spans),
        }
    }

    fn bold(self, text: &str) -> String {
        if self.color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::help::markdown;

    #[test]
    fn lines_end_where_the_terminal_does() {
        let document = "## Two words\n\nSome words about `--confirm-within` and **more** of it.\n\n1. First of all,\n   look.\n2. Then:\n\n   ```\n   a b\n   ```\n\n| key | meaning |\n|---|---|\n| `a` | one two three four five six |\n";
        let expected = "\
Two words

Some words about
`--confirm-within` and more of
it.

1. First of all, look.

2. Then:

       a b

KEY  MEANING
a    one two three four five
     six
";
        assert_eq!(print(&markdown::read(document), 30, false), expected);
    }

    #[test]
    fn bold_is_for_terminals_with_colours() {
        let text = print(&markdown::read("## A\n\nb **c**\n"), 30, true);
        assert_eq!(text, "\x1b[1mA\x1b[0m\n\nb \x1b[1mc\x1b[0m\n");
    }
}
