//! The documents as blocks: headings, paragraphs, lists, code, tables. What they do not use is not kept.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A piece of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Block {
    /// A heading, and how deep it is.
    Heading {
        /// 1 is the title.
        level: usize,
        /// Its words.
        text: Vec<Span>,
    },
    /// Sentences.
    Paragraph(Vec<Span>),
    /// A list, numbered or not.
    List {
        /// Whether its items have numbers.
        numbered: bool,
        /// Its items.
        items: Vec<Vec<Block>>,
    },
    /// Lines that stay as they are, and the language behind the fence.
    Code {
        /// Such as `sh` or `yaml`; empty where there is none.
        language: String,
        /// The lines.
        text: String,
    },
    /// A table.
    Table {
        /// The names of its columns.
        header: Vec<Vec<Span>>,
        /// What stands in them.
        rows: Vec<Vec<Vec<Span>>>,
    },
}

/// Words of one kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Span {
    /// Plain.
    Text(String),
    /// What is typed or printed.
    Code(String),
    /// What stands out.
    Strong(String),
}

impl Span {
    /// The words.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Text(text) | Self::Code(text) | Self::Strong(text) => text,
        }
    }
}

impl Block {
    /// Whether it is the heading with these words.
    #[must_use]
    pub fn is_heading(&self, words: &str) -> bool {
        matches!(self, Self::Heading { text, .. } if plain(text) == words)
    }

    /// How deep a heading is; `None` for anything else.
    #[must_use]
    pub const fn level(&self) -> Option<usize> {
        match self {
            Self::Heading { level, .. } => Some(*level),
            Self::Paragraph(_) | Self::List { .. } | Self::Code { .. } | Self::Table { .. } => None,
        }
    }
}

/// The words of spans, without what kind they are.
#[must_use]
pub fn plain(spans: &[Span]) -> String {
    spans.iter().map(Span::words).collect()
}

/// The blocks of a document.
#[must_use]
pub fn read(document: &str) -> Vec<Block> {
    blocks(&mut Parser::new_ext(document, Options::ENABLE_TABLES))
}

type Events<'a, 'd> = &'a mut dyn Iterator<Item = Event<'d>>;

/// Blocks up to the end of what is open.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is no block is words, or nothing")]
fn blocks(events: Events<'_, '_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    // Words of an item that has no paragraphs stand in the item itself.
    let mut loose = Spans::default();
    while let Some(event) = events.next() {
        let block = match event {
            Event::Start(Tag::Paragraph) => Block::Paragraph(spans(events)),
            Event::Start(Tag::Heading { level, .. }) => Block::Heading { level: level as usize, text: spans(events) },
            Event::Start(Tag::List(first)) => Block::List { numbered: first.is_some(), items: items(events) },
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                Block::Code { language, text: plain(&spans(events)) }
            }
            Event::Start(Tag::Table(_)) => table(events),
            Event::End(TagEnd::Item) => break,
            other => {
                loose.take(&other);
                continue;
            }
        };
        loose.end(&mut blocks);
        blocks.push(block);
    }
    loose.end(&mut blocks);
    blocks
}

fn items(events: Events<'_, '_>) -> Vec<Vec<Block>> {
    let mut found = Vec::new();
    while let Some(Event::Start(Tag::Item)) = events.next() {
        found.push(blocks(events));
    }
    found
}

fn table(events: Events<'_, '_>) -> Block {
    let (mut header, mut rows) = (Vec::new(), Vec::new());
    while let Some(event) = events.next() {
        if let Event::Start(Tag::TableHead) = event {
            header = cells(events);
        } else if let Event::Start(Tag::TableRow) = event {
            rows.push(cells(events));
        } else {
            break;
        }
    }
    Block::Table { header, rows }
}

fn cells(events: Events<'_, '_>) -> Vec<Vec<Span>> {
    let mut found = Vec::new();
    while let Some(Event::Start(Tag::TableCell)) = events.next() {
        found.push(spans(events));
    }
    found
}

/// Words up to the end of what is open.
fn spans(events: Events<'_, '_>) -> Vec<Span> {
    let mut found = Spans::default();
    for event in events {
        let is_end =
            matches!(event, Event::End(TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::TableCell));
        if is_end {
            break;
        }
        found.take(&event);
    }
    found.spans
}

/// Words as they come.
#[derive(Default)]
struct Spans {
    spans: Vec<Span>,
    is_strong: bool,
}

impl Spans {
    fn take(&mut self, event: &Event<'_>) {
        if let Event::Text(text) = event {
            self.push(text);
        } else if let Event::Code(text) = event {
            self.spans.push(Span::Code(text.to_string()));
        } else if matches!(event, Event::SoftBreak | Event::HardBreak) {
            self.push(" ");
        } else if matches!(event, Event::Start(Tag::Strong) | Event::End(TagEnd::Strong)) {
            self.is_strong = !self.is_strong;
        }
    }

    fn push(&mut self, text: &str) {
        match self.spans.last_mut() {
            Some(Span::Text(last)) if !self.is_strong => last.push_str(text),
            Some(Span::Strong(last)) if self.is_strong => last.push_str(text),
            _ if self.is_strong => self.spans.push(Span::Strong(text.to_owned())),
            _ => self.spans.push(Span::Text(text.to_owned())),
        }
    }

    fn end(&mut self, blocks: &mut Vec<Block>) {
        let spans = std::mem::take(&mut self.spans);
        if spans.iter().any(|span| !span.words().trim().is_empty()) {
            blocks.push(Block::Paragraph(spans));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_tables_and_code_are_blocks() {
        let text = |text: &str| Span::Text(text.to_owned());
        let document = "A **b** `c`\nd.\n\n- one\n- two\n\n  ```sh\n  x\n  ```\n\n| k | v |\n|---|---|\n| `a` | b |\n";
        let sentence =
            vec![text("A "), Span::Strong("b".to_owned()), text(" "), Span::Code("c".to_owned()), text(" d.")];
        let items = vec![
            vec![Block::Paragraph(vec![text("one")])],
            vec![
                Block::Paragraph(vec![text("two")]),
                Block::Code { language: "sh".to_owned(), text: "x\n".to_owned() },
            ],
        ];
        let rows = vec![vec![vec![Span::Code("a".to_owned())], vec![text("b")]]];
        assert_eq!(
            read(document),
            [
                Block::Paragraph(sentence),
                Block::List { numbered: false, items },
                Block::Table { header: vec![vec![text("k")], vec![text("v")]], rows },
            ]
        );
    }
}
