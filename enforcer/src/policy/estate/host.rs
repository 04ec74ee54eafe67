//! One host of the estate.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::behind::behind;
use super::{By, Defaults, Host};
use crate::policy::catalogue::Catalogue;
use crate::policy::site::{RoleUse, Written, host_keys, read_interfaces, read_name, read_role, read_written};
use crate::text::yaml::{Fields, Node, Reader, Value};

/// Addresses of one host at most.
const MOST_ADDRESSES: usize = 64;
/// Roles of one host at most, as in a site file.
const MOST_ROLES: usize = 256;

/// What is looked up for every host.
pub(super) struct Known<'c> {
    pub catalogue: &'c Catalogue,
    /// Pairs of roles that can share a host.
    pub sharing: &'c BTreeSet<(&'c str, &'c str)>,
}

/// Reads a host, and the places of its addresses.
pub(super) fn host<'n>(
    reader: &Reader<'_>,
    (name, key, value): (&str, &Node, &'n Node),
    known: &Known<'_>,
) -> Option<(Host, Vec<(IpAddr, &'n Node)>)> {
    let mut fields = reader.fields(value, "a host")?;
    let places = fields.required("addresses").map(|node| addresses(reader, node)).unwrap_or_default();
    let shared = fields.optional("shared").map(|node| addresses(reader, node)).unwrap_or_default();
    let cluster = group(reader, fields.optional("cluster"), "cluster");
    let network = group(reader, fields.optional("network"), "network");
    let behind_node = fields.optional("behind");
    let behind = behind_node.map(|node| behind(reader, node)).unwrap_or_default();
    let by = fields.optional("by").and_then(|node| Some((node, reader.word(node, &By::WORDS)?)));
    let role_nodes =
        fields.optional("roles").map(|node| reader.one_or_more(node, "a list of roles")).unwrap_or_default();
    let mut roles: Vec<RoleUse> = Vec::new();
    if role_nodes.len() > MOST_ROLES {
        reader.error(key, format!("the host has {} roles; {MOST_ROLES} are the most", role_nodes.len()));
    } else {
        for node in reader.each(role_nodes) {
            let Some(used) = read_role(reader, node, known.catalogue) else { continue };
            share(reader, node, &roles, &used, known);
            roles.push(used);
        }
    }
    let (interface_node, own) = defaults(reader, &mut fields);
    fields.finish();
    let own_addresses: BTreeSet<IpAddr> = places.iter().map(|(address, _)| *address).collect();
    for (address, node) in &shared {
        if !own_addresses.contains(address) {
            let message = format!("{address} is not among the addresses of `{name}`");
            reader.note(
                reader.text.error(node.at, message).with_hint("`shared` repeats an address that another host has, too"),
            );
        }
    }
    if let (Some(_), Some(node)) = (behind_node, interface_node) {
        let hint = "`interfaces` is for hosts that protect themselves; remove one of the two";
        let message = format!("`{name}` is protected where it runs, so it has no `interfaces` of its own");
        reader.note(reader.text.error(node.at, message).with_hint(hint));
    }
    if let (Some(node), Some((_, word))) = (behind_node, by)
        && word != By::Enforcer
    {
        let message = format!("`{name}` is protected where it runs, and by `{}`", word.name());
        reader.note(reader.text.error(node.at, message).with_hint("remove `behind` or `by`"));
    }
    let host = Host {
        name: name.to_owned(),
        at: key.at,
        addresses: own_addresses,
        shared: shared.into_iter().map(|(address, _)| address).collect(),
        cluster,
        network,
        behind,
        by: by.map_or(By::Enforcer, |(_, word)| word),
        roles,
        own,
    };
    Some((host, places))
}

/// What a host says of itself, and `defaults:` for all.
pub(super) fn defaults<'n>(reader: &Reader<'_>, fields: &mut Fields<'_, 'n>) -> (Option<&'n Node>, Defaults) {
    let keys = host_keys(reader, fields);
    let node = fields.optional("interfaces");
    let interfaces = node.map(|node| read_interfaces(reader, node)).unwrap_or_default();
    (node, Defaults { keys, interfaces })
}

/// Addresses of single devices, each once.
fn addresses<'n>(reader: &Reader<'_>, node: &'n Node) -> Vec<(IpAddr, &'n Node)> {
    let items = reader.one_or_more(node, "a list of addresses");
    if items.is_empty() && matches!(node.value, Value::Sequence(_)) {
        reader.error(node, "the list of addresses is empty");
    }
    if items.len() > MOST_ADDRESSES {
        reader.error(node, format!("a host with {} addresses; {MOST_ADDRESSES} are the most", items.len()));
        return Vec::new();
    }
    let mut found: Vec<(IpAddr, &Node)> = Vec::new();
    for item in reader.each(items) {
        let net = match read_written(reader, item) {
            Some(Written::Net(net)) => net,
            Some(Written::Name(_)) => {
                reader.expected(item, "an address such as `10.1.1.10` or `2001:db8::10`");
                continue;
            }
            None => continue,
        };
        let address = net.addr();
        if net.prefix_len() != net.max_prefix_len() {
            let hint = "devices that are no hosts of the estate stand under `outside:`";
            reader.note(reader.text.error(item.at, "a host has addresses, not a whole network").with_hint(hint));
        } else if !is_of_one_host(address) {
            reader.error(item, format!("{address} cannot be the address of a host in a network"));
        } else if found.iter().any(|(known, _)| *known == address) {
            reader.error(item, format!("the address {address} stands twice"));
        } else {
            found.push((address, item));
        }
    }
    found
}

fn is_of_one_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast)
}

/// A group of hosts, of which a host is in one.
fn group(reader: &Reader<'_>, node: Option<&Node>, what: &str) -> Option<String> {
    let node = node?;
    if let Value::Sequence(items) = &node.value {
        let hint = format!("write one name: `{what}: NAME`");
        let message = format!("a host is in one {what}, and this is a list of {}", items.len());
        reader.note(reader.text.error(node.at, message).with_hint(hint));
        return None;
    }
    let name = read_name(reader, node, &format!("the name of a {what}"))?;
    Some(name.to_owned())
}

/// Notes a role that cannot share a host with one before it.
fn share(reader: &Reader<'_>, node: &Node, before: &[RoleUse], used: &RoleUse, known: &Known<'_>) {
    let clash = before.iter().find(|other| !known.sharing.contains(&(other.role.as_str(), used.role.as_str())));
    if let Some(other) = clash {
        let message = format!("`{}` cannot share a host with `{}`", used.role, other.role);
        let hint = "they are of different products; give each a host of its own (`enforcer catalogue lint` knows which can share)";
        reader.note(reader.text.error(node.at, message).with_hint(hint));
    }
}
