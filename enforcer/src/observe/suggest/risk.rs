//! What a suggestion would permit beside the flows it explains, and what to think of before it is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enforcer_common::{Direction, ServiceIndex};
use ipnet::IpNet;
use serde::Serialize;

use super::kinds::{Denied, SuggestionKind, Tried};
use crate::policy::catalogue::parse_ranges;
use crate::policy::diff::{Change, Difference, Effect, Sources, diff};
use crate::policy::ruleset::Ruleset;
use crate::policy::site::{aggregated, host, parse_protocol};

/// Bits of a prefix whose addresses are looked at one by one.
const SMALL: u8 = 8;
/// Examples that are shown.
const EXAMPLES: usize = 6;
/// Fewer packets may be a mistake of somebody's.
const FEW: u64 = 3;
/// Ports from which a host is administered: SSH, telnet, RPC, SNMP, SMB, SQL Server, remote desktop, VNC, WinRM.
const MANAGEMENT: [u16; 10] = [22, 23, 135, 161, 445, 1433, 3389, 5900, 5985, 5986];

/// What would be permitted beside the flows.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct AlsoOpens {
    /// Ports, protocols and the like, each direction and protocol by itself.
    pub ports: u64,
    /// Some of it for every address.
    pub to_anybody: bool,
    /// A few of them, in words.
    pub examples: Vec<String>,
}

/// What to think of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Risk {
    /// How much.
    pub level: Level,
    /// In sentences.
    pub note: String,
}

/// How much there is to think of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Permits what was seen, where it is expected.
    Low,
    /// Look twice.
    Medium,
    /// Ask somebody.
    High,
}

