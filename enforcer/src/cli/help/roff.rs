//! Blocks as a part of a manual page.

use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::markdown::{Block, Span, plain};

/// Adds blocks to a page. Headings of this depth become sections, deeper ones parts of a section.
pub fn add(page: &mut Roff, blocks: &[Block], sections: usize) {
    for block in blocks {
        match block {
            Block::Heading { level, text } if *level <= sections => {
                page.control("SH", [plain(text).to_uppercase().as_str()]);
            }
            Block::Heading { text, .. } => {
                page.control("SS", [plain(text).as_str()]);
            }
            Block::Paragraph(spans) => {
                page.control("PP", []);
                page.text(words(spans));
            }
            Block::Code { text, .. } => {
                page.control("PP", []).control("EX", []);
                for line in text.lines() {
                    page.text([roman(line)]);
                }
                page.control("EE", []);
            }
            Block::List { numbered, items } => {
                for (index, item) in items.iter().enumerate() {
                    entry(page, numbered.then_some(index + 1), item, sections);
                }
            }
            Block::Table { rows, .. } => {
                for row in rows {
                    page.control("TP", []);
                    if let Some((first, others)) = row.split_first() {
                        page.text(words(first));
                        for other in others {
                            page.text(words(other));
                            page.control("br", []);
                        }
                    }
                }
            }
        }
    }
}

/// An item. One that begins with code and a colon explains that code, so it is its tag.
fn entry(page: &mut Roff, number: Option<usize>, item: &[Block], sections: usize) {
    let mut rest = item;
    if let [Block::Paragraph(spans), others @ ..] = item {
        rest = others;
        match (spans.as_slice(), number) {
            ([Span::Code(tag), Span::Text(text), more @ ..], None) if text.starts_with(": ") => {
                page.control("TP", []);
                page.text([bold(tag)]);
                let first = Span::Text(text.trim_start_matches(": ").to_owned());
                let spans: Vec<Span> = std::iter::once(first).chain(more.iter().cloned()).collect();
                page.text(words(&spans));
            }
            (_, number) => {
                let mark = number.map_or_else(|| "\\(bu".to_owned(), |number| format!("{number}."));
                page.control("IP", [mark.as_str(), "4"]);
                page.text(words(spans));
            }
        }
    }
    if !rest.is_empty() {
        page.control("RS", []);
        add(page, rest, sections);
        page.control("RE", []);
    }
}

fn words(spans: &[Span]) -> Vec<Inline> {
    let word = |span: &Span| match span {
        Span::Text(text) => roman(text),
        Span::Code(text) | Span::Strong(text) => bold(text),
    };
    spans.iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::help::markdown;

    #[test]
    fn an_item_that_explains_code_has_it_as_its_tag() {
        let mut page = Roff::new();
        add(
            &mut page,
            &markdown::read("## One\n\nA `b`.\n\n- `key`: what it is.\n- other\n\n### Two\n\n```\nx y\n```\n"),
            2,
        );
        let expected = ".SH ONE\n.PP\nA \\fBb\\fR.\n.TP\n\\fBkey\\fR\nwhat it is.\n.IP \\(bu 4\nother\n.SS Two\n.PP\n.EX\nx y\n.EE\n";
        assert_eq!(page.to_roff(), expected);
    }
}
