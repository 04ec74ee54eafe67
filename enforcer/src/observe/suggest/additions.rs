//! What a suggestion adds to a site: to its tree, and as a fragment of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enforcer_common::Direction;

use super::kinds::Tried;
use crate::policy::site::protocol_name;
use crate::text::diagnostic::Position;
use crate::text::yaml::{Node, Value};

/// Parts of a tree that nobody wrote stand nowhere.
const NOWHERE: Position = Position { line: 1, column: 1, length: 1 };

/// Roles, addresses of peers, and entries of `allow`.
#[derive(Clone, Debug, Default)]
pub(super) struct Additions {
    pub roles: Vec<RoleEntry>,
    pub peers: BTreeMap<String, BTreeSet<IpAddr>>,
    pub allow: Vec<AllowEntry>,
}

/// A role with the settings that have no default, or need another one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RoleEntry {
    pub role: String,
    pub settings: BTreeMap<String, String>,
}

/// An entry of `allow`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AllowEntry {
    pub name: String,
    pub direction: Direction,
    pub tried: Tried,
    /// Empty where there is no address to match.
    pub remotes: BTreeSet<IpAddr>,
    pub reason: &'static str,
}

impl Additions {
    pub(super) fn extend(&mut self, other: &Self) {
        self.roles.extend(other.roles.iter().cloned());
        for (name, addresses) in &other.peers {
            self.peers.entry(name.clone()).or_default().extend(addresses);
        }
        self.allow.extend(other.allow.iter().cloned());
    }

    /// They alone, as part of a site file.
    pub(super) fn fragment(&self) -> Node {
        self.add_to(&mapping(Vec::new()))
    }

    /// A site's tree with them.
    pub(super) fn add_to(&self, tree: &Node) -> Node {
        let mut tree = tree.clone();
        let Value::Mapping(fields) = &mut tree.value else { return tree };
        if !self.roles.is_empty() {
            let list = list_of(entry(fields, "roles"));
            list.extend(self.roles.iter().map(role));
        }
        if !self.peers.is_empty() {
            let peers = entry(fields, "peers");
            if !matches!(peers.value, Value::Mapping(_)) {
                peers.value = Value::Mapping(Vec::new());
            }
            if let Value::Mapping(peers) = &mut peers.value {
                for (name, addresses) in &self.peers {
                    list_of(entry(peers, name)).extend(addresses.iter().map(|address| text(address.to_string())));
                }
            }
        }
        if !self.allow.is_empty() {
            list_of(entry(fields, "allow")).extend(self.allow.iter().map(allow));
        }
        tree
    }
}

/// The value of a key, made where there is none.
fn entry<'t>(fields: &'t mut Vec<(Node, Node)>, key: &str) -> &'t mut Node {
    let is_key = |node: &Node| matches!(&node.value, Value::Scalar { text, .. } if text == key);
    let index = fields.iter().position(|(known, _)| is_key(known)).unwrap_or_else(|| {
        fields.push((text(key), Node { at: NOWHERE, value: Value::Sequence(Vec::new()) }));
        fields.len() - 1
    });
    &mut fields[index].1
}

/// A value as a list: what stands there alone is its only item.
fn list_of(node: &mut Node) -> &mut Vec<Node> {
    if !matches!(node.value, Value::Sequence(_)) {
        let alone = node.clone();
        node.value = Value::Sequence(if alone.is_null() { Vec::new() } else { vec![alone] });
    }
    match &mut node.value {
        Value::Sequence(items) => items,
        Value::Scalar { .. } | Value::Mapping(_) => unreachable!("it was made a list above"),
    }
}

fn role(entry: &RoleEntry) -> Node {
    if entry.settings.is_empty() {
        return text(&entry.role);
    }
    let settings = entry.settings.iter().map(|(key, value)| (text(key), text(value)));
    mapping(std::iter::once((text("role"), text(&entry.role))).chain(settings).collect())
}

fn allow(entry: &AllowEntry) -> Node {
    let mut fields = vec![(text("name"), text(&entry.name))];
    let mut add = |key: &str, value: Node| fields.push((text(key), value));
    if entry.direction == Direction::Outbound {
        add("direction", text("out"));
    }
    match entry.tried {
        Tried::Port { protocol, port } => {
            add("protocol", text(protocol_name(protocol)));
            add("ports", list(std::iter::once(text(port.to_string()))));
        }
        Tried::Protocol(protocol) | Tried::Icmp { protocol, .. } => add("protocol", text(protocol_name(protocol))),
        Tried::Ethertype(ethertype) => add("ethertype", text(format!("0x{ethertype:04x}"))),
    }
    if !entry.remotes.is_empty() {
        let key = match entry.direction {
            Direction::Inbound => "from",
            Direction::Outbound => "to",
        };
        add(key, list(entry.remotes.iter().map(|address| text(address.to_string()))));
    }
    add("reason", text(entry.reason));
    mapping(fields)
}

fn text(value: impl Into<String>) -> Node {
    Node::scalar(NOWHERE, value)
}

fn list(items: impl Iterator<Item = Node>) -> Node {
    Node { at: NOWHERE, value: Value::Sequence(items.collect()) }
}

const fn mapping(fields: Vec<(Node, Node)>) -> Node {
    Node { at: NOWHERE, value: Value::Mapping(fields) }
}