impl Level {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// How many ports and the like a difference opens.
pub(super) fn opened(difference: &Difference, directions: [Direction; 2]) -> u64 {
    let opens = difference.changes.iter().filter(|change| change.change == Effect::Permit);
    opens.filter(|change| directions.contains(&change.direction)).map(width).sum()
}

fn width(change: &Change) -> u64 {
    let ranges = change.ports.as_deref().or(change.numbers.as_deref()).and_then(parse_ranges);
    let width = |range: std::ops::RangeInclusive<u16>| u64::from(*range.end()) - u64::from(*range.start()) + 1;
    ranges.map_or(1, |ranges| ranges.into_iter().map(width).sum())
}

/// What the second policy permits that the first does not, without the flows. A port that was asked for counts where it is
/// opened to other addresses, too.
pub(super) fn also_opens(before: &Ruleset, after: &Ruleset, flows: &[Denied]) -> AlsoOpens {
    let difference = diff(before, after);
    let mut seen: BTreeMap<(Direction, u32), Vec<IpNet>> = BTreeMap::new();
    for flow in flows {
        if let Some(service) = service(flow) {
            seen.entry(service).or_default().extend(flow.remote.map(host));
        }
    }
    let seen: BTreeMap<_, _> = seen.into_iter().map(|(service, nets)| (service, aggregated(&nets))).collect();
    let mut found = AlsoOpens::default();
    for change in difference.changes.iter().filter(|change| change.change == Effect::Permit) {
        let is_seen = |asked: &[IpNet]| match &change.remote.prefixes {
            // What is not IP has no address.
            None => asked.is_empty(),
            Some(opened) => opened.iter().all(|net| is_within(*net, &change.remote, asked)),
        };
        let inside = seen.iter().filter(|(service, asked)| is_in(change, **service) && is_seen(asked)).count();
        let more = width(change).saturating_sub(inside as u64);
        if more == 0 {
            continue;
        }
        found.ports += more;
        found.to_anybody |= change.remote.prefixes.is_none();
        if found.examples.len() < EXAMPLES {
            let ports = change.ports.as_deref().or(change.numbers.as_deref()).unwrap_or_default();
            let rule = change.after.rule.as_deref().unwrap_or("-");
            let words = [change.direction.name(), change.protocol.as_str(), ports].join(" ");
            found.examples.push(format!("{} ({rule})", words.trim_end()));
        }
    }
    found
}

/// Whether everything of a set that lies in this prefix was asked for.
fn is_within(net: IpNet, opened: &Sources, asked: &[IpNet]) -> bool {
    let is_small = net.max_prefix_len() - net.prefix_len() <= SMALL;
    asked.iter().any(|asked| asked.contains(&net))
        || is_small
            && net.subnets(net.max_prefix_len()).is_ok_and(|mut hosts| {
                let is_asked = |address: IpAddr| asked.iter().any(|asked| asked.contains(&address));
                hosts.all(|host| !opened.contains(host.addr()) || is_asked(host.addr()))
            })
}

fn service(flow: &Denied) -> Option<(Direction, u32)> {
    let index = match flow.tried {
        Tried::Port { protocol, port } => ServiceIndex::port(protocol, port)?,
        Tried::Protocol(protocol) => ServiceIndex::protocol(protocol),
        Tried::Ethertype(ethertype) => ServiceIndex::ethertype(ethertype),
        Tried::Icmp { .. } => return None,
    };
    Some((flow.direction, index.0))
}

fn is_in(change: &Change, (direction, index): (Direction, u32)) -> bool {
    if change.direction != direction {
        return false;
    }
    let numbers = || change.ports.as_deref().or(change.numbers.as_deref()).and_then(parse_ranges).unwrap_or_default();
    let any = |service: &dyn Fn(u16) -> Option<ServiceIndex>| {
        numbers().into_iter().flatten().any(|number| service(number).is_some_and(|one| one.0 == index))
    };
    if change.protocol == "protocols" {
        return any(&|number| u8::try_from(number).ok().map(ServiceIndex::protocol));
    }
    if let Some(digits) = change.protocol.strip_prefix("ethertype 0x") {
        return u16::from_str_radix(digits, 16).is_ok_and(|one| ServiceIndex::ethertype(one).0 == index);
    }
    let Some(protocol) = parse_protocol(&change.protocol) else { return false };
    if change.ports.is_some() {
        return any(&|port| ServiceIndex::port(protocol, port));
    }
    ServiceIndex::protocol(protocol).0 == index
}

/// What to think of before a suggestion is taken.
pub(super) fn judge(kind: SuggestionKind, name: &str, also: &AlsoOpens, flows: &[Denied]) -> Risk {
    let mut level = Level::Low;
    let mut notes: Vec<String> = Vec::new();
    let mut note = |of: Level, text: String| {
        level = level.max(of);
        notes.push(text);
    };
    match kind {
        SuggestionKind::Allow => note(Level::Low, "permits only the flows that were seen".to_owned()),
        SuggestionKind::Peer if name == "cluster" || name == "https-networking" => note(
            Level::High,
            format!(
                "members of `{name}` reach services that nobody else can reach: accept only if these addresses are such servers"
            ),
        ),
        SuggestionKind::Peer if also.ports > 0 => {
            note(
                Level::Medium,
                format!(
                    "accept only if these addresses belong to `{name}`: they gain access to {} more",
                    ports(also.ports)
                ),
            );
        }
        SuggestionKind::Peer => {
            note(Level::Low, format!("accept only if these addresses belong to `{name}`; they gain no other access"));
        }
        SuggestionKind::Role => {
            let to = if also.to_anybody { ", some to any address" } else { "" };
            let of = if also.to_anybody { Level::High } else { Level::Medium };
            note(of, format!("accept only if this host has the role: it opens {} more{to}", ports(also.ports)));
        }
    }
    let remotes: BTreeSet<IpAddr> = flows.iter().filter_map(|flow| flow.remote).collect();
    let outside: Vec<String> = remotes.iter().filter(|one| is_public(**one)).map(ToString::to_string).collect();
    let inbound = flows.iter().any(|flow| flow.direction == Direction::Inbound);
    if let (true, Some(first)) = (inbound, outside.first()) {
        let more = if outside.len() > 1 { format!(" and {} more", outside.len() - 1) } else { String::new() };
        note(Level::High, format!("{first}{more} may be on the Internet"));
    }
    let management: BTreeSet<u16> = flows
        .iter()
        .filter_map(|flow| match flow.tried {
            Tried::Port { port, .. } if flow.direction == Direction::Inbound && MANAGEMENT.contains(&port) => {
                Some(port)
            }
            Tried::Port { .. } | Tried::Protocol(_) | Tried::Icmp { .. } | Tried::Ethertype(_) => None,
        })
        .collect();
    if !management.is_empty() {
        let listed: Vec<String> = management.iter().map(ToString::to_string).collect();
        let port = if listed.len() == 1 { "port" } else { "ports" };
        note(Level::Medium, format!("{port} {} can be used to administer the host", listed.join(", ")));
    }
    if flows.iter().any(|flow| matches!(flow.tried, Tried::Ethertype(_))) {
        note(
            Level::Medium,
            "frames that are not IP carry no IP address, so any host on the link may send them".to_owned(),
        );
    }
    let packets: u64 = flows.iter().map(|flow| flow.packets).sum();
    if packets < FEW {
        let times = if packets == 1 { "once" } else { "twice" };
        note(Level::Medium, format!("seen only {times}, so it may be a mistake"));
    }
    Risk { level, note: notes.join("; ") }
}

fn ports(count: u64) -> String {
    if count == 1 { "1 port".to_owned() } else { format!("{count} ports") }
}

/// Not in a network that is somebody's own (RFC 1918, RFC 6598, RFC 4193), on the link, or for documents and tests.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let testing = a == 198 && (b == 18 || b == 19);
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_unspecified()
                || address.is_documentation()
                || shared
                || testing)
        }
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            // Only 2000::/3 is routed between networks; 2001:db8::/32 is for documents.
            first & 0xe000 == 0x2000 && (first, second) != (0x2001, 0x0db8)
        }
    }
}
