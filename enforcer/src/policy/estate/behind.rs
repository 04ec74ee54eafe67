//! Hosts that run as guests: the machines that they are behind.

use std::collections::{BTreeMap, BTreeSet};

use super::{Behind, By, Host};
use crate::policy::site::{read_interfaces, read_mac, read_name};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, Reader, Value};

/// Reads `behind:`.
pub(super) fn behind(reader: &Reader<'_>, node: &Node) -> Vec<Behind> {
    let items = match &node.value {
        Value::Mapping(_) => std::slice::from_ref(node),
        Value::Scalar { .. } | Value::Sequence(_) => reader.one_or_more(node, "a list of machines"),
    };
    let mut found: Vec<Behind> = Vec::new();
    for item in reader.each(items) {
        let Some(one) = entry(reader, item) else { continue };
        if found.iter().any(|known| known.host == one.host && known.interface == one.interface) {
            reader.error(item, format!("the machine `{}` stands twice", one.host));
        }
        found.push(one);
    }
    found
}

fn entry(reader: &Reader<'_>, node: &Node) -> Option<Behind> {
    if let Value::Scalar { .. } = &node.value {
        let host = read_name(reader, node, "the name of a host")?.to_owned();
        return Some(Behind { host, interface: None, mac: None, at: node.at });
    }
    let mut fields = reader.fields(node, "an entry of `behind`")?;
    let host_node = fields.required("host");
    let interface = fields.optional("interface").and_then(|node| {
        let found = read_interfaces(reader, node).into_iter().next()?;
        Some(found.name)
    });
    let mac = fields.optional("mac").and_then(|node| read_mac(reader, node));
    fields.finish();
    let host_node = host_node?;
    let host = read_name(reader, host_node, "the name of a host")?.to_owned();
    Some(Behind { host, interface, mac, at: host_node.at })
}

/// Notes machines that do not exist, that cannot carry a guest, and guests that would carry themselves.
pub(super) fn resolve(reader: &Reader<'_>, hosts: &BTreeMap<String, Host>) {
    for host in hosts.values().take_while(|_| !reader.is_full()) {
        for behind in &host.behind {
            let Some(machine) = hosts.get(&behind.host) else {
                let hint = did_you_mean(&behind.host, hosts.keys().map(String::as_str))
                    .unwrap_or_else(|| "list the machine under `hosts:`".to_owned());
                let message = format!("no host is called `{}`", behind.host);
                reader.note(reader.text.error(behind.at, message).with_hint(hint));
                continue;
            };
            if machine.by != By::Enforcer {
                let message = format!(
                    "`{}` is protected by `{}`, so it cannot protect the guest `{}`",
                    machine.name,
                    machine.by.name(),
                    host.name
                );
                reader.note(
                    reader.text.error(behind.at, message).with_hint("leave `behind` out: the guest protects itself"),
                );
            }
        }
        if let Some(at) = carries_itself(host, hosts) {
            let message = format!("`{}` runs behind itself", host.name);
            reader.note(reader.text.error(at, message).with_hint("`behind` names the machine on which the host runs"));
        }
    }
}

/// The entry through which a host leads back to itself.
fn carries_itself(host: &Host, hosts: &BTreeMap<String, Host>) -> Option<crate::text::diagnostic::Position> {
    host.behind.iter().find_map(|first| {
        let mut seen = BTreeSet::new();
        let mut open = vec![first.host.as_str()];
        while let Some(name) = open.pop() {
            if name == host.name {
                return Some(first.at);
            }
            if seen.insert(name) {
                open.extend(
                    hosts.get(name).into_iter().flat_map(|host| &host.behind).map(|behind| behind.host.as_str()),
                );
            }
        }
        None
    })
}
