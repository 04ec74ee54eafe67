//! Names in an estate: what they may mean, and the near ones of those that mean nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Host;
use crate::policy::catalogue::Catalogue;
use crate::text::diagnostic::Position;
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader};

/// The names of an estate, by kind.
#[derive(Debug, Default)]
pub(super) struct Names<'n> {
    /// Hosts, with the line of each.
    pub hosts: BTreeMap<&'n str, Position>,
    /// Names of `outside:`.
    pub outside: BTreeMap<&'n str, Position>,
}

impl Names<'_> {
    /// Notes hosts whose names mean something else, too.
    pub(super) fn collisions(&self, reader: &Reader<'_>, catalogue: &Catalogue) {
        for (host, at) in self.hosts.iter().take_while(|_| !reader.is_full()) {
            let other = if let Some(outside) = self.outside.get(host) {
                format!("a name under `outside:` (line {})", outside.line)
            } else if catalogue.peers.contains_key(*host) {
                "a peer of the catalogue".to_owned()
            } else if catalogue.roles.contains_key(*host) {
                "a role of the catalogue".to_owned()
            } else {
                continue;
            };
            let message = format!("the host `{host}` is called like {other}, so rules could mean either");
            let hint = format!("call it otherwise, such as `{host}1`");
            reader.note(reader.text.error(*at, message).with_hint(hint));
        }
    }
}

/// The hosts that a list of names, roles and clusters selects; an empty list where something is wrong.
pub(super) fn selected(
    reader: &Reader<'_>,
    node: &Node,
    hosts: &BTreeMap<String, Host>,
    catalogue: &Catalogue,
) -> (Vec<String>, BTreeSet<String>) {
    let (mut selectors, mut found) = (Vec::new(), BTreeSet::new());
    for item in reader.each(reader.one_or_more(node, "a list of hosts, roles and clusters")) {
        let Some(name) = reader.string(item, "the name of a host, a role or a cluster") else { continue };
        let has_role = |host: &Host| {
            host.roles.iter().any(|used| catalogue.flatten(&used.role).iter().any(|role| role.name == name))
        };
        let meant = |host: &&Host| host.name == name || host.cluster.as_deref() == Some(name) || has_role(host);
        let before = found.len();
        let named: Vec<String> = hosts.values().filter(meant).map(|host| host.name.clone()).collect();
        let is_role = catalogue.roles.contains_key(name);
        if named.is_empty() && !is_role {
            let clusters = hosts.values().filter_map(|host| host.cluster.as_deref());
            let known =
                hosts.keys().map(String::as_str).chain(clusters).chain(catalogue.roles.keys().map(String::as_str));
            let known: BTreeSet<&str> = known.collect();
            let hint = did_you_mean(name, known)
                .unwrap_or_else(|| "`hosts` lists names of hosts, clusters and roles of the estate".to_owned());
            let message = format!("no host, role or cluster is called {}", item.describe());
            reader.note(reader.text.error(item.at, message).with_hint(hint));
        } else if named.is_empty() {
            let message = format!("no host has the role `{name}`, so the entry is for nobody");
            reader.note(reader.text.error(item.at, message).with_hint("remove it from the list"));
        }
        found.extend(named);
        if found.len() > before || is_role {
            selectors.push(name.to_owned());
        }
    }
    (selectors, found)
}
