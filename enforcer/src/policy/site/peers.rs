//! Peers: names to addresses, through names of other peers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::RemoteHost;
use super::remote::Draft;
use super::values::{Written, name, written};
use crate::policy::catalogue::Catalogue;
use crate::text::diagnostic::Position;
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader, Value};

/// Prefixes that all peers may stand for together, counted again for every peer that others are made of.
const RESOLVED: usize = 300_000;

/// The peers of a site.
#[derive(Debug, Default)]
pub(in crate::policy) struct Peers {
    /// Those that have addresses.
    pub bound: BTreeMap<String, Arc<[IpNet]>>,
    /// Those of which others are made.
    pub names: BTreeSet<String>,
    /// All that the site lists.
    pub places: BTreeMap<String, Position>,
    /// Those of which the site says that there are none.
    pub nobody: BTreeSet<String>,
    /// The key under which they stand.
    pub section: &'static str,
}

/// What stands behind a name in the file.
pub(in crate::policy) struct Definition<'n> {
    /// Addresses that are written out.
    pub nets: Vec<IpNet>,
    /// Names of others.
    pub names: Vec<(&'n str, &'n Node)>,
}

/// Reads `peers:`, and puts the hosts of `remote:` behind the peers that mean the servers of their roles.
pub(super) fn peers(
    reader: &Reader<'_>,
    node: Option<&Node>,
    remotes: Vec<Draft<'_>>,
    catalogue: &Catalogue,
) -> (Peers, Vec<RemoteHost>) {
    let mut definitions: BTreeMap<&str, Definition<'_>> = BTreeMap::new();
    let mut peers = Peers { section: "peers", ..Peers::default() };
    let entries = node.and_then(|node| reader.fields(node, "a mapping of peers and their addresses"));
    let entries = entries.map(|fields| fields.rest()).unwrap_or_default();
    for (peer, key, value) in entries.into_iter().take_while(|_| !reader.is_full()) {
        if peer == "any" {
            reader.error(key, "`any` stands for every address and cannot be the name of a peer");
            continue;
        }
        if name(reader, key, "the name of a peer").is_none() {
            continue;
        }
        let mut definition = Definition { nets: Vec::new(), names: Vec::new() };
        if matches!(&value.value, Value::Scalar { text, .. } if text == "none") {
            peers.nobody.insert(peer.to_owned());
            peers.places.insert(peer.to_owned(), key.at);
            continue;
        }
        let items =
            if value.is_null() { &[] } else { reader.one_or_more(value, "a list of addresses, prefixes or peers") };
        for item in reader.each(items) {
            match written(reader, item) {
                Some(Written::Net(net)) => definition.nets.push(net),
                Some(Written::Name(name)) => definition.names.push((name, item)),
                None => {}
            }
        }
        peers.places.insert(peer.to_owned(), key.at);
        definitions.insert(peer, definition);
    }
    let mut places = peers.places.clone();
    for remote in &remotes {
        places.entry(remote.servers.to_owned()).or_insert(remote.at);
    }
    let in_remotes = remotes.iter().flat_map(|remote| &remote.names);
    let mut are_known = true;
    for (other, node) in definitions.values().flat_map(|definition| &definition.names).chain(in_remotes) {
        are_known &= known(reader, node, other, (&places, peers.section), catalogue);
        peers.names.insert((*other).to_owned());
    }
    if !cycles(reader, &definitions) {
        return (peers, Vec::new());
    }
    let mut budget = RESOLVED;
    let mut hosts = Vec::with_capacity(remotes.len());
    let mut remote_nets: Vec<(&str, Vec<IpNet>)> = Vec::with_capacity(remotes.len());
    for remote in remotes {
        // What `peers:` itself lists: addresses of other entries of `remote:` are none of this one's.
        let names = remote.names.iter().map(|(name, _)| *name).collect();
        let Some(mut nets) = resolve(&definitions, names, &mut budget) else { break };
        nets.extend(&remote.nets);
        if nets.is_empty() && !remote.names.is_empty() && are_known {
            let message = format!("the entry for `{}` names peers that have no addresses under `peers:`", remote.role);
            reader.note(reader.text.error(remote.at, message).with_hint("write the addresses of these hosts here"));
        }
        let addresses = aggregated(&nets);
        remote_nets.push((remote.servers, nets));
        let Draft { role, settings, moved, at, .. } = remote;
        hosts.push(RemoteHost { role, settings, moved, addresses, at });
    }
    peers.places = places;
    for (name, nets) in remote_nets {
        peers.nobody.remove(name);
        definitions.entry(name).or_insert(Definition { nets: Vec::new(), names: Vec::new() }).nets.extend(nets);
    }
    for peer in definitions.keys() {
        let Some(nets) = resolve(&definitions, vec![peer], &mut budget) else { break };
        if !nets.is_empty() {
            peers.bound.insert((*peer).to_owned(), aggregated(&nets));
        }
    }
    if let (0, Some(node)) = (budget, node) {
        let message = format!("the peers stand for more than {RESOLVED} prefixes, counted through the peers they name");
        reader.error(node, message);
    }
    (peers, hosts)
}

