//! The smallest change that would turn a verdict: a peer's address, or an entry of `allow` or `deny`.

use std::net::IpAddr;

use enforcer_common::{Direction, Reason};

use super::{Found, candidates};
use crate::judge::tuple::Tuple;
use crate::policy::catalogue::{Catalogue, Exposure, Origin};
use crate::policy::ruleset::{Rule, Ruleset, SourceRow};
use crate::policy::site::{Site, protocol_name};
use crate::text::nearest::one_of;

/// What there is to look things up in.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The site.
    pub site: &'a Site,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// What they compile to.
    pub ruleset: &'a Ruleset,
}

/// The hint for a packet that was judged so; `None` where no policy could change it.
#[must_use]
pub fn hint(known: &Known<'_>, tuple: &Tuple, found: Found, rule: Option<&Rule>) -> Option<String> {
    let remote = tuple.remote();
    match found.reason {
        Reason::Rule if tuple.direction == Direction::Outbound && found.rule.is_none() => Some(format!(
            "answers leave because {} permits the question; to refuse both:\n{}",
            name(rule),
            deny_question(tuple)
        )),
        Reason::Rule => Some(format!("{}to refuse it:\n{}", narrow(known, tuple, rule), deny(tuple))),
        Reason::Open | Reason::Dhcp if tuple.ports.is_some() => {
            let judged = known.site.outbound_judged || tuple.direction == Direction::Inbound;
            let role = if judged { "" } else { "`outbound: role` would judge it; " };
            Some(format!("{role}to refuse it by itself:\n{}", deny(tuple)))
        }
        Reason::Open => Some("`outbound: role` would judge it".into()),
        Reason::EchoPass => {
            Some("`icmp_echo: none` answers no ping, `icmp_echo: peers` only those of bound peers".into())
        }
        Reason::EchoDrop => Some(match known.site.icmp_echo {
            crate::policy::site::Echo::Peers => format!("add {remote} to a peer of the site, or set `icmp_echo: any`"),
            crate::policy::site::Echo::Any | crate::policy::site::Echo::Nobody => {
                "set `icmp_echo: any`, or `icmp_echo: peers`".into()
            }
        }),
        Reason::Peer => Some(peer(known, tuple, rule)),
        Reason::NoConnection => Some(match rule {
            Some(_) => peer(known, tuple, rule),
            None => unlisted(known, tuple),
        }),
        Reason::NoRule => Some(unlisted(known, tuple)),
        Reason::Protocol => Some(format!("no role lists this protocol; to permit it:\n{}", allow(tuple))),
        Reason::Internal => Some(internal(known, tuple, rule)),
        Reason::Denied => Some(format!(
            "deny beats permit: take {} out of `deny`, or let its `{}` leave out {remote}",
            name(rule),
            side(tuple.direction)
        )),
        Reason::Martian => Some("no policy permits this source address from the wire".into()),
        Reason::Spoofed => Some(
            "the entry of this port under `interfaces` says what the guest may claim: `addresses`, `shared`, `mac`, `router`, `dhcp-server`".into(),
        ),
        Reason::Flow
        | Reason::FragmentPass
        | Reason::LinkControl
        | Reason::Icmp
        | Reason::Igmp
        | Reason::Dhcp
        | Reason::Forwarded
        | Reason::Loopback
        | Reason::Decrypted
        | Reason::Malformed
        | Reason::Ethertype
        | Reason::VlanDepth
        | Reason::ExtensionHeaders
        | Reason::RoutingHeader
        | Reason::TinyFragment
        | Reason::FragmentDrop
        | Reason::IcmpType
        | Reason::Redirect => None,
    }
}

/// How to keep an open service that everybody may use to some.
fn narrow(known: &Known<'_>, tuple: &Tuple, rule: Option<&Rule>) -> String {
    let is_service = |rule: &&Rule| {
        let service = super::service_of(known.catalogue, rule);
        service.is_some_and(|service| service.exposure == Exposure::Open) && rule.prefixes.is_none()
    };
    match rule.filter(is_service).filter(|_| tuple.direction == Direction::Inbound) {
        Some(rule) => {
            format!("to keep the service to those whom you name: `limit: [{{service: {}, from: [...]}}]`; ", rule.id)
        }
        None => String::new(),
    }
}

/// `allow` in YAML that permits the packet and nothing else from others.
fn allow(tuple: &Tuple) -> String {
    format!("allow:\n  - {{name: {}, {}}}", entry_name("", tuple), entry(tuple))
}

