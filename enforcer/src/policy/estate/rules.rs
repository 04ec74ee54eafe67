//! `allow`, `deny` and `limit` of an estate: the entries of a site file, and for which hosts they are.

use std::collections::{BTreeMap, BTreeSet};

use super::names::selected;
use super::{EstateRule, Host};
use crate::policy::catalogue::Catalogue;
use crate::policy::site::{KnownForLimits, Limit, Peers, read_limits, read_rule};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader, Value, inline};

/// Rules of an estate at most, as in a site file.
const MOST_RULES: usize = 10_000;

/// Reads `allow:` and `deny:`.
pub(super) fn rules(
    reader: &Reader<'_>,
    lists: [Option<&Node>; 2],
    hosts: &BTreeMap<String, Host>,
    peers: &Peers,
    catalogue: &Catalogue,
) -> Vec<EstateRule> {
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    let mut found = Vec::new();
    for (list, deny) in lists.into_iter().zip([false, true]) {
        let what = if deny { "a list of rules to deny" } else { "a list of rules to allow" };
        let nodes = list.map(|node| reader.list(node, what)).unwrap_or_default();
        if nodes.len() > MOST_RULES {
            reader.error(list.unwrap_or(&nodes[0]), format!("the estate has more than {MOST_RULES} rules of its own"));
            continue;
        }
        for node in reader.each(nodes) {
            let (selector, entry) = without_hosts(node);
            let (selectors, chosen) = match selector {
                Some(selector) => selected(reader, selector, hosts, catalogue),
                None => (Vec::new(), hosts.keys().cloned().collect::<BTreeSet<_>>()),
            };
            let Some(rule) = read_rule(reader, &entry, deny, peers, catalogue) else { continue };
            if let Some(line) = names.get(&rule.name) {
                let message = format!("two rules are called `{}`", rule.name);
                let hint = format!("the first is on line {line}; counters are kept by name");
                reader.note(reader.text.error(rule.at, message).with_hint(hint));
            } else {
                names.insert(rule.name.clone(), rule.at.line);
            }
            let written = inline(&entry);
            // A host that does nothing is not made a host by a rule for all.
            let chosen = match selector {
                Some(_) => chosen,
                None => chosen
                    .into_iter()
                    .filter(|name| hosts.get(name).is_some_and(|host| !host.roles.is_empty()))
                    .collect(),
            };
            found.push(EstateRule { rule, selectors, hosts: chosen, written });
        }
    }
    found
}

/// An entry without `hosts:`, and its value.
fn without_hosts(node: &Node) -> (Option<&Node>, Node) {
    let Value::Mapping(entries) = &node.value else { return (None, node.clone()) };
    let is_hosts = |key: &Node| matches!(&key.value, Value::Scalar { text, .. } if text == "hosts");
    let selector = entries.iter().find(|(key, value)| is_hosts(key) && !value.is_null()).map(|(_, value)| value);
    let rest = entries.iter().filter(|(key, _)| !is_hosts(key)).cloned().collect();
    (selector, Node { at: node.at, value: Value::Mapping(rest) })
}

/// Reads `limit:`.
pub(super) fn limits(
    reader: &Reader<'_>,
    node: &Node,
    hosts: &BTreeMap<String, Host>,
    peers: &Peers,
    catalogue: &Catalogue,
) -> BTreeMap<String, Limit> {
    let limits = read_limits(reader, node, &KnownForLimits { catalogue, peers, roles: None });
    let roles: BTreeSet<&str> = hosts
        .values()
        .flat_map(|host| &host.roles)
        .flat_map(|used| catalogue.flatten(&used.role))
        .map(|role| role.name.as_str())
        .collect();
    for (id, limit) in &limits {
        let role = id.split('/').next().unwrap_or_default();
        if !roles.contains(role) {
            let hint = did_you_mean(role, roles.iter().copied()).unwrap_or_else(|| "remove the entry".to_owned());
            let message = format!("no host has the role `{role}`, so there is nothing to narrow");
            reader.note(reader.text.error(limit.at, message).with_hint(hint));
        }
    }
    limits
}
