//! Where the nodes of a document stand in its text, byte by byte: for who adds to a text and leaves the rest as it is.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};

/// A node in its text.
#[derive(Clone, Debug)]
pub struct Place {
    /// From its first byte to behind its last one. Of a list or mapping without brackets: to behind its last item.
    pub bytes: Range<usize>,
    /// What it is.
    pub shape: Shape,
}

/// What stands at a place.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A scalar, after escapes.
    Scalar(String),
    /// A key without a value.
    Nothing,
    /// A list.
    Sequence {
        /// In brackets.
        flow: bool,
        /// Its items.
        items: Vec<Place>,
    },
    /// A mapping.
    Mapping {
        /// In braces.
        flow: bool,
        /// Its entries.
        entries: Vec<(Place, Place)>,
    },
}

/// The places of a document that [`parse`](super::parse) has accepted; `None` where the parser does not tell them.
#[must_use]
pub fn places(text: &str) -> Option<Place> {
    // The parser counts characters.
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut open: Vec<(Range<usize>, Shape, Option<Place>)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        let bytes = *offsets.get(span.start.index())?..*offsets.get(span.end.index())?;
        let flow = |brackets: char| text.get(bytes.start..).is_some_and(|rest| rest.starts_with(brackets));
        let mut done = match event {
            Event::SequenceStart(..) => {
                let shape = Shape::Sequence { flow: flow('['), items: Vec::new() };
                open.push((bytes, shape, None));
                continue;
            }
            Event::MappingStart(..) => {
                let shape = Shape::Mapping { flow: flow('{'), entries: Vec::new() };
                open.push((bytes, shape, None));
                continue;
            }
            Event::Scalar(word, style, ..) => {
                // The word for nothing is made up.
                let is_nothing = bytes.is_empty() && style == ScalarStyle::Plain;
                Place { bytes, shape: if is_nothing { Shape::Nothing } else { Shape::Scalar(word.into_owned()) } }
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (start, shape, _) = open.pop()?;
                let whole = match &shape {
                    Shape::Sequence { flow: false, items } => {
                        // The parser has its start behind the first dash, or at it.
                        let first = items.first()?.bytes.start;
                        text.get(..first)?.rfind('-')?..items.last()?.bytes.end
                    }
                    Shape::Mapping { flow: false, entries } => {
                        let (key, value) = entries.last()?;
                        start.start..value.bytes.end.max(key.bytes.end)
                    }
                    Shape::Sequence { .. } | Shape::Mapping { .. } | Shape::Scalar(_) | Shape::Nothing => {
                        start.start..bytes.end
                    }
                };
                Place { bytes: whole, shape }
            }
            // What has no place of its own: no document that was accepted has aliases.
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Alias(_)
            | Event::UnresolvedAlias(_)
            | Event::Anchor(..)
            | Event::Comment(..)
            | _ => continue,
        };
        let Some((_, shape, key)) = open.last_mut() else { return Some(done) };
        match shape {
            Shape::Sequence { items, .. } => items.push(done),
            Shape::Mapping { entries, .. } => match key.take() {
                Some(key) => {
                    if matches!(done.shape, Shape::Nothing) {
                        // The parser has it at the next word.
                        done.bytes = key.bytes.end..key.bytes.end;
                    }
                    entries.push((key, done));
                }
                None => *key = Some(done),
            },
            Shape::Scalar(_) | Shape::Nothing => return None,
        }
    }
    None
}

impl Place {
    /// The entry of a mapping.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&(Self, Self)> {
        let Shape::Mapping { entries, .. } = &self.shape else { return None };
        entries.iter().find(|(key, _)| matches!(&key.shape, Shape::Scalar(word) if word == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, place: &Place, into: &mut Vec<String>) {
        into.push(text[place.bytes.clone()].to_owned());
        match &place.shape {
            Shape::Sequence { items, .. } => items.iter().for_each(|item| written(text, item, into)),
            Shape::Mapping { entries, .. } => entries.iter().for_each(|(key, value)| {
                written(text, key, into);
                written(text, value, into);
            }),
            Shape::Scalar(_) | Shape::Nothing => {}
        }
    }

    #[test]
    fn every_node_stands_where_it_is_said_to_stand() {
        let text = "é:   # ü\nroles:\n- a  # one\n- {b: [c, 'd']}\n# end\n";
        let mut found = Vec::new();
        written(text, &places(text).unwrap(), &mut found);
        let list = "- a  # one\n- {b: [c, 'd']}";
        let root = text.strip_suffix("\n# end\n").unwrap();
        let expected = [root, "é", "", "roles", list, "a", "{b: [c, 'd']}", "b", "[c, 'd']", "c", "'d'"];
        assert_eq!(found, expected);
    }
}
