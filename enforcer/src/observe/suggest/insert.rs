//! Additions put into the text of a site file: every byte that a person wrote stays where it is.

use super::additions::Additions;
use crate::policy::site::COMMAND_LINE;
use crate::text::diagnostic::Text;
use crate::text::yaml::{Limits, Node, Place, Shape, Value, inline, parse, places};

/// The text of a site with additions. `None` where it cannot be added to: what would be read is not what is meant, or nobody has
/// written it.
pub(super) fn insert(site: &Text, tree: &Node, additions: &Additions) -> Option<String> {
    if site.name == COMMAND_LINE {
        return None;
    }
    // The parser counts the two bytes that end a line elsewhere as one character.
    let is_dos = site.content.contains("\r\n");
    let mut text = site.content.replace("\r\n", "\n");
    if is_dos && text.len() + text.matches('\n').count() != site.content.len() {
        return None;
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let inserted = Insertion::of(&text, additions)?.done();
    let inserted = if is_dos { inserted.replace('\n', "\r\n") } else { inserted };
    let read = parse(&Text::new(site.name.clone(), inserted.clone()), Limits::SITE).ok()?;
    is_same(&read, &additions.add_to(tree)).then_some(inserted)
}

/// Equal but for places, and for which quotes were used.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => a == b && one.is_null() == other.is_null(),
        (Value::Sequence(a), Value::Sequence(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Mapping(a), Value::Mapping(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(&a.0, &b.0) && is_same(&a.1, &b.1))
        }
        (Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_), _) => false,
    }
}

/// What is inserted, and before which byte; in the order in which it is read where several come to the same place.
struct Insertion<'t> {
    text: &'t str,
    parts: Vec<(usize, String)>,
}

impl<'t> Insertion<'t> {
    fn of(text: &'t str, additions: &Additions) -> Option<Self> {
        let root = places(text)?;
        let Shape::Mapping { flow: false, .. } = root.shape else { return None };
        let mut insertion = Self { text, parts: Vec::new() };
        let margin = insertion.margin(root.bytes.start)?;
        let end = insertion.after_line(root.bytes.end)?;
        let fragment = additions.fragment();
        let Value::Mapping(fields) = &fragment.value else { return None };
        let mut new = Vec::new();
        for (key, value) in fields {
            match (root.entry(&inline(key)), &value.value) {
                (Some((key, place)), Value::Sequence(items)) => insertion.extend(key, place, items)?,
                (Some((key, place)), Value::Mapping(peers)) => insertion.peers(key, place, peers)?,
                (None, Value::Sequence(items)) => {
                    new.push(format!("{margin}{}:", inline(key)));
                    new.extend(items.iter().map(|item| format!("{margin}  - {}", inline(item))));
                }
                (None, Value::Mapping(peers)) => {
                    new.push(format!("{margin}{}:", inline(key)));
                    new.extend(
                        peers.iter().map(|(name, list)| format!("{margin}  {}: {}", inline(name), inline(list))),
                    );
                }
                (_, Value::Scalar { .. }) => return None,
            }
        }
        insertion.lines(end, new);
        Some(insertion)
    }

    /// Addresses of peers: of those that are there, and new ones.
    fn peers(&mut self, key: &Place, place: &Place, peers: &[(Node, Node)]) -> Option<()> {
        let Shape::Mapping { flow, entries } = &place.shape else {
            let all = peers.iter().map(|(name, list)| format!("{}: {}", inline(name), inline(list)));
            return self.behind_key(key, place, &format!("{{{}}}", all.collect::<Vec<_>>().join(", ")));
        };
        let mut new = Vec::new();
        for (name, list) in peers {
            match (place.entry(&inline(name)), &list.value) {
                (Some((key, place)), Value::Sequence(items)) => self.extend(key, place, items)?,
                (Some(_), _) => return None,
                (None, _) => new.push(format!("{}: {}", inline(name), inline(list))),
            }
        }
        match (flow, entries.last()) {
            _ if new.is_empty() => {}
            (true, Some((_, last))) => self.parts.push((last.bytes.end, format!(", {}", new.join(", ")))),
            (true, None) => self.parts.push((place.bytes.start + 1, new.join(", "))),
            (false, _) => {
                let margin = self.margin(place.bytes.start)?;
                let end = self.after_line(place.bytes.end)?;
                self.lines(end, new.iter().map(|line| format!("{margin}{line}")).collect());
            }
        }
        Some(())
    }

    /// Items of a list; what stands there alone becomes one.
    fn extend(&mut self, key: &Place, place: &Place, items: &[Node]) -> Option<()> {
        let words = items.iter().map(inline).collect::<Vec<_>>();
        match &place.shape {
            Shape::Sequence { flow: true, items } => match items.last() {
                Some(last) => self.parts.push((last.bytes.end, format!(", {}", words.join(", ")))),
                None => self.parts.push((place.bytes.start + 1, words.join(", "))),
            },
            Shape::Sequence { flow: false, .. } => {
                let margin = self.margin(place.bytes.start)?;
                let end = self.after_line(place.bytes.end)?;
                self.lines(end, words.iter().map(|word| format!("{margin}- {word}")).collect());
            }
            Shape::Scalar(_) => {
                self.parts.push((place.bytes.start, "[".to_owned()));
                self.parts.push((place.bytes.end, format!(", {}]", words.join(", "))));
            }
            Shape::Nothing => self.behind_key(key, place, &format!("[{}]", words.join(", ")))?,
            Shape::Mapping { .. } => return None,
        }
        Some(())
    }

    /// The value of a key that has none.
    fn behind_key(&mut self, key: &Place, place: &Place, value: &str) -> Option<()> {
        let Shape::Nothing = place.shape else { return None };
        let colon = self.text.get(key.bytes.end..)?.find(':')?;
        self.parts.push((key.bytes.end + colon + 1, format!(" {value}")));
        Some(())
    }

    fn lines(&mut self, at: usize, lines: Vec<String>) {
        self.parts.extend(lines.into_iter().map(|line| (at, line + "\n")));
    }

    /// What stands before a node on its line: spaces alone.
    fn margin(&self, at: usize) -> Option<&'t str> {
        let before = self.text.get(..at)?;
        let margin = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        margin.chars().all(|c| c == ' ').then_some(margin)
    }

    /// Behind the line on which something ends.
    fn after_line(&self, end: usize) -> Option<usize> {
        if self.text.get(..end)?.ends_with('\n') {
            return Some(end);
        }
        Some(end + self.text[end..].find('\n')? + 1)
    }

    fn done(mut self) -> String {
        self.parts.sort_by_key(|(at, _)| *at);
        let mut done = String::with_capacity(self.text.len() + 256);
        let mut from = 0;
        for (at, part) in &self.parts {
            done.push_str(&self.text[from..*at]);
            done.push_str(part);
            from = *at;
        }
        done + &self.text[from..]
    }
}
