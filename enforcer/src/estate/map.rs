//! The map: one page that says who may talk to whom, on what, and from which row. It has all data in it and loads nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::ends::Ends;
use super::reach::conversations;
use crate::policy::catalogue::format_ranges;
use crate::policy::ruleset::Rule;
use crate::policy::site::protocol_name;

const PAGE: &str = include_str!("../../templates/map.html");

/// What the page shows.
#[derive(Debug, Serialize)]
struct Data<'r> {
    estate: &'r str,
    version: &'static str,
    hosts: Vec<Named<'r>>,
    rules: Vec<Listed<'r>>,
    conversations: Vec<Line>,
}

/// From, to (indices of `hosts`), protocol, ports, the rule that lets it out and the one that lets it in (indices of `rules`).
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Line(usize, usize, String, String, Option<usize>, Option<usize>);

/// A host, or a name of `outside:`.
#[derive(Debug, Serialize)]
struct Named<'r> {
    name: &'r str,
    /// Hosts of equal roles are in one group.
    group: String,
    roles: Vec<&'r str>,
    outside: bool,
}

#[derive(Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Listed<'r> {
    id: &'r str,
    exposure: &'r str,
    rows: String,
}

/// The page.
///
/// # Errors
///
/// The data cannot be written as JSON.
pub fn map(ends: &Ends<'_>) -> Result<String, serde_json::Error> {
    let found = conversations(ends);
    let mut hosts: Vec<Named<'_>> = Vec::new();
    for end in ends.hosts.values() {
        let roles: BTreeSet<&str> = end.host.roles.iter().map(|used| used.role.as_str()).collect();
        let roles: Vec<&str> = roles.into_iter().collect();
        let group = if roles.is_empty() { end.host.name.clone() } else { roles.join(", ") };
        hosts.push(Named { name: &end.host.name, group, roles, outside: false });
    }
    let outside: BTreeSet<&str> =
        found.iter().flat_map(|one| [one.from, one.to]).filter(|name| !ends.hosts.contains_key(name)).collect();
    hosts.extend(outside.into_iter().map(|name| Named {
        name,
        group: name.to_owned(),
        roles: Vec::new(),
        outside: true,
    }));
    hosts.sort_by(|a, b| (a.outside, &a.group, a.name).cmp(&(b.outside, &b.group, b.name)));
    let index: BTreeMap<&str, usize> = hosts.iter().enumerate().map(|(index, host)| (host.name, index)).collect();
    let rules: BTreeSet<Listed<'_>> =
        found.iter().flat_map(|one| [one.out_by, one.in_by]).flatten().map(listed).collect();
    let rules: Vec<Listed<'_>> = rules.into_iter().collect();
    let number = |rule: Option<&Rule>| rule.and_then(|rule| rules.binary_search(&listed(rule)).ok());
    let mut all: Vec<_> = found
        .iter()
        .filter_map(|one| {
            let (from, to) = (*index.get(one.from)?, *index.get(one.to)?);
            let ports = format_ranges(&one.ports);
            Some(Line(from, to, protocol_name(one.protocol), ports, number(one.out_by), number(one.in_by)))
        })
        .collect();
    all.sort();
    all.dedup();
    let data = Data { estate: &ends.estate.name, version: env!("CARGO_PKG_VERSION"), hosts, rules, conversations: all };
    // Nothing in the data ends the element that it stands in.
    let json = serde_json::to_string(&data)?.replace('<', "\\u003c");
    Ok(PAGE.replace("@DATA@", &json))
}

fn listed(rule: &Rule) -> Listed<'_> {
    let rows: Vec<String> =
        rule.sources.iter().map(|row| format!("{} {}:{}", row.document, row.table, row.row)).collect();
    Listed { id: &rule.id, exposure: &rule.exposure, rows: rows.join(", ") }
}
