//! `outside:`: names to addresses of devices that are no hosts of the estate, through other names and hosts.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::names::Names;
use super::{Host, Outside};
use crate::policy::catalogue::Catalogue;
use crate::policy::site::{Definition, Written, cycles, read_name, read_written};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader};

/// Prefixes that all names may stand for together, counted again for every name that others are made of.
const RESOLVED: usize = 300_000;

/// Reads the names and what each is made of.
pub(super) fn definitions<'n>(
    reader: &Reader<'_>,
    node: Option<&'n Node>,
    names: &mut Names<'n>,
) -> BTreeMap<&'n str, Definition<'n>> {
    let mut definitions = BTreeMap::new();
    let entries = node.and_then(|node| reader.fields(node, "a mapping of remote devices and their addresses"));
    let entries = entries.map(|fields| fields.rest()).unwrap_or_default();
    for (name, key, value) in entries.into_iter().take_while(|_| !reader.is_full()) {
        if ["any", "none"].contains(&name) {
            reader.error(key, format!("`{name}` has a meaning of its own and cannot be the name of a remote device"));
            continue;
        }
        if read_name(reader, key, "the name of a remote device").is_none() {
            continue;
        }
        let mut definition = Definition { nets: Vec::new(), names: Vec::new() };
        let what = "a list of addresses, prefixes, hosts or other names";
        let items = if value.is_null() { &[] } else { reader.one_or_more(value, what) };
        for item in reader.each(items) {
            match read_written(reader, item) {
                Some(Written::Net(net)) => definition.nets.push(net),
                Some(Written::Name(name)) => definition.names.push((name, item)),
                None => {}
            }
        }
        names.outside.insert(name, key.at);
        definitions.insert(name, definition);
    }
    definitions
}

/// The addresses behind each name. Notes names that mean nothing and those that are made of themselves.
pub(super) fn resolved(
    reader: &Reader<'_>,
    node: Option<&Node>,
    definitions: &BTreeMap<&str, Definition<'_>>,
    hosts: &BTreeMap<String, Host>,
    catalogue: &Catalogue,
    names: &Names<'_>,
) -> BTreeMap<String, Outside> {
    let mut found = BTreeMap::new();
    let mut are_known = true;
    for (other, item) in definitions.values().flat_map(|definition| &definition.names) {
        if definitions.contains_key(other) || names.hosts.contains_key(other) {
            continue;
        }
        are_known = false;
        if reader.is_full() {
            break;
        }
        let peer = catalogue.peers.get(*other);
        let known: BTreeSet<&str> = definitions.keys().chain(names.hosts.keys()).copied().collect();
        let hint = match peer {
            Some(peer) if !peer.roles.is_empty() => {
                "hosts with a role are found by their roles; name single hosts here".to_owned()
            }
            Some(_) => format!("list its addresses as `{other}: [...]` under `outside:`"),
            None => did_you_mean(other, known)
                .unwrap_or_else(|| "define it under `outside:`, or write the addresses here".to_owned()),
        };
        let message = format!("no host or name under `outside:` is called {}", item.describe());
        reader.note(reader.text.error(item.at, message).with_hint(hint));
    }
    if !cycles(reader, definitions) || !are_known {
        return found;
    }
    let mut budget = RESOLVED;
    for (name, definition) in definitions {
        let mut nets: BTreeMap<IpNet, Option<String>> = definition.nets.iter().map(|net| (*net, None)).collect();
        for (other, _) in &definition.names {
            if let Some(host) = hosts.get(*other) {
                budget = budget.saturating_sub(host.addresses.len());
                for address in &host.addresses {
                    nets.entry(IpNet::from(*address)).or_insert_with(|| Some((*other).to_owned()));
                }
                continue;
            }
            let inner = through(definitions, other, hosts, &mut budget);
            for net in inner {
                nets.entry(net).or_insert_with(|| Some((*other).to_owned()));
            }
        }
        budget = budget.saturating_sub(definition.nets.len());
        if budget == 0 {
            let message =
                format!("the names stand for more than {RESOLVED} prefixes, counted through the names they list");
            if let Some(node) = node {
                reader.error(node, message);
            }
            return BTreeMap::new();
        }
        let at = names.outside.get(name).copied().unwrap_or_default();
        found.insert((*name).to_owned(), Outside { nets, at });
    }
    found
}

/// Every address behind a name, through names and hosts.
fn through(
    definitions: &BTreeMap<&str, Definition<'_>>,
    name: &str,
    hosts: &BTreeMap<String, Host>,
    budget: &mut usize,
) -> Vec<IpNet> {
    let mut nets = Vec::new();
    let mut open = vec![name];
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if *budget == 0 {
            break;
        }
        if !seen.insert(name) {
            continue;
        }
        let (before, waiting) = (nets.len(), open.len());
        if let Some(definition) = definitions.get(name) {
            nets.extend_from_slice(&definition.nets);
            open.extend(definition.names.iter().map(|(name, _)| *name));
        } else if let Some(host) = hosts.get(name) {
            nets.extend(host.addresses.iter().map(|address| IpNet::from(*address)));
        }
        *budget = budget.saturating_sub(1 + nets.len() - before + open.len() - waiting);
    }
    nets
}
