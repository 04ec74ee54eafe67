//! From text to a tree of nodes. Every error of structure is collected; only a syntax error ends the reading.

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::text::diagnostic::{Diagnostic, Position, Text};

/// A node and its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub at: Position,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// A scalar; nothing is made of it until somebody asks for a number or a word.
    Scalar {
        /// Its text, after escapes.
        text: String,
        /// Written without quotes, so that it may be null.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in its order; no key stands twice.
    Mapping(Vec<(Node, Node)>),
}

/// How much a document may ask of us.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole text.
    pub bytes: usize,
    /// Lists and mappings inside each other.
    pub depth: usize,
    /// Nodes.
    pub nodes: usize,
    /// Bytes of one scalar.
    pub scalar: usize,
}

impl Limits {
    /// A site file: 10,000 prefixes and 1,000 rules use a twentieth of it.
    pub const SITE: Self = Self { bytes: 4 << 20, depth: 12, nodes: 200_000, scalar: 2048 };
    /// An estate: 300 hosts and 5,000 prefixes use a twentieth of it.
    pub const ESTATE: Self = Self { bytes: 8 << 20, depth: 12, nodes: 400_000, scalar: 2048 };
    /// A file of the catalogue.
    pub const CATALOGUE: Self = Self { bytes: 1 << 20, depth: 12, nodes: 50_000, scalar: 2048 };
}

impl Node {
    /// A scalar node, for documents that are put together and not read.
    #[must_use]
    pub fn scalar(at: Position, text: impl Into<String>) -> Self {
        Self { at, value: Value::Scalar { text: text.into(), plain: false } }
    }

    /// Nothing was written, or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What was found, for "expected X, found Y".
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } if text.chars().count() > 40 => {
                format!("`{}…`", text.chars().take(40).collect::<String>())
            }
            Value::Scalar { text, .. } => format!("`{text}`"),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads one document.
///
/// # Errors
///
/// Everything that is wrong with its structure: all duplicate keys, anchors and tags, or the first syntax error, or the
/// first limit that it exceeds.
pub fn parse(text: &Text, limits: Limits) -> Result<Node, Vec<Diagnostic>> {
    if text.content.len() > limits.bytes {
        let message =
            format!("the file has {} bytes, more than the {} that are read", text.content.len(), limits.bytes);
        return Err(vec![Diagnostic::of_file(&text.name, message)]);
    }
    let mut builder = Builder { text, limits, nodes: 0, open: Vec::new(), root: None, errors: Vec::new() };
    let mut options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: limits.depth,
        block_nesting_limit: limits.depth,
    };
    options.set_emit_comments(false);
    for event in Parser::new_from_str_with_options(&text.content, options) {
        let done = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(syntax_error(text, &error)),
        };
        if let Err(fatal) = done {
            builder.errors.push(fatal);
            return Err(builder.errors);
        }
        if builder.errors.len() >= MOST {
            builder.errors.truncate(MOST);
            builder.errors.push(more_errors(text));
            return Err(builder.errors);
        }
    }
    match builder.root {
        Some(root) if builder.errors.is_empty() => Ok(root),
        None if builder.errors.is_empty() => Err(vec![Diagnostic::of_file(&text.name, "the file is empty")]),
        _ => Err(builder.errors),
    }
}

/// Findings that are kept: who wrote more errors has mistaken the file.
pub(super) const MOST: usize = 100;

/// The last finding where there are more than are kept.
pub(super) fn more_errors(text: &Text) -> Diagnostic {
    Diagnostic::of_file(&text.name, format!("more than {MOST} errors; the rest is not shown"))
}

struct Builder<'a> {
    text: &'a Text,
    limits: Limits,
    nodes: usize,
    open: Vec<Open>,
    root: Option<Node>,
    errors: Vec<Diagnostic>,
}

/// A collection whose end has not come yet.
struct Open {
    at: Position,
    kind: OpenKind,
}

enum OpenKind {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<(Node, Node)>, key: Option<Node>, seen: std::collections::HashMap<String, u32> },
}

