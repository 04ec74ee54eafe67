//! A starter estate from an inventory: a table with a line for each host.
//!
//! Columns are found by their names. What the table does not say is left for the operator to fill in, and `enforcer check` asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::policy::catalogue::{Catalogue, Exposure};
use crate::text::diagnostic::{Diagnostic, Findings, Position, Text};
use crate::text::nearest::did_you_mean;
use crate::text::yaml::{Node, inline};

/// Columns with a meaning of their own; any other is a parameter of a role.
const COLUMNS: [&str; 6] = ["name", "addresses", "roles", "cluster", "network", "by"];
/// Other words for them that inventories use.
const ALIASES: [(&str, &str); 8] = [
    ("host", "name"),
    ("hostname", "name"),
    ("address", "addresses"),
    ("ip", "addresses"),
    ("ips", "addresses"),
    ("role", "roles"),
    ("https-network", "network"),
    ("firewall", "by"),
];
/// Hosts at most, as in an estate.
const MOST_HOSTS: usize = 2_048;
/// Findings that are noted.
const MOST: usize = 100;

/// What is wrong with a table.
pub type Error = Findings;

/// A cell and its place.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    text: String,
    at: Position,
}

/// A starter estate.
///
/// # Errors
///
/// Everything that is wrong with the table.
pub fn from_csv(text: &Text, catalogue: &Catalogue) -> Result<String, Error> {
    let mut findings = Vec::new();
    let rows = rows(text, &mut findings);
    let mut rows = rows.into_iter();
    let Some(head) = rows.next() else {
        let finding = Diagnostic::of_file(&text.name, "the table is empty");
        return Err(Findings(vec![finding.with_hint("its first line names the columns: name,addresses,roles,…")]));
    };
    let columns = columns(text, &head, catalogue, &mut findings);
    let mut hosts = Vec::new();
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    for row in rows {
        if findings.len() >= MOST {
            break;
        }
        if hosts.len() == MOST_HOSTS {
            let at = row.first().map(|cell| cell.at).unwrap_or_default();
            findings.push(text.error(at, format!("the table has more than {MOST_HOSTS} hosts")));
            break;
        }
        if let Some(host) = host(text, &columns, &row, catalogue, &mut findings) {
            if let Some(line) = names.insert(host.name.text.clone(), host.name.at.line) {
                let message = format!("two hosts are called `{}`", host.name.text);
                findings.push(text.error(host.name.at, message).with_hint(format!("the first is on line {line}")));
            }
            hosts.push(host);
        }
    }
    if hosts.is_empty() && findings.is_empty() {
        findings.push(Diagnostic::of_file(&text.name, "the table has no hosts"));
    }
    if findings.is_empty() { Ok(write(&hosts, catalogue)) } else { Err(Findings(findings)) }
}

struct Host {
    name: Cell,
    addresses: Vec<String>,
    roles: Vec<(String, Vec<(String, String)>)>,
    /// Keys of the host itself.
    keys: Vec<(&'static str, String)>,
}

/// What each column is: the name of a key or of a parameter.
fn columns(text: &Text, head: &[Cell], catalogue: &Catalogue, findings: &mut Vec<Diagnostic>) -> Vec<Option<String>> {
    let parameters: BTreeSet<&str> =
        catalogue.roles.values().flat_map(|role| role.parameters.keys().map(String::as_str)).collect();
    let mut columns: Vec<Option<String>> = Vec::new();
    for cell in head {
        let name = cell.text.trim().to_lowercase();
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name.as_str(), |(_, name)| name).to_owned();
        if columns.iter().flatten().any(|known| *known == name) {
            findings.push(text.error(cell.at, format!("two columns are `{name}`")));
        }
        let is_known = COLUMNS.contains(&name.as_str()) || parameters.contains(name.as_str());
        if !is_known && !name.is_empty() {
            let hint = did_you_mean(&name, COLUMNS.into_iter().chain(parameters.iter().copied()));
            let hint = hint.unwrap_or_else(|| {
                format!("columns are {}, and parameters of roles; remove this one", COLUMNS.join(", "))
            });
            findings.push(text.error(cell.at, format!("no column is called `{name}`")).with_hint(hint));
        }
        columns.push(is_known.then_some(name));
    }
    for required in ["name", "addresses"] {
        if !columns.iter().flatten().any(|name| name == required) {
            let at = head.first().map(|cell| cell.at).unwrap_or_default();
            findings.push(text.error(at, format!("the column `{required}` is missing")));
        }
    }
    columns
}