fn deny(tuple: &Tuple) -> String {
    format!("deny:\n  - {{name: {}, {}}}", entry_name("no-", tuple), entry(tuple))
}

/// A deny entry for the question that this outbound packet answers.
fn deny_question(tuple: &Tuple) -> String {
    let question = Tuple {
        direction: Direction::Inbound,
        source: tuple.destination,
        destination: tuple.source,
        ports: tuple.ports.map(|(source, destination)| (destination, source)),
        ..*tuple
    };
    deny(&question)
}

fn entry_name(prefix: &str, tuple: &Tuple) -> String {
    let protocol = protocol_name(tuple.protocol);
    // A name starts with a letter.
    let protocol =
        if protocol.starts_with(|c: char| c.is_ascii_digit()) { format!("protocol-{protocol}") } else { protocol };
    tuple.ports.map_or_else(|| format!("{prefix}{protocol}"), |(_, port)| format!("{prefix}{protocol}-{port}"))
}

fn entry(tuple: &Tuple) -> String {
    let direction = match tuple.direction {
        Direction::Inbound => "",
        Direction::Outbound => "direction: out, ",
    };
    let ports = tuple.ports.map_or_else(String::new, |(_, port)| format!(", ports: [{port}]"));
    let remote = format!(", {}: [{}]", side(tuple.direction), quoted(tuple.remote()));
    format!("{direction}protocol: {}{ports}{remote}", protocol_name(tuple.protocol))
}

/// An address as YAML: a colon would make a mapping of it.
fn quoted(address: IpAddr) -> String {
    if address.is_ipv6() { format!("\"{address}\"") } else { address.to_string() }
}

const fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "from",
        Direction::Outbound => "to",
    }
}

fn name(rule: Option<&Rule>) -> String {
    rule.map_or_else(|| "a rule".to_owned(), |rule| format!("`{}`", rule.id))
}

/// The port is named for others.
fn peer(known: &Known<'_>, tuple: &Tuple, rule: Option<&Rule>) -> String {
    let remote = tuple.remote();
    let Some(rule) = rule else { return format!("to permit it:\n{}", allow(tuple)) };
    let limit = known.site.limits.get(&rule.id).filter(|_| tuple.direction == Direction::Inbound);
    let who = match limit {
        Some(_) => format!("`limit` keeps `{}` to", rule.id),
        None => format!("`{}` is for", rule.id),
    };
    // Of a host whose ports depend on parameters, these are asked for and not only its address.
    let host = match tuple.direction {
        Direction::Inbound => None,
        Direction::Outbound => host(known, tuple, |id| id == rule.id).filter(|host| is_told(known, host, remote)),
    };
    if let Some(host) = host {
        return format!("{who} hosts with other addresses; if {remote} is {}", host.entry(remote));
    }
    let mut names = super::peers_of(known.site, known.catalogue, rule);
    // Members of the cluster may reach the most: they come last.
    names.sort_by_key(|name| (name == "cluster", name == "https-networking"));
    let is_there =
        |name: &String| known.site.peers.get(name).is_some_and(|nets| nets.iter().any(|net| net.contains(&remote)));
    // It would change nothing where the address is one of them already.
    names.retain(|name| !is_there(name));
    let quotes: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some(first) = quotes.first() else {
        return match limit {
            Some(limit) => format!("add {remote} to `from` of the entry for `{}` (line {})", rule.id, limit.at.line),
            None if rule.id.starts_with("site/") => {
                format!("add {remote} to `{}` of `{}`", side(tuple.direction), rule.id)
            }
            None => format!("`{}` is for other addresses; to permit it:\n{}", rule.id, allow(tuple)),
        };
    };
    format!("{who} {}; if {remote} is one of them, add it:\npeers:\n  {first}: [{}]", one_of(&quotes), quoted(remote))
}

/// A host that a role of this site connects to, and which has the port with some settings.
struct Host {
    role: String,
    settings: std::collections::BTreeMap<String, String>,
}