impl Builder<'_> {
    /// Takes an event. An error ends the reading; what can be read on from is collected.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        let at = position(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.properties(at, anchor, tag.is_some());
                if text.len() > self.limits.scalar {
                    let message = format!(
                        "a value of {} bytes is more than the {} that any value here can need",
                        text.len(),
                        self.limits.scalar
                    );
                    return Err(self.text.error(at, message));
                }
                let plain = style == ScalarStyle::Plain;
                self.add(Node { at, value: Value::Scalar { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.properties(at, anchor, tag.is_some());
                self.open(at, OpenKind::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.properties(at, anchor, tag.is_some());
                let seen = std::collections::HashMap::new();
                self.open(at, OpenKind::Mapping { entries: Vec::new(), key: None, seen })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { at, kind: OpenKind::Sequence(items) }) => {
                    self.add(Node { at, value: Value::Sequence(items) })
                }
                Some(Open { at, kind: OpenKind::Mapping { entries, .. } }) => {
                    self.add(Node { at, value: Value::Mapping(entries) })
                }
                None => Ok(()),
            },
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                Err(self.text.error(at, "aliases are not used here").with_hint("write the value out"))
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(self.text.error(at, "a second document starts here; one file holds one"))
            }
            Event::DocumentStart(..) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd => Ok(()),
            // Comments and anchor events are switched off. What is newer than this code is not understood.
            Event::Comment(..) | Event::Anchor(..) | _ => Err(self.text.error(at, "this YAML is not understood here")),
        }
    }

    fn properties(&mut self, at: Position, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.errors.push(
                self.text.error(at, "anchors are not used here").with_hint("write the value out where it is needed"),
            );
        }
        if tagged {
            self.errors
                .push(self.text.error(at, "tags are not used here").with_hint("write the value without its tag"));
        }
    }

    fn open(&mut self, at: Position, kind: OpenKind) -> Result<(), Diagnostic> {
        if self.open.len() >= self.limits.depth {
            return Err(self.text.error(at, format!("more than {} levels of nesting", self.limits.depth)));
        }
        self.open.push(Open { at, kind });
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Diagnostic> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(self.text.error(node.at, format!("more than {} values in one file", self.limits.nodes)));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { kind: OpenKind::Sequence(items), .. }) => items.push(node),
            Some(Open { kind: OpenKind::Mapping { entries, key, seen }, .. }) => match key.take() {
                None => {
                    if !matches!(node.value, Value::Scalar { .. }) {
                        let message = format!("expected a key, found {}", node.describe());
                        return Err(self.text.error(node.at, message));
                    }
                    *key = Some(node);
                }
                Some(known) => {
                    let Value::Scalar { text, .. } = &known.value else { return Ok(()) };
                    if let Some(line) = seen.get(text) {
                        let message = format!("the key `{text}` stands twice");
                        let hint = format!("its first value is on line {line}");
                        self.errors.push(self.text.error(known.at, message).with_hint(hint));
                    } else {
                        seen.insert(text.clone(), known.at.line);
                        entries.push((known, node));
                    }
                }
            },
        }
        Ok(())
    }
}

fn position(span: Span) -> Position {
    let length = if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Position {
        line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
        column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
        length: u32::try_from(length.max(1)).unwrap_or(u32::MAX),
    }
}

fn syntax_error(text: &Text, error: &granit_parser::ScanError) -> Diagnostic {
    let marker = error.marker();
    let at = position(Span::empty(*marker));
    let indent: String = text.line(at.line).chars().take_while(|c| c.is_whitespace()).collect();
    if let Some(tab) = indent.chars().position(|c| c == '\t') {
        let column = u32::try_from(tab + 1).unwrap_or(u32::MAX);
        return text
            .error(Position { column, length: 1, ..at }, "a tab indents this line, and YAML allows only spaces there")
            .with_hint("replace the tab by spaces");
    }
    text.error(at, format!("this is not YAML: {}", error.info()))
}
