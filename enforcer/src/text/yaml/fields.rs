//! Asking a tree for what is expected, and noting everything that is not as expected.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use super::tree::{MOST, more_errors};
use super::{Node, Value};
use crate::text::decimal;
use crate::text::diagnostic::{Diagnostic, Position, Text};
use crate::text::nearest::{did_you_mean, one_of};

/// Reads a text's tree and collects what is wrong with it.
#[derive(Debug)]
pub struct Reader<'a> {
    /// The text.
    pub text: &'a Text,
    findings: RefCell<Vec<Diagnostic>>,
}

impl<'a> Reader<'a> {
    /// A reader without findings.
    #[must_use]
    pub const fn new(text: &'a Text) -> Self {
        Self { text, findings: RefCell::new(Vec::new()) }
    }

    /// Everything found, in the order of the text.
    #[must_use]
    pub fn into_findings(self) -> Vec<Diagnostic> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| (finding.line.unwrap_or(u32::MAX), finding.column));
        findings
    }

    /// Notes a finding. Past a hundred of them one more says so, and nothing is added.
    pub fn note(&self, finding: Diagnostic) {
        let mut findings = self.findings.borrow_mut();
        if findings.len() < MOST {
            findings.push(finding);
        } else if findings.len() == MOST {
            findings.push(more_errors(self.text));
        }
    }

    /// Whether nothing has been found so far.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.borrow().is_empty()
    }

    /// Whether nothing more is noted, so that looking for it is a waste.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.findings.borrow().len() > MOST
    }

    /// Nodes to go through, as long as what is wrong with them would still be noted: a hostile list is not read to its end.
    pub fn each<'n>(&self, nodes: &'n [Node]) -> impl Iterator<Item = &'n Node> {
        nodes.iter().take_while(|_| !self.is_full())
    }

    /// Notes an error at a node.
    pub fn error(&self, node: &Node, message: impl Into<String>) {
        self.note(self.text.error(node.at, message));
    }

    /// Notes that something else was expected at a node.
    pub fn expected(&self, node: &Node, what: &str) {
        self.error(node, format!("expected {what}, found {}", node.describe()));
    }

    /// The same where a number was expected: one with a leading zero is shown how to be written.
    pub fn expected_number(&self, node: &Node, what: &str) {
        let hint = match &node.value {
            Value::Scalar { text, .. } => decimal::leading_zero(text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        };
        let message = format!("expected {what}, found {}", node.describe());
        self.note(self.text.error(node.at, message).with_hint_if(hint));
    }

    /// The text of a scalar that is not empty.
    pub fn string<'n>(&self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() && !text.is_empty() => Some(text),
            Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => {
                self.expected(node, what);
                None
            }
        }
    }

    /// A whole number within a range.
    pub fn integer(&self, node: &Node, what: &str, range: &RangeInclusive<i64>) -> Option<i64> {
        let expected = format!("{what} from {} to {}", range.start(), range.end());
        let text = self.string(node, &expected)?;
        let number = match text.strip_prefix('-') {
            Some(digits) => decimal::parse(digits).map(|number: i64| -number),
            None => decimal::parse(text),
        };
        let found = number.filter(|number| range.contains(number));
        if found.is_none() {
            self.expected_number(node, &expected);
        }
        found
    }

    /// `true` or `false`.
    pub fn boolean(&self, node: &Node) -> Option<bool> {
        self.word(node, &[("true", true), ("false", false)])
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let expected = one_of(&names);
        let text = self.string(node, &expected)?;
        let found = words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let message = format!("expected {expected}, found {}", node.describe());
            self.note(self.text.error(node.at, message).with_hint_if(did_you_mean(text, names)));
        }
        found
    }

    /// The items of a list.
    pub fn list<'n>(&self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::Sequence(items) => items,
            Value::Scalar { .. } | Value::Mapping(_) => {
                self.expected(node, what);
                &[]
            }
        }
    }

    /// The items of a list, or the node itself where a single scalar stands for a list of one.
    pub fn one_or_more<'n>(&self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::Scalar { .. } if !node.is_null() => std::slice::from_ref(node),
            Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => self.list(node, what),
        }
    }

    /// The fields of a mapping; `None`, with a finding, if the node is something else.
    pub fn fields<'r, 'n>(&'r self, node: &'n Node, what: &'r str) -> Option<Fields<'r, 'n>> {
        match &node.value {
            Value::Mapping(entries) => Some(Fields { reader: self, what, at: node.at, entries, asked: Vec::new() }),
            Value::Scalar { .. } | Value::Sequence(_) => {
                self.expected(node, what);
                None
            }
        }
    }
}

/// The fields of one mapping. Asking for a key makes it known; [`Fields::finish`] complains about the others.
#[derive(Debug)]
pub struct Fields<'r, 'n> {
    reader: &'r Reader<'r>,
    what: &'r str,
    /// Where the mapping starts.
    pub at: Position,
    entries: &'n [(Node, Node)],
    asked: Vec<&'static str>,
}

impl<'n> Fields<'_, 'n> {
    /// The value of a key. A key whose value is null counts as absent.
    pub fn optional(&mut self, key: &'static str) -> Option<&'n Node> {
        self.with_key(key).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// The same with the key's own node.
    pub fn with_key(&mut self, key: &'static str) -> Option<(&'n Node, &'n Node)> {
        self.asked.push(key);
        let found = self.entries.iter().find(|(k, _)| matches!(&k.value, Value::Scalar { text, .. } if text == key));
        found.map(|(k, v)| (k, v))
    }

    /// The value of a key that has to be there.
    pub fn required(&mut self, key: &'static str) -> Option<&'n Node> {
        let found = self.optional(key);
        // A key that is only mistyped is complained about as such.
        let mistyped = || self.rest().iter().take(MOST).any(|(other, ..)| did_you_mean(other, [key]).is_some());
        if found.is_none() && !mistyped() {
            let message = format!("`{key}` is missing in {}", self.what);
            self.reader.note(self.reader.text.error(self.at, message));
        }
        found
    }

    /// The entries whose keys nobody has asked for, for mappings that are partly free.
    #[must_use]
    pub fn rest(&self) -> Vec<(&'n str, &'n Node, &'n Node)> {
        let others = self.entries.iter().filter_map(|(k, v)| match &k.value {
            Value::Scalar { text, .. } if !self.asked.contains(&text.as_str()) => Some((text.as_str(), k, v)),
            Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => None,
        });
        others.collect()
    }

    /// The keys that were asked for.
    #[must_use]
    pub fn known(&self) -> &[&'static str] {
        &self.asked
    }

    /// Notes every key that nobody has asked for.
    pub fn finish(self) {
        for (key, node, _) in self.rest().into_iter().take(MOST + 1) {
            let hint = did_you_mean(key, self.asked.iter().copied())
                .unwrap_or_else(|| format!("{} has {}", self.what, self.asked.join(", ")));
            let message = format!("{} has no key `{}`", self.what, shortened(key));
            self.reader.note(self.reader.text.error(node.at, message).with_hint(hint));
        }
    }
}

fn shortened(key: &str) -> String {
    if key.chars().count() > 40 { key.chars().take(40).chain(['…']).collect() } else { key.to_owned() }
}
