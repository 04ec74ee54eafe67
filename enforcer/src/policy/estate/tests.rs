//! `tests:`: what must hold in every release of the estate.

use std::collections::BTreeMap;

use enforcer_common::numbers::{ICMP, ICMPV6, SCTP, TCP, UDP};
use ipnet::IpNet;

use super::names::Names;
use super::{Host, Outside, Test};
use crate::policy::catalogue::Catalogue;
use crate::policy::site::{Written, parse_protocol, read_written};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader};

/// Tests at most.
const MOST_TESTS: usize = 10_000;

/// What names of tests may mean.
pub(super) struct Known<'a> {
    pub hosts: &'a BTreeMap<String, Host>,
    pub outside: &'a BTreeMap<String, Outside>,
    pub names: &'a Names<'a>,
    pub catalogue: &'a Catalogue,
}

/// Reads `tests:`.
pub(super) fn tests(reader: &Reader<'_>, node: &Node, known: &Known<'_>) -> Vec<Test> {
    let nodes = reader.list(node, "a list of tests");
    if nodes.len() > MOST_TESTS {
        reader.error(node, format!("the estate has more than {MOST_TESTS} tests"));
        return Vec::new();
    }
    reader.each(nodes).filter_map(|node| test(reader, node, known)).collect()
}

fn test(reader: &Reader<'_>, node: &Node, known: &Known<'_>) -> Option<Test> {
    let mut fields = reader.fields(node, "a test")?;
    let (from, to) = (fields.required("from"), fields.required("to"));
    let mut services: Vec<(&Node, u8, Option<u16>)> = Vec::new();
    for (name, protocol) in [("tcp", TCP), ("udp", UDP), ("sctp", SCTP)] {
        if let Some(node) = fields.optional(name)
            && let Some(port) = reader.integer(node, "a port", &(1..=65535))
        {
            services.push((node, protocol, u16::try_from(port).ok()));
        }
    }
    if let Some(node) = fields.optional("protocol")
        && let Some(text) = reader.string(node, "a protocol, by name or number")
    {
        match parse_protocol(text) {
            Some(TCP | UDP | SCTP) => reader.error(node, format!("write `{text}: PORT` instead")),
            Some(number) => services.push((node, number, None)),
            None => reader.error(node, format!("no protocol is called {}", node.describe())),
        }
    }
    let expect = fields.required("expect").and_then(|node| reader.word(node, &[("pass", true), ("drop", false)]));
    let at = fields.at;
    fields.finish();
    if let Some((second, ..)) = services.get(1) {
        reader.error(second, "a test is about one protocol and port");
    } else if services.is_empty() && reader.is_clean() {
        let hint = "`tcp: 443`, `udp: 161`, or `protocol: icmp` for ping";
        reader.note(reader.text.error(at, "the test names no port").with_hint(hint));
    }
    let end = |node: Option<&Node>| node.and_then(|node| end(reader, node, known));
    let (from, to) = (end(from), end(to));
    let (from, sources) = from?;
    let (to, destinations) = to?;
    if !known.hosts.contains_key(&from) && !known.hosts.contains_key(&to) {
        let message = "neither end of the test is a host of the estate";
        reader.note(reader.text.error(at, message).with_hint("one of `from` and `to` names a host"));
        return None;
    }
    let &(_, protocol, port) = services.first()?;
    // The two pings are one thing to an operator.
    let protocol = if protocol == ICMPV6 { ICMP } else { protocol };
    Some(Test { from, sources, to, destinations, protocol, port, passes: expect?, at })
}

/// A name and its addresses.
fn end(reader: &Reader<'_>, node: &Node, known: &Known<'_>) -> Option<(String, Vec<IpNet>)> {
    let name = match read_written(reader, node)? {
        Written::Net(net) => return Some((net.to_string(), vec![net])),
        Written::Name(name) => name,
    };
    if let Some(host) = known.hosts.get(name) {
        return Some((name.to_owned(), host.addresses.iter().map(|address| IpNet::from(*address)).collect()));
    }
    if let Some(outside) = known.outside.get(name) {
        if outside.nets.is_empty() {
            reader.error(node, format!("`{name}` has no addresses under `outside:`"));
            return None;
        }
        return Some((name.to_owned(), outside.nets.keys().copied().collect()));
    }
    if known.names.hosts.contains_key(name) || known.names.outside.contains_key(name) {
        // Something is wrong with it, which is said where it stands.
        return None;
    }
    let names = known.hosts.keys().chain(known.outside.keys()).map(String::as_str);
    let hint = did_you_mean(name, names).unwrap_or_else(|| match known.catalogue.peers.get(name) {
        Some(_) => format!("list its addresses as `{name}: [...]` under `outside:`"),
        None => "name a host, a name under `outside:`, or an address".to_owned(),
    });
    let message = format!("no host or name under `outside:` is called {}", node.describe());
    reader.note(reader.text.error(node.at, message).with_hint(hint));
    None
}
