//! From a tree back to text: block style outside, flow style inside, as a person writes site files.

use std::fmt::Write as _;

use super::{Node, Value};

/// Longer lists of scalars go over several lines.
const LINE: usize = 110;

/// The text of a tree. Reading it gives an equal tree, but for places.
#[must_use]
pub fn write(root: &Node) -> String {
    let mut text = String::new();
    match &root.value {
        Value::Mapping(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, value)| field(&mut text, key, value));
        }
        Value::Mapping(_) | Value::Sequence(_) | Value::Scalar { .. } => {
            flow(&mut text, root);
            text.push('\n');
        }
    }
    text
}

/// A node on one line.
#[must_use]
pub fn inline(node: &Node) -> String {
    let mut text = String::new();
    flow(&mut text, node);
    text
}

/// A key of the outermost mapping.
fn field(text: &mut String, key: &Node, value: &Node) {
    flow(text, key);
    match &value.value {
        Value::Sequence(items) if items.iter().any(|item| !matches!(item.value, Value::Scalar { .. })) => {
            text.push_str(":\n");
            for item in items {
                text.push_str("  - ");
                flow(text, item);
                text.push('\n');
            }
        }
        Value::Mapping(fields) if !fields.is_empty() => {
            text.push_str(":\n");
            for (key, value) in fields {
                text.push_str("  ");
                flow(text, key);
                below(text, value, 4);
            }
        }
        Value::Sequence(_) | Value::Mapping(_) | Value::Scalar { .. } => below(text, value, 2),
    }
}

/// A value behind its key; a long list of scalars below it.
fn below(text: &mut String, value: &Node, indent: usize) {
    let mut line = String::new();
    flow(&mut line, value);
    match &value.value {
        Value::Sequence(items) if line.len() > LINE => {
            text.push_str(":\n");
            for item in items {
                // Writing to a string cannot fail.
                let _ = write!(text, "{:indent$}- ", "");
                flow(text, item);
                text.push('\n');
            }
        }
        Value::Sequence(_) | Value::Mapping(_) | Value::Scalar { .. } => {
            text.push_str(": ");
            text.push_str(&line);
            text.push('\n');
        }
    }
}

fn flow(text: &mut String, node: &Node) {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => text.push('~'),
        Value::Scalar { text: scalar, .. } => quoted(text, scalar),
        Value::Sequence(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                flow(text, item);
            }
            text.push(']');
        }
        Value::Mapping(fields) => {
            text.push('{');
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                flow(text, key);
                text.push_str(": ");
                flow(text, value);
            }
            text.push('}');
        }
    }
}

/// A scalar, in quotes where it could be taken for something else.
fn quoted(text: &mut String, scalar: &str) {
    let plain = scalar.starts_with(|c: char| c.is_ascii_alphanumeric())
        && scalar.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-+".contains(&byte))
        && scalar != "null";
    if plain {
        text.push_str(scalar);
        return;
    }
    text.push('"');
    for character in scalar.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\n' => text.push_str("\\n"),
            // Line breaks that YAML knows beside the usual one, and what no terminal should be sent.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::diagnostic::{Position, Text};
    use crate::text::yaml::{Limits, parse};

    /// The tree without places and styles.
    fn plain(node: &Node) -> String {
        match &node.value {
            Value::Scalar { .. } if node.is_null() => "null".to_owned(),
            Value::Scalar { text, .. } => format!("{text:?}"),
            Value::Sequence(items) => format!("{:?}", items.iter().map(plain).collect::<Vec<_>>()),
            Value::Mapping(fields) => {
                format!("{:?}", fields.iter().map(|(key, value)| (plain(key), plain(value))).collect::<Vec<_>>())
            }
        }
    }

    fn read(text: &str) -> Node {
        parse(&Text::new("test", text), Limits::SITE).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
    }

    #[test]
    fn a_site_reads_back_as_it_was() {
        for text in [
            "interfaces: eth0\nroles: [a, {role: b, side: a}]\npeers: {x: , y: ~, z: [10.0.0.1, \"2001:db8::/32\"]}\n",
            "mode: {inbound: enforce, outbound: audit}\nallow:\n  - {name: a, reason: \"x: \\\"y\\\" \\\\ #z\", ports: any}\n",
            "a: []\nb: {}\nc: 'null'\nd: \"\"\ne: \"- x\"\nf: \"a\\nb\\tc\\u2028\"\n",
        ] {
            let tree = read(text);
            assert_eq!(plain(&read(&write(&tree))), plain(&tree), "{}", write(&tree));
        }
    }

    #[test]
    fn long_lists_go_over_several_lines() {
        let at = Position { line: 1, column: 1, length: 1 };
        let items = (0..40).map(|n| Node::scalar(at, format!("10.0.0.{n}"))).collect();
        let list = Node { at, value: Value::Sequence(items) };
        let peers = Node { at, value: Value::Mapping(vec![(Node::scalar(at, "phones"), list)]) };
        let tree = Node { at, value: Value::Mapping(vec![(Node::scalar(at, "peers"), peers)]) };
        let text = write(&tree);
        assert!(text.starts_with("peers:\n  phones:\n    - 10.0.0.0\n    - 10.0.0.1\n"), "{text}");
        assert_eq!(plain(&read(&text)), plain(&tree));
    }
}
