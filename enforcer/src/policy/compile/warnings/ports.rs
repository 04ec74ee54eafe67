//! Services that are wider open than their operator may think, and ports that two of them want.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use enforcer_common::numbers::{ESP, ISAKMP, UDP};

use super::super::remote::are_limited;
use super::{ByProtocol, Lint, Used, some};
use crate::policy::catalogue::Exposure;
use crate::policy::ruleset::Match;
use crate::policy::site::{Remote, SiteRule, protocol_name};
use crate::text::diagnostic::{Diagnostic, Position};

/// Ports from which a host is administered: SSH, telnet, RPC, SNMP, SMB, SQL Server, remote desktop, VNC, WinRM.
const MANAGEMENT: [u16; 10] = [22, 23, 135, 161, 445, 1433, 3389, 5900, 5985, 5986];
/// Peers who administer.
const ADMINISTRATORS: [&str; 2] = ["admin-workstations", "monitoring"];
/// What services that negotiate ports choose from (IANA's dynamic ports, RFC 6335).
const NEGOTIATED: RangeInclusive<u16> = 49152..=65535;

impl Lint<'_> {
    /// Management ports that any source may use.
    pub(super) fn management_ports(&self, out: &mut Vec<Diagnostic>) {
        /// By place, role, and whether a row names nobody.
        type Key<'a> = (Position, &'a str, bool);
        let mut found: BTreeMap<Key<'_>, (Vec<String>, Vec<String>)> = BTreeMap::new();
        let open = self.services.iter().filter(|used| used.service.exposure == Exposure::Open);
        for used in open.filter(|used| self.limit_of(used).is_none()) {
            let names: Vec<&str> = used.service.peers.iter().map(String::as_str).collect();
            let any = !are_limited(self.site, &names);
            let management = names.iter().any(|peer| ADMINISTRATORS.contains(peer))
                || used.ports.values().any(|ranges| is_management(ranges));
            if any && management && !used.service.ephemeral && !used.ports.is_empty() {
                let key = (used.by.at, used.by.role.as_str(), names.is_empty());
                let (services, limits) = found.entry(key).or_default();
                services.push(used.describe());
                let limit =
                    format!("{{service: {}/{}, from: [admin-workstations]}}", used.role.name, used.service.name);
                if !limits.contains(&limit) {
                    limits.push(limit);
                }
            }
        }
        for ((at, role, nameless), (services, limits)) in found {
            let message = format!("`{role}`: any source may reach the management ports of {}", some(&services));
            let why = if nameless {
                "the document names no remote device, so binding a peer does not limit them"
            } else {
                "list the administrators' addresses under `peers: {admin-workstations: [...]}`"
            };
            let hint = format!("{why}; so that only administrators reach them: `limit: [{}]`", limits.join(", "));
            out.push(self.site.text.warning(at, message).with_hint(hint));
        }
        for rule in self.site.rules.iter().filter(|rule| !rule.deny && rule.remotes.is_none()) {
            if let (enforcer_common::Direction::Inbound, Match::Ports { ports, .. }) = (rule.direction, &rule.matches)
                && is_management(ports)
            {
                let message = format!("`{}` opens a management port to any source", rule.name);
                out.push(self.site.text.warning(rule.at, message).with_hint("say who may connect with `from:`"));
            }
        }
    }

    /// Ranges of the operating system that `ephemeral: open` opens.
    pub(super) fn ephemeral_ranges(&self, out: &mut Vec<Diagnostic>) {
        let opened = self.services.iter().filter(|used| used.service.ephemeral && self.site.ephemeral_open);
        for used in opened {
            let message = format!("`ephemeral: open` lets any source reach {}", used.describe());
            let hint = "with `ephemeral: tracked`, flow tracking lets the replies in without opening the range";
            out.push(self.site.text.warning(used.by.at, message).with_hint(hint));
        }
    }

    /// Ports that follow an instance or a base port into those of another service.
    pub(super) fn instances(&self, out: &mut Vec<Diagnostic>) {
        let services: Vec<&Used<'_>> = self.services.iter().filter(|used| !used.service.ephemeral).collect();
        for (index, one) in services.iter().enumerate() {
            for other in &services[index + 1..] {
                // The same row twice is one service that two roles or two instances bring along.
                if one.service.source == other.service.source && one.ports == other.ports {
                    continue;
                }
                let shared = common(&one.moving, &other.ports).or_else(|| common(&one.ports, &other.moving));
                if let Some((protocol, port)) = shared {
                    let message = format!(
                        "{} {port} belongs to `{}/{}` and to `{}/{}`, and only one of them can listen on it",
                        protocol_name(protocol),
                        one.role.name,
                        one.service.name,
                        other.role.name,
                        other.service.name
                    );
                    let hint = "check the instances and base ports of these roles";
                    out.push(self.site.text.warning(other.by.at, message).with_hint(hint));
                }
            }
        }
    }

    /// Services and connections that negotiate further ports, which nothing opens.
    pub(super) fn dynamic_services(&self, out: &mut Vec<Diagnostic>) {
        for used in &self.services {
            let Some(dynamic) = &used.service.dynamic else { continue };
            if !self.site.rules.iter().any(|rule| opens_negotiated(rule, &used.service.peers)) {
                let from = match used.service.peers.as_slice() {
                    [] => String::new(),
                    peers => format!(", from: [{}]", peers.join(", ")),
                };
                let message = format!("{}: {dynamic}", used.describe());
                let hint = format!(
                    "if you use this service, allow the ports that it negotiates: `allow: [{{name: {}-negotiated, protocol: tcp, ports: \
                     [{}-{}]{from}}}]`",
                    used.service.name,
                    NEGOTIATED.start(),
                    NEGOTIATED.end()
                );
                out.push(self.site.text.warning(used.by.at, message).with_hint(hint));
            }
        }
        if self.site.outbound_judged {
            self.dynamic_connections(out);
        }
    }

    fn dynamic_connections(&self, out: &mut Vec<Diagnostic>) {
        for by in &self.site.roles {
            for role in self.catalogue.flatten(&by.role) {
                for connection in role.connections.iter().filter(|connection| connection.applies(&by.settings)) {
                    let Some(dynamic) = &connection.dynamic else { continue };
                    let to = match connection.peers.as_slice() {
                        [] => String::new(),
                        peers => format!(", to: [{}]", peers.join(", ")),
                    };
                    let message = format!("`{}/{}`: {dynamic}", role.name, connection.name);
                    let hint = format!(
                        "if you use this service, allow the ports that it negotiates: `allow: [{{name: {}-negotiated, direction: out, \
                         protocol: tcp, ports: [{}-{}]{to}}}]`",
                        connection.name,
                        NEGOTIATED.start(),
                        NEGOTIATED.end()
                    );
                    out.push(self.site.text.warning(by.at, message).with_hint(hint));
                }
            }
        }
    }

    /// Key exchange without what it is for, and what ESP hides.
    pub(super) fn ipsec(&self, out: &mut Vec<Diagnostic>) {
        let site = self.site;
        let esp = site.rules.iter().find(|rule| !rule.deny && rule.matches == Match::Protocol(ESP));
        if let Some(rule) = esp {
            let message = format!("`{}` permits ESP, and packets inside ESP are not judged", rule.name);
            out.push(site.text.warning(rule.at, message).with_hint(
                "to judge them, protect the host that decrypts them; on this host, generic XDP and kernels without CONFIG_XFRM cannot tell \
                 decrypted packets and judge them again (`enforcer preflight` says so)",
            ));
            return;
        }
        let isakmp = self
            .services
            .iter()
            .find(|used| used.ports.get(&UDP).is_some_and(|ranges| ranges.iter().any(|range| range.contains(&ISAKMP))));
        if let Some(used) = isakmp {
            let from = match used.service.peers.as_slice() {
                [] => String::new(),
                peers => format!(", from: [{}]", peers.join(", ")),
            };
            let message = format!("{} exchanges IPsec keys, but no rule permits ESP", used.describe());
            let hint = format!(
                "if you use IPsec: `allow: [{{name: esp, protocol: esp{from}}}, {{name: nat-traversal, protocol: udp, \
                 ports: [4500]{from}}}]`; packets inside ESP are then not judged"
            );
            out.push(site.text.warning(used.by.at, message).with_hint(hint));
        }
    }

    /// Roles that are described for another release.
    pub(super) fn releases(&self, out: &mut Vec<Diagnostic>) {
        let Some((release, at)) = &self.site.release else { return };
        let mut others: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for by in &self.site.roles {
            if let Some(role) = self.catalogue.roles.get(&by.role).filter(|role| role.release != *release) {
                let roles = others.entry(&role.release).or_default();
                let name = format!("`{}`", role.name);
                if !roles.contains(&name) {
                    roles.push(name);
                }
            }
        }
        for (known, roles) in others {
            let are = if roles.len() == 1 { "is" } else { "are" };
            let message = format!("the site runs release {release}, and {} {are} described for {known}", some(&roles));
            let hint = "ports change between releases: compare with the vendor's document for yours";
            out.push(self.site.text.warning(*at, message).with_hint(hint));
        }
    }
}