/// The host with a role to which this site's roles connect, whose service with such an id has the port.
fn host(known: &Known<'_>, tuple: &Tuple, is_wanted: impl Fn(&str) -> bool) -> Option<Host> {
    let (_, port) = tuple.ports?;
    let found = candidates(known.catalogue, tuple.direction, tuple.protocol, port);
    let derived: Vec<_> = known.site.roles.iter().flat_map(|used| known.catalogue.derived(&used.role)).collect();
    found.into_iter().filter(|candidate| is_wanted(&candidate.id) && !candidate.settings.is_empty()).find_map(|found| {
        let (role, service) = found.id.split_once('/')?;
        let leads = derived
            .iter()
            .any(|one| one.origin == Origin::Inverse && one.role.name == role && one.service.name == service);
        (leads && known.catalogue.servers_of(role).is_some())
            .then(|| Host { role: role.to_owned(), settings: found.settings })
    })
}

/// Whether the address has a place in the site, so that only its parameters are wrong, or others of its kind have theirs told.
fn is_told(known: &Known<'_>, host: &Host, remote: IpAddr) -> bool {
    let peer = known.catalogue.servers_of(&host.role).and_then(|peer| known.site.peers.get(peer));
    peer.is_some_and(|nets| nets.iter().any(|net| net.contains(&remote)))
        || known.site.remotes.iter().any(|told| told.role == host.role)
}

impl Host {
    /// "a host with instance 1, say so: remote: ...".
    fn entry(&self, remote: IpAddr) -> String {
        let words: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let settings: String =
            self.settings.iter().map(|(name, value)| format!(", {name}: {}", scalar(value))).collect();
        let Self { role, .. } = self;
        format!(
            "a `{role}` with {}, say so:\nremote:\n  - {{role: {role}{settings}, addresses: [{}]}}",
            words.join(", "),
            quoted(remote)
        )
    }
}

/// A value as YAML: ranges of ports have commas between them.
fn scalar(value: &str) -> String {
    if value.contains(',') { format!("\"{value}\"") } else { value.to_owned() }
}

/// Nothing names the port.
fn unlisted(known: &Known<'_>, tuple: &Tuple) -> String {
    let candidates = tuple
        .ports
        .map(|(_, port)| candidates(known.catalogue, tuple.direction, tuple.protocol, port))
        .unwrap_or_default();
    let roles: Vec<String> = candidates
        .iter()
        .take(4)
        .map(|candidate| {
            let SourceRow { document, table, row } = &candidate.source;
            let settings = candidate.settings.iter().map(|(name, value)| format!(", {name} {value}"));
            format!("`{}` ({document} table {table}, row {row}{})", candidate.id, settings.collect::<String>())
        })
        .collect();
    let more = if candidates.len() > 4 { format!(" and {} more", candidates.len() - 4) } else { String::new() };
    let catalogue = match (roles.is_empty(), tuple.direction) {
        (true, _) => "the catalogue does not know this port".to_owned(),
        (false, Direction::Inbound) if candidates.iter().any(|candidate| is_here(known, &candidate.id)) => {
            format!(
                "the catalogue knows this port as {}{more}, which this host does not have with its parameters",
                roles.join(", ")
            )
        }
        (false, Direction::Inbound) => {
            format!("the catalogue knows this port as {}{more}, which this host does not have", roles.join(", "))
        }
        (false, Direction::Outbound) => format!("the catalogue knows this port as {}{more}", roles.join(", ")),
    };
    let host = match tuple.direction {
        Direction::Inbound => None,
        Direction::Outbound => host(known, tuple, |_| true),
    };
    match host {
        Some(host) => format!("{catalogue}; if {0} is {1}", tuple.remote(), host.entry(tuple.remote())),
        None => format!("{catalogue}; to permit it:\n{}", allow(tuple)),
    }
}

/// Whether this host has the role of a service.
fn is_here(known: &Known<'_>, id: &str) -> bool {
    let role = id.split('/').next().unwrap_or_default();
    known.site.roles.iter().any(|used| known.catalogue.flatten(&used.role).iter().any(|one| one.name == role))
}

/// The document keeps the port to the host.
fn internal(known: &Known<'_>, tuple: &Tuple, rule: Option<&Rule>) -> String {
    let said = rule.and_then(|rule| {
        let row = rule.sources.first()?;
        let title =
            known.catalogue.documents.get(&row.document).map_or(row.document.as_str(), |document| &document.title);
        let summary = super::service_of(known.catalogue, rule)
            .map_or_else(String::new, |service| format!(" {}", service.summary));
        Some(format!("\"{title}\", table {}, row {}, keeps this port to the host itself.{summary}", row.table, row.row))
    });
    let said = said.unwrap_or_else(|| "this port is for the host itself.".into());
    format!("{said} If it has to be reached all the same, a permit wins:\n{}", allow(tuple))
}