fn host(
    text: &Text,
    columns: &[Option<String>],
    row: &[Cell],
    catalogue: &Catalogue,
    findings: &mut Vec<Diagnostic>,
) -> Option<Host> {
    let cell = |name: &str| {
        let index = columns.iter().position(|column| column.as_deref() == Some(name))?;
        row.get(index).filter(|cell| !cell.text.trim().is_empty())
    };
    if row.len() > columns.len() {
        let message = format!("the line has {} cells, and the table has {} columns", row.len(), columns.len());
        findings.push(text.error(row[columns.len()].at, message));
    }
    let Some(name) = cell("name") else {
        findings.push(text.error(row.first().map(|cell| cell.at).unwrap_or_default(), "the host has no name"));
        return None;
    };
    let mut roles = Vec::new();
    for role in cell("roles").map(words).unwrap_or_default() {
        let at = cell("roles").map(|cell| cell.at).unwrap_or_default();
        if !catalogue.roles.contains_key(&role) {
            let hint = did_you_mean(&role, catalogue.roles.keys().map(String::as_str))
                .unwrap_or_else(|| "`enforcer roles` lists them".to_owned());
            findings.push(text.error(at, format!("no role is called `{role}`")).with_hint(hint));
            continue;
        }
        let known = catalogue.parameters(&role);
        let set = known.iter().filter_map(|(name, parameter)| {
            let cell = cell(name)?;
            let value = cell.text.trim().to_owned();
            if let Err(expected) = parameter.parse(&value) {
                let message = format!("`{name}` is {expected}, found `{value}`");
                findings.push(text.error(cell.at, message));
            }
            Some(((*name).to_owned(), value))
        });
        let set = set.collect();
        roles.push((role, set));
    }
    let keys =
        ["cluster", "network", "by"].into_iter().filter_map(|key| Some((key, cell(key)?.text.trim().to_owned())));
    let keys = keys.collect();
    let addresses = cell("addresses").map(words).unwrap_or_default();
    if addresses.is_empty() {
        findings.push(text.error(name.at, format!("`{}` has no address", name.text.trim())));
    }
    for address in addresses.iter().filter(|address| address.parse::<std::net::IpAddr>().is_err()) {
        let at = cell("addresses").map(|cell| cell.at).unwrap_or_default();
        findings.push(
            text.error(at, format!("`{address}` is not an address"))
                .with_hint("write it such as `10.1.1.10` or `2001:db8::10`"),
        );
    }
    Some(Host { name: Cell { text: named(&name.text), at: name.at }, addresses, roles, keys })
}

/// A name as an estate has it: the first label of a domain name, and `-` for what no name can have.
fn named(text: &str) -> String {
    let short = text.trim().split('.').next().unwrap_or_default().to_lowercase();
    let name: String =
        short.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("h-{name}") }
}

