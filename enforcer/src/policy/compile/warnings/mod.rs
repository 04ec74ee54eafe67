//! What compiles but may not be meant: the lints of `enforcer check`.

mod claims;
mod limits;
mod peers;
mod ports;
mod remotes;
mod rules;
mod tunnels;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::civil::Date;

use crate::policy::catalogue::{Catalogue, Role, Service, format_ranges, merge_ranges};
use crate::policy::ruleset::{Rule, Table};
use crate::policy::site::{RoleUse, Site, protocol_name};
use crate::text::diagnostic::Diagnostic;

/// Adds every warning about a site.
pub(super) fn warnings(
    site: &Site,
    catalogue: &Catalogue,
    (rules, tables): (&[Rule], &[Table; 2]),
    today: Date,
    out: &mut Vec<Diagnostic>,
) {
    let lint = Lint { site, catalogue, services: services(site, catalogue) };
    lint.claims(out);
    lint.unbound_groups(out);
    lint.peers_left_out(out);
    lint.unused_peers(rules, out);
    lint.guesses(out);
    lint.limits(rules, out);
    lint.management_ports(out);
    lint.ephemeral_ranges(out);
    lint.instances(out);
    lint.dynamic_services(out);
    lint.releases(out);
    lint.ipsec(out);
    lint.tunnels(out);
    lint.tftp_servers(out);
    lint.site_rules(rules, tables, today, out);
}

/// A site with the services that it compiles.
struct Lint<'a> {
    site: &'a Site,
    catalogue: &'a Catalogue,
    services: Vec<Used<'a>>,
}

/// A service of a role of the site, with its ports by protocol.
struct Used<'a> {
    by: &'a RoleUse,
    role: &'a Role,
    service: &'a Service,
    ports: ByProtocol,
    /// Those of them that follow a parameter.
    moving: ByProtocol,
}

/// Ports by protocol, ascending.
type ByProtocol = BTreeMap<u8, Vec<RangeInclusive<u16>>>;

impl Used<'_> {
    /// `role/service (tcp 80,443)`.
    fn describe(&self) -> String {
        let ports = self.ports.iter();
        let ports: Vec<String> =
            ports.map(|(protocol, ranges)| format!("{} {}", protocol_name(*protocol), format_ranges(ranges))).collect();
        format!("`{}/{}` ({})", self.role.name, self.service.name, ports.join(", "))
    }
}

fn services<'a>(site: &'a Site, catalogue: &'a Catalogue) -> Vec<Used<'a>> {
    let mut services = Vec::new();
    for by in &site.roles {
        for role in catalogue.flatten(&by.role) {
            for service in role.services.iter().filter(|service| service.applies(&by.settings)) {
                let (mut ports, mut moving) = (ByProtocol::new(), ByProtocol::new());
                let moved = by.moved.get(&format!("{}/{}", role.name, service.name));
                for (port, ranges) in Service::placed(&service.ports, &by.settings, moved).unwrap_or_default() {
                    let protocol = port.protocol.number();
                    if port.parameters().next().is_some() {
                        moving.entry(protocol).or_default().extend_from_slice(&ranges);
                    }
                    ports.entry(protocol).or_default().extend(ranges);
                }
                for ranges in ports.values_mut().chain(moving.values_mut()) {
                    *ranges = merge_ranges(std::mem::take(ranges));
                }
                services.push(Used { by, role, service, ports, moving });
            }
        }
    }
    services
}

/// Names in a sentence, at most five.
fn some(names: &[String]) -> String {
    const MOST: usize = 5;
    if names.len() > MOST + 1 {
        return format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST);
    }
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.join(", "),
    }
}
