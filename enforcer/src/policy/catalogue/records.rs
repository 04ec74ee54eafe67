//! Every printed port as a record: what `catalogue export` prints and what is compared with the documents.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Catalogue, Port, Service};

/// A record: one printed row, side, protocol and port expression.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Record {
    /// Key of the document.
    pub document: String,
    /// Table as numbered in print.
    pub table: String,
    /// Logical row, from 1.
    pub row: u32,
    /// `listener` or `remote`.
    pub side: Side,
    /// Protocol as printed.
    pub protocol: &'static str,
    /// Port as printed.
    pub ports: String,
    /// Direction as printed.
    pub direction: &'static str,
    /// Who may connect.
    pub exposure: &'static str,
    /// The remote devices, in one text.
    pub peer: Option<String>,
    /// The remote devices.
    pub peers: Vec<String>,
    /// Every role that has it, itself or by inclusion.
    pub roles: Vec<String>,
    /// The service or connection, in the first role that has it.
    pub service: String,
    /// What is doubtful.
    pub doubt: Option<String>,
}

/// The side of a record.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// What the role listens on.
    Listener,
    /// What it connects to, or what is printed beside a listener.
    Remote,
}

/// Order of records: document, table, row, side, and then as they follow each other in the role file.
type Key = (String, u32, String, u32, Side);

/// Every record, in the order of the documents.
#[must_use]
pub fn export(catalogue: &Catalogue) -> Vec<Record> {
    let hosts = hosts(catalogue);
    let mut rows: BTreeMap<Key, Vec<Record>> = BTreeMap::new();
    for role in catalogue.roles.values() {
        let roles = &hosts[role.name.as_str()];
        for service in &role.services {
            for port in &service.ports {
                add(&mut rows, roles, service, port, Side::Listener);
            }
            for port in &service.remote {
                add(&mut rows, roles, service, port, Side::Remote);
            }
        }
        for connection in &role.connections {
            for port in &connection.ports {
                add(&mut rows, roles, connection, port, Side::Remote);
            }
        }
    }
    rows.into_values().flatten().collect()
}

/// Adds a port to the record that it belongs to, or makes it.
fn add(rows: &mut BTreeMap<Key, Vec<Record>>, roles: &BTreeSet<&str>, service: &Service, port: &Port, side: Side) {
    let source = &port.source;
    let order = source.table.parse().unwrap_or(u32::MAX);
    let key = (source.document.clone(), order, source.table.clone(), source.row, side);
    let (protocol, ports) = (port.protocol.name(), port.port.to_string());
    let doubts: Vec<&str> = [service.doubt.as_deref(), port.doubt.as_deref()].into_iter().flatten().collect();
    let row = rows.entry(key).or_default();
    if let Some(known) = row.iter_mut().find(|record| record.protocol == protocol && record.ports == ports) {
        extend(&mut known.roles, roles.iter().copied());
        extend(&mut known.peers, service.peers.iter().map(String::as_str));
        known.peer = joined(&known.peers);
        for doubt in doubts {
            match &mut known.doubt {
                Some(text) if text.contains(doubt) => {}
                Some(text) => text.extend([" ", doubt]),
                None => known.doubt = Some(doubt.to_owned()),
            }
        }
        return;
    }
    row.push(Record {
        document: source.document.clone(),
        table: source.table.clone(),
        row: source.row,
        side,
        protocol,
        ports,
        direction: service.direction.name(),
        exposure: service.exposure.name(),
        peer: joined(&service.peers),
        peers: service.peers.clone(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        service: service.name.clone(),
        doubt: (!doubts.is_empty()).then(|| doubts.join(" ")),
    });
}

/// For each role the roles that have its entries: itself and those that include it.
fn hosts(catalogue: &Catalogue) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut hosts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in catalogue.roles.keys() {
        for inner in catalogue.flatten(name) {
            hosts.entry(&inner.name).or_default().insert(name);
        }
    }
    hosts
}

fn extend<'a>(list: &mut Vec<String>, more: impl IntoIterator<Item = &'a str>) {
    for item in more {
        if !list.iter().any(|known| known == item) {
            list.push(item.to_owned());
        }
    }
    list.sort();
}

fn joined(peers: &[String]) -> Option<String> {
    (!peers.is_empty()).then(|| peers.join(", "))
}