/// The items of a cell.
fn words(cell: &Cell) -> Vec<String> {
    cell.text.split([';', ' ', ',', '|']).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn write(hosts: &[Host], catalogue: &Catalogue) -> String {
    let mut out = String::from(
        "# yaml-language-server: $schema=/usr/share/enforcer/schema/estate.schema.json\n\
         # A starter estate, made from an inventory. `enforcer check` says what is missing.\n\
         estate: starter\ndefaults: {mode: audit, outbound: role}\n",
    );
    let roles: BTreeSet<&str> = hosts
        .iter()
        .flat_map(|host| &host.roles)
        .flat_map(|(role, _)| catalogue.flatten(role))
        .map(|role| role.name.as_str())
        .collect();
    let entries = roles.iter().filter_map(|name| catalogue.roles.get(*name)).flat_map(|role| role.entries());
    let peers: BTreeSet<&str> = entries
        .filter(|entry| entry.exposure != Exposure::Internal && !entry.ephemeral)
        .flat_map(|entry| entry.peers.iter().map(String::as_str))
        .collect();
    let outside: Vec<_> = peers
        .iter()
        .filter_map(|name| Some((*name, catalogue.peers.get(*name)?)))
        .filter(|(_, peer)| peer.roles.is_empty())
        .collect();
    if !outside.is_empty() {
        out.push_str("# Remote devices that the roles of these hosts talk to: fill in their addresses, and remove those that you do not have.\n");
        out.push_str("outside:\n");
        for (name, peer) in outside {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {:<32}  # {}", format!("{name}: []"), peer.summary);
        }
    }
    out.push_str("hosts:\n");
    for host in hosts {
        let addresses: Vec<String> = host.addresses.iter().map(|address| quoted(address)).collect();
        let mut line = format!("  {}: {{addresses: [{}]", host.name.text, addresses.join(", "));
        for (key, value) in &host.keys {
            let _ = write!(line, ", {key}: {}", quoted(value));
        }
        let roles: Vec<String> = host.roles.iter().map(|(role, set)| written(role, set)).collect();
        if !roles.is_empty() {
            let _ = write!(line, ", roles: [{}]", roles.join(", "));
        }
        out.push_str(&line);
        out.push_str("}\n");
    }
    out.push_str(GAPS);
    out
}

/// What every deployment needs and no document prints.
const GAPS: &str = "\
# Every deployment needs what the documents leave out. Remove the `#` where it is true of yours.
#allow:
#  - {name: domain, hosts: [windows-authentication], direction: out, protocol: tcp, ports: [88, 135, 389, 445, 636, 3268], to: [domain-controllers]}
#  - {name: domain-udp, hosts: [windows-authentication], direction: out, protocol: udp, ports: [88, 123, 389], to: [domain-controllers]}
#  - {name: sip-of-browsers, hosts: [vvb], direction: out, protocol: tcp, ports: [5060], to: [CVP-SERVERS]}
#  - {name: sip-from-browsers, hosts: [cvp-call-server], protocol: tcp, ports: [5060], from: [VVB-HOSTS]}
#  - {name: sql-of-reports, hosts: [cuic, ccmp-database], direction: out, protocol: tcp, ports: [1433], to: [ADMINISTRATION-SERVERS]}
#  - {name: logger-recovery, hosts: [cce-logger], direction: out, protocol: tcp, ports: [1433], to: [OTHER-LOGGER]}
#  - {name: portal, hosts: [ccmp-web], protocol: tcp, ports: [443], from: [client-workstations]}
#  - {name: rpc, hosts: [windows-authentication], direction: out, protocol: tcp, ports: [135, 49152-65535], to: [CCE-HOSTS]}
#  - {name: traps, direction: out, protocol: udp, ports: [162], to: [monitoring]}
#  - {name: syslog, direction: out, protocol: udp, ports: [514], to: [syslog-servers]}
#limit:
#  - {service: remote-management/rdp, from: [admin-workstations]}
#tests:
#  - {from: phones, to: HOST, tcp: 8443, expect: pass}
";

fn written(role: &str, set: &[(String, String)]) -> String {
    let set: String = set.iter().map(|(name, value)| format!(", {name}: {}", quoted(value))).collect();
    if set.is_empty() { role.to_owned() } else { format!("{{role: {role}{set}}}") }
}

fn quoted(text: &str) -> String {
    inline(&Node::scalar(Position::default(), text))
}

/// The lines of a table (RFC 4180; `;` and tabs separate, too, where the first line has no comma), without empty ones.
fn rows(text: &Text, findings: &mut Vec<Diagnostic>) -> Vec<Vec<Cell>> {
    let content = text.content.trim_start_matches('\u{feff}');
    let first = content.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t'].into_iter().find(|separator| first.contains(*separator)).unwrap_or(',');
    let mut rows = Vec::new();
    let mut row: Vec<Cell> = Vec::new();
    let mut cell = String::new();
    let (mut line, mut column) = (1u32, 1u32);
    let mut begun = Position { line, column, length: 1 };
    let mut quote: Option<Position> = None;
    let mut chars = content.chars().peekable();
    let end = |row: &mut Vec<Cell>, cell: &mut String, begun: Position| {
        let length = u32::try_from(cell.chars().count()).unwrap_or(u32::MAX).max(1);
        row.push(Cell { text: std::mem::take(cell), at: Position { length, ..begun } });
    };
    while let Some(c) = chars.next() {
        column = column.saturating_add(1);
        match c {
            '"' if quote.is_some() => {
                if chars.next_if_eq(&'"').is_some() {
                    cell.push('"');
                    column = column.saturating_add(1);
                } else {
                    quote = None;
                }
            }
            '"' if cell.is_empty() => quote = Some(begun),
            '\r' if quote.is_none() => {}
            '\n' if quote.is_none() => {
                end(&mut row, &mut cell, begun);
                rows.push(std::mem::take(&mut row));
                (line, column) = (line.saturating_add(1), 1);
                begun = Position { line, column, length: 1 };
            }
            c if c == separator && quote.is_none() => {
                end(&mut row, &mut cell, begun);
                begun = Position { line, column, length: 1 };
            }
            c => {
                if c == '\n' {
                    (line, column) = (line.saturating_add(1), 1);
                }
                cell.push(c);
            }
        }
    }
    if let Some(at) = quote {
        findings.push(text.error(at, "the quote that begins here has no end"));
    }
    if !cell.is_empty() || !row.is_empty() {
        end(&mut row, &mut cell, begun);
        rows.push(row);
    }
    rows.retain(|row| row.iter().any(|cell| !cell.text.trim().is_empty()));
    rows
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::policy::catalogue::embedded;
    use crate::policy::estate::read;

    #[test]
    fn an_inventory_becomes_an_estate_that_is_read() {
        let table = "Hostname,IP,Roles,Cluster,Instance,Side\r\ncuc1.example.org,10.1.1.11;2001:db8::11,unity-connection,cuc,,\r\n\
                     \"rtr-a\",10.5.1.10,\"cce-router; remote-management\",,1,a\r\n\r\n";
        let catalogue = embedded().unwrap();
        let estate = from_csv(&Text::new("hosts.csv", table), catalogue).unwrap();
        assert!(
            estate.contains(
                "  cuc1: {addresses: [10.1.1.11, \"2001:db8::11\"], cluster: cuc, roles: [unity-connection]}\n"
            ),
            "{estate}"
        );
        assert!(estate.contains("{role: cce-router, instance: 1, side: a}, remote-management]"), "{estate}");
        assert!(estate.contains("  phones: []"), "{estate}");
        let estate = read(Text::new("estate.yaml", estate), catalogue).unwrap();
        assert_eq!(estate.hosts.len(), 2);
    }

    #[test]
    fn everything_that_is_wrong_with_a_table_is_said_at_once() {
        let table = "name,adresses,roles\na,10.0.0.1,vbv\na,x,cuic,more\n,10.0.0.2,cuic\n\"b";
        let findings = from_csv(&Text::new("hosts.csv", table), embedded().unwrap()).unwrap_err().0;
        let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
        for wanted in [
            "1:6: no column is called `adresses`",
            "did you mean `addresses`",
            "2:12: no role is called `vbv`",
            "two hosts are called `a`",
            "has no name",
            "has 4 cells",
            "has no end",
        ] {
            assert!(found.iter().any(|one| one.contains(wanted)), "{wanted}: {found:#?}");
        }
    }
}