fn is_management(ranges: &[RangeInclusive<u16>]) -> bool {
    MANAGEMENT.iter().any(|port| ranges.iter().any(|range| range.contains(port)))
}

/// The first port in both.
fn common(one: &ByProtocol, other: &ByProtocol) -> Option<(u8, u16)> {
    one.iter().find_map(|(protocol, ranges)| {
        let theirs = other.get(protocol)?;
        let pairs =
            ranges.iter().flat_map(|a| theirs.iter().map(move |b| (a.start().max(b.start()), a.end().min(b.end()))));
        pairs.filter(|(start, end)| start <= end).map(|(start, _)| (*protocol, *start)).min()
    })
}

/// Whether an entry of `allow` opens the ports that services negotiate, for one of these peers.
fn opens_negotiated(rule: &SiteRule, peers: &[String]) -> bool {
    let ports = matches!(&rule.matches, Match::Ports { ports, .. }
        if ports.iter().any(|range| range.start() <= NEGOTIATED.start() && range.end() >= NEGOTIATED.end()));
    let remote = peers.is_empty()
        || rule.remotes.as_ref().is_none_or(|remotes| {
            remotes.iter().any(|remote| match remote {
                Remote::Peer(peer) => peers.contains(peer),
                Remote::Net(_) => true,
            })
        });
    !rule.deny && ports && remote
}
