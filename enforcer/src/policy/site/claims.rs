//! What a guest may claim to be: `addresses`, `shared`, `mac`, `router` and `dhcp-server` of an interface with `protects: guest`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::values::{Written, written};
use crate::policy::claims::{Claims, Mac};
use crate::policy::modes::Protects;
use crate::text::yaml::{Fields, Node, Reader, Value};

/// Addresses and prefixes of one guest at most.
const MOST_ADDRESSES: usize = 64;
const MAC: &str = "a hardware address such as `52:54:00:0a:00:01`";

/// The claims of a guest, with the places at which they stand.
pub(super) struct Said<'n> {
    pub(super) claims: Claims,
    addresses: Vec<(IpNet, &'n Node)>,
    mac: Option<&'n Node>,
}

/// Reads the claims of the guest behind an interface; `None`: nobody is behind it.
pub(super) fn claims<'n>(
    reader: &Reader<'_>,
    fields: &mut Fields<'_, 'n>,
    name: Option<&'n Node>,
    protects: Protects,
) -> Option<Said<'n>> {
    let keys = ["addresses", "shared", "mac", "router", "dhcp-server"];
    let found = keys.map(|key| fields.with_key(key));
    let is_pattern = |name: &&Node| matches!(&name.value, Value::Scalar { text, .. } if text.contains(['*', '?']));
    let pattern = name.filter(is_pattern);
    for (key, (at, _)) in keys.into_iter().zip(found).filter_map(|(key, found)| Some((key, found?))) {
        if protects == Protects::Host {
            let message = format!("`{key}` is about a guest, and this interface protects this host");
            let hint = "add `protects: guest` if a guest is behind this port; the addresses of this host are read from the kernel";
            reader.note(reader.text.error(at.at, message).with_hint(hint));
        } else if let Some(name) = pattern.filter(|_| matches!(key, "addresses" | "mac")) {
            let message = format!("`{key}` belongs to one guest, and {} may be many ports", name.describe());
            reader.note(
                reader.text.error(at.at, message).with_hint("name the port of this guest in an entry of its own"),
            );
        }
    }
    if protects == Protects::Host {
        return None;
    }
    let [addresses, shared, mac, router, dhcp_server] = found.map(|found| found.map(|(_, node)| node));
    let addresses = addresses.map(|node| prefixes(reader, node)).unwrap_or_default();
    let shared = shared.map(|node| prefixes(reader, node)).unwrap_or_default();
    for (net, node) in &shared {
        if addresses.iter().any(|(own, _)| own == net) {
            let message = format!("{} is the guest's own address and a shared one", node.describe());
            reader.note(reader.text.error(node.at, message).with_hint("remove it from `addresses` or from `shared`"));
        }
    }
    let sorted = |found: &[(IpNet, &Node)]| {
        let mut nets: Vec<IpNet> = found.iter().map(|(net, _)| *net).collect();
        nets.sort_unstable();
        nets
    };
    let flag = |node: Option<&Node>| node.and_then(|node| reader.boolean(node)).unwrap_or(false);
    let claims = Claims {
        addresses: sorted(&addresses),
        shared: sorted(&shared),
        mac: mac.and_then(|node| self::mac(reader, node)),
        router: flag(router),
        dhcp_server: flag(dhcp_server),
    };
    let mac = mac.filter(|_| claims.mac.is_some());
    Some(Said { claims, addresses, mac })
}

/// Notes addresses and hardware addresses that two guests have.
pub(super) fn refuse_claims_of_others(reader: &Reader<'_>, said: &[Said<'_>]) {
    for (number, one) in said.iter().enumerate().take_while(|_| !reader.is_full()) {
        let before = &said[..number];
        for (net, node) in &one.addresses {
            let others = before.iter().flat_map(|other| &other.addresses);
            let clash = others.into_iter().find(|(other, _)| other.contains(net) || net.contains(other));
            if let Some((_, first)) = clash {
                let message = format!("{} is an address of another guest as well", node.describe());
                let hint = format!(
                    "the other guest has it on line {}; an address that several guests may claim stands under `shared` of each",
                    first.at.line
                );
                reader.note(reader.text.error(node.at, message).with_hint(hint));
            }
        }
        let Some(node) = one.mac else { continue };
        if let Some(first) = before.iter().find_map(|other| other.mac.filter(|_| other.claims.mac == one.claims.mac)) {
            let message = format!("{} is the hardware address of another guest as well", node.describe());
            let hint = format!("the other guest has it on line {}", first.at.line);
            reader.note(reader.text.error(node.at, message).with_hint(hint));
        }
    }
}

/// Reads a hardware address.
pub(in crate::policy) fn mac(reader: &Reader<'_>, node: &Node) -> Option<Mac> {
    let found = Mac::parse(reader.string(node, MAC)?);
    if found.is_none() {
        reader.expected(node, MAC);
    }
    found
}

/// Addresses and prefixes, each once.
fn prefixes<'n>(reader: &Reader<'_>, node: &'n Node) -> Vec<(IpNet, &'n Node)> {
    let items = reader.one_or_more(node, "a list of addresses");
    if items.is_empty() && matches!(node.value, Value::Sequence(_)) {
        reader.error(node, "the list of addresses is empty");
    }
    if items.len() > MOST_ADDRESSES {
        reader.error(node, format!("a guest with {} addresses; {MOST_ADDRESSES} are the most", items.len()));
        return Vec::new();
    }
    let mut found: Vec<(IpNet, &Node)> = Vec::new();
    for item in reader.each(items) {
        let net = match written(reader, item) {
            Some(Written::Net(net)) => net,
            Some(Written::Name(_)) => {
                reader.expected(item, "an address or a prefix such as `10.1.1.10` or `2001:db8::/64`");
                continue;
            }
            None => continue,
        };
        if let Some(why) = nobodys(&net) {
            let message = format!("{} cannot be an address of a guest", item.describe());
            reader.note(reader.text.error(item.at, message).with_hint(why));
        } else if found.iter().any(|(known, _)| *known == net) {
            reader.error(item, format!("{} stands twice", item.describe()));
        } else {
            found.push((net, item));
        }
    }
    found
}

/// Why no host has addresses of this prefix.
fn nobodys(net: &IpNet) -> Option<&'static str> {
    let is_broadcast = |address: IpAddr| matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if net.prefix_len() == 0 {
        return Some("a guest whose addresses are not known has no `addresses`");
    }
    let both = [net.network(), net.broadcast()];
    if both[0].is_unspecified() {
        return Some("a guest that has no address yet may always ask for one");
    }
    if both.iter().any(|address| address.is_loopback() || address.is_multicast() || is_broadcast(*address)) {
        return Some("it is a loopback, multicast or broadcast address");
    }
    None
}