/// Every prefix of these peers, through the peers that they name; `None` where the budget is used up.
fn resolve<'n>(
    definitions: &BTreeMap<&'n str, Definition<'n>>,
    names: Vec<&'n str>,
    budget: &mut usize,
) -> Option<Vec<IpNet>> {
    let mut nets = Vec::new();
    let mut open = names;
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let (true, Some(definition)) = (seen.insert(name), definitions.get(name)) {
            nets.extend_from_slice(&definition.nets);
            open.extend(definition.names.iter().map(|(name, _)| *name));
        }
        *budget = budget.saturating_sub(1 + nets.len());
        if *budget == 0 {
            return None;
        }
    }
    Some(nets)
}

/// Notes a name that neither the site nor the catalogue knows.
pub(super) fn known(
    reader: &Reader<'_>,
    node: &Node,
    name: &str,
    (places, section): (&BTreeMap<String, Position>, &str),
    catalogue: &Catalogue,
) -> bool {
    if places.contains_key(name) || catalogue.peers.contains_key(name) {
        return true;
    }
    if reader.is_full() {
        return false;
    }
    let names = catalogue.peers.keys().chain(places.keys()).map(String::as_str);
    let hint = did_you_mean(name, names)
        .unwrap_or_else(|| format!("define it under `{section}:`, or write the addresses here"));
    let message = format!("no peer is called {}", node.describe());
    reader.note(reader.text.error(node.at, message).with_hint(hint));
    false
}

/// Sorted, without a prefix inside another, neighbours joined.
pub(crate) fn aggregated(nets: &[IpNet]) -> Arc<[IpNet]> {
    let mut nets = IpNet::aggregate(&nets.to_vec());
    nets.sort();
    nets.into()
}

/// Notes every name that leads back to the peer it is part of, by a depth-first search over names. Whether there is none.
pub(in crate::policy) fn cycles(reader: &Reader<'_>, definitions: &BTreeMap<&str, Definition<'_>>) -> bool {
    let mut none = true;
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in definitions.keys() {
        let mut path: BTreeSet<&str> = BTreeSet::new();
        let mut stack: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((name, next)) = stack.pop() {
            if next == 0 && (done.contains(name) || !path.insert(name)) {
                continue;
            }
            let names = definitions.get(name).map(|definition| definition.names.as_slice()).unwrap_or_default();
            let Some((other, node)) = names.get(next) else {
                path.remove(name);
                done.insert(name);
                continue;
            };
            stack.push((name, next + 1));
            if path.contains(other) {
                none = false;
                reader.error(node, format!("the peer `{other}` is made of itself through `{name}`"));
            } else {
                stack.push((other, 0));
            }
        }
    }
    none
}
