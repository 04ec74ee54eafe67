//! An estate's tree, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::host::{Known, defaults, host};
use super::names::Names;
use super::{Defaults, Estate, Host, behind, outside, rules, tests};
use crate::policy::catalogue::{Catalogue, sharing};
use crate::policy::site::{Peers, read_name};
use crate::text::diagnostic::{Findings, Text};
use crate::text::yaml::{Node, Reader};

/// Hosts at most: seven times the largest contact centre that anybody runs.
const MOST_HOSTS: usize = 2_048;

/// Makes an estate of a tree.
pub(super) fn estate(text: Text, root: &Node, catalogue: &Catalogue) -> Result<Estate, Findings> {
    let reader = Reader::new(&text);
    let estate = read(&reader, root, catalogue);
    let findings = reader.into_findings();
    match estate {
        Some(estate) if findings.is_empty() => Ok(Estate { text: Arc::new(text), ..estate }),
        _ => Err(Findings(findings)),
    }
}

fn read(reader: &Reader<'_>, root: &Node, catalogue: &Catalogue) -> Option<Estate> {
    let mut fields = reader.fields(root, "an estate")?;
    let name_node = fields.required("estate");
    let name = name_node.and_then(|node| read_name(reader, node, "the name of an estate"));
    let release = fields.optional("release").and_then(|node| {
        let text = reader.string(node, "a release such as `\"11.5(1)\"`")?;
        Some((text.to_owned(), node.at))
    });
    let mut all = Defaults::default();
    if let Some(node) = fields.optional("defaults")
        && let Some(mut fields) = reader.fields(node, "`defaults`")
    {
        all = defaults(reader, &mut fields).1;
        fields.finish();
    }
    all.keys.release = release.or(all.keys.release);
    let outside_node = fields.optional("outside");
    let mut names = Names::default();
    let definitions = outside::definitions(reader, outside_node, &mut names);
    let host_node = fields.required("hosts");
    let (limit, allow, deny) = (fields.optional("limit"), fields.optional("allow"), fields.optional("deny"));
    let test_node = fields.optional("tests");
    let at = fields.at;
    fields.finish();
    let hosts = hosts(reader, host_node?, catalogue, &mut names)?;
    names.collisions(reader, catalogue);
    behind::resolve(reader, &hosts);
    let outside = outside::resolved(reader, outside_node, &definitions, &hosts, catalogue, &names);
    let places = names.outside.iter().chain(&names.hosts).map(|(name, at)| ((*name).to_owned(), *at)).collect();
    let peers = Peers { places, section: "outside", ..Peers::default() };
    let limits = limit.map(|node| rules::limits(reader, node, &hosts, &peers, catalogue)).unwrap_or_default();
    let rules = rules::rules(reader, [allow, deny], &hosts, &peers, catalogue);
    let known = tests::Known { hosts: &hosts, outside: &outside, names: &names, catalogue };
    let tests = test_node.map(|node| tests::tests(reader, node, &known)).unwrap_or_default();
    Some(Estate {
        text: Arc::default(),
        name: name?.to_owned(),
        at: name_node.map_or(at, |node| node.at),
        defaults: all,
        outside,
        hosts,
        limits,
        rules,
        tests,
    })
}

fn hosts<'n>(
    reader: &Reader<'_>,
    node: &'n Node,
    catalogue: &Catalogue,
    names: &mut Names<'n>,
) -> Option<BTreeMap<String, Host>> {
    let fields = reader.fields(node, "a mapping of hosts")?;
    let entries = fields.rest();
    if entries.is_empty() {
        reader.error(node, "the estate has no hosts");
    }
    if entries.len() > MOST_HOSTS {
        reader.error(node, format!("the estate has {} hosts; {MOST_HOSTS} are the most", entries.len()));
        return None;
    }
    let sharing = sharing(catalogue);
    let known = Known { catalogue, sharing: &sharing };
    let mut hosts = BTreeMap::new();
    let mut owners: BTreeMap<IpAddr, Vec<(String, &Node)>> = BTreeMap::new();
    for (name, key, value) in entries.into_iter().take_while(|_| !reader.is_full()) {
        if ["any", "none"].contains(&name) {
            reader.error(key, format!("`{name}` has a meaning of its own and cannot be the name of a host"));
            continue;
        }
        if read_name(reader, key, "the name of a host").is_none() {
            continue;
        }
        names.hosts.insert(name, key.at);
        let Some((host, places)) = host(reader, (name, key, value), &known) else { continue };
        for (address, place) in places {
            owners.entry(address).or_default().push((name.to_owned(), place));
        }
        hosts.insert(name.to_owned(), host);
    }
    for (address, owners) in &owners {
        let silent: BTreeSet<&str> = owners
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| hosts.get(*name).is_some_and(|host: &Host| !host.shared.contains(address)))
            .collect();
        if let ([(first, place), .., (last, node)], false) = (owners.as_slice(), silent.is_empty()) {
            let message = format!("`{last}` has the address {address}, and so has `{first}` (line {})", place.at.line);
            let hint = format!("if they share it, write `shared: [{address}]` at both");
            reader.note(reader.text.error(node.at, message).with_hint(hint));
        }
    }
    Some(hosts)
}
