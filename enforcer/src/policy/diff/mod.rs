//! What one policy permits or refuses that another does not, in terms of traffic.
//!
//! Exact, not by sampling: remote addresses are partitioned by the prefixes of both policies, services by the places where
//! either table changes, and every pair is judged by both.

mod sources;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use enforcer_common::numbers::{
    ARP, DNS, EAPOL, FIRST_ETHERTYPE, ICMP, ICMPV6, IGMP, IPV4, IPV6, LLDP, NTP, PROVIDER_VLAN, PTP, SCTP,
    SLOW_PROTOCOLS, TCP, UDP, VLAN,
};
use enforcer_common::{Direction, Entry, EntryKind, ServiceIndex, SourceClass};
use serde::Serialize;

use crate::policy::catalogue::format_ranges;
use crate::policy::ruleset::{Ruleset, Scope, SourceRow};
use crate::policy::site::protocol_name;
use sources::Partition;
pub use sources::Sources;

/// What becomes of a new conversation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It passes.
    Permit,
    /// It is refused by rules that are in audit by themselves: counted, never dropped.
    Count,
    /// It is refused.
    Deny,
}

/// An effect and the rule that is responsible, where one is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Side {
    effect: Effect,
    rule: Option<u16>,
}

/// A change for a set of conversations.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Change {
    /// What the second policy does with them.
    pub change: Effect,
    /// Seen from the host.
    pub direction: Direction,
    /// Name or number of the protocol; `protocols` or `ethertypes` where the change is for several; `icmp-echo`.
    pub protocol: String,
    /// Destination ports, where the protocol has them.
    pub ports: Option<String>,
    /// Which protocols or ethertypes, where it is for several.
    pub numbers: Option<String>,
    /// Remote addresses.
    pub remote: Sources,
    /// What the first policy does.
    pub before: Judged,
    /// What the second does.
    pub after: Judged,
}

/// What a policy does, and by which rule.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Judged {
    /// What it does.
    pub effect: Effect,
    /// The rule that permits or refuses; none where nothing names the service.
    pub rule: Option<String>,
    /// The row of the document that it comes from.
    pub source: Option<SourceRow>,
}

/// A setting that is not the same.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SettingChange {
    /// Its name in the site file.
    pub setting: &'static str,
    /// In the first policy.
    pub before: String,
    /// In the second.
    pub after: String,
}

/// The whole difference.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Difference {
    /// Conversations that fare differently.
    pub changes: Vec<Change>,
    /// Settings that change no verdict of a new conversation by themselves.
    pub settings: Vec<SettingChange>,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.settings.is_empty()
    }
}

/// Compares two policies.
#[must_use]
pub fn diff(first: &Ruleset, second: &Ruleset) -> Difference {
    let pair = Pair { first, second };
    let changes = Direction::ALL.into_iter().flat_map(|direction| pair.changes(direction)).collect();
    Difference { changes, settings: settings(first, second) }
}

/// What a policy does with a new conversation that asks for this service, read from its tables.
fn side(ruleset: &Ruleset, direction: Direction, service: ServiceIndex, remote: SourceClass) -> Side {
    let entry = entry(ruleset, direction, service, remote);
    // Ping that is refused for want of a permit is dropped whatever the mode of the rule.
    let own_mode = service != ServiceIndex::ECHO || entry.kind() == EntryKind::Deny;
    let refused = if own_mode && entry.has(Entry::AUDIT) { Effect::Count } else { Effect::Deny };
    let named = match entry.kind() {
        EntryKind::None | EntryKind::Scoped => None,
        EntryKind::Permit | EntryKind::Deny | EntryKind::Internal | EntryKind::Peer => Some(entry.number()),
    };
    match (entry.kind(), direction) {
        (EntryKind::Permit, _) => Side { effect: Effect::Permit, rule: named },
        (EntryKind::Deny, _) => Side { effect: refused, rule: named },
        (_, Direction::Outbound) if !ruleset.settings.outbound_judged || always_leaves(service) => {
            Side { effect: Effect::Permit, rule: None }
        }
        _ => Side { effect: refused, rule: named },
    }
}

fn entry(ruleset: &Ruleset, direction: Direction, service: ServiceIndex, remote: SourceClass) -> Entry {
    let table = ruleset.table(direction);
    let entry = table.services.get(&service).copied().unwrap_or(Entry::NONE);
    if entry.kind() != EntryKind::Scoped {
        return entry;
    }
    let index = usize::from(entry.number()) * table.columns as usize + remote.column(direction) as usize;
    table.matrix.get(index).copied().unwrap_or(Entry::NONE)
}

/// The host's own name resolution and time leave whatever its connections are.
fn always_leaves(service: ServiceIndex) -> bool {
    [ServiceIndex::tcp(DNS), ServiceIndex::udp(DNS), ServiceIndex::udp(NTP)].contains(&service)
}

/// Protocols that are judged by their ports or types.
const BY_PORT_OR_TYPE: [u8; 6] = [ICMP, IGMP, TCP, UDP, ICMPV6, SCTP];
/// IP, tags, and what always passes: ARP, LLDP, LACP, EAPOL, PTP.
const BY_CONTENT: [u16; 9] = [IPV4, ARP, VLAN, IPV6, SLOW_PROTOCOLS, EAPOL, PROVIDER_VLAN, LLDP, PTP];

/// Services that rules do not decide about: their packets are judged by what they are.
fn is_judged_by_kind(direction: Direction, service: ServiceIndex) -> bool {
    BY_PORT_OR_TYPE.iter().any(|protocol| service == ServiceIndex::protocol(*protocol))
        || BY_CONTENT.iter().any(|ethertype| service == ServiceIndex::ethertype(*ethertype))
        || (ServiceIndex::ethertype(0)..ServiceIndex::ethertype(FIRST_ETHERTYPE)).contains(&service)
        || direction == Direction::Outbound && service == ServiceIndex::ECHO
}

fn hexadecimal(ranges: &[RangeInclusive<u16>]) -> String {
    let text = ranges.iter().map(|range| match (range.start(), range.end()) {
        (start, end) if start == end => format!("0x{start:04x}"),
        (start, end) => format!("0x{start:04x}-0x{end:04x}"),
    });
    text.collect::<Vec<_>>().join(",")
}

#[derive(Clone, Copy)]
struct Pair<'a> {
    first: &'a Ruleset,
    second: &'a Ruleset,
}

/// Ports that change in the same way.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct PortGroup {
    block: Block,
    before: Side,
    after: Side,
    /// Cells of the partition.
    cells: Vec<usize>,
}

/// Services that are counted as one kind of thing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Block {
    Ports(u8),
    Protocol,
    Ethertype,
    Echo,
}

impl Pair<'_> {
    fn changes(self, direction: Direction) -> Vec<Change> {
        let partition = Partition::of(self.first, self.second, direction);
        let mut kinds: BTreeMap<PortGroup, Vec<RangeInclusive<u16>>> = BTreeMap::new();
        for run in self.runs(direction) {
            let (start, end) = (ServiceIndex(*run.start()), *run.end());
            if is_judged_by_kind(direction, start) {
                continue;
            }
            let (block, port) = block(start);
            let mut found: BTreeMap<(Side, Side), Vec<usize>> = BTreeMap::new();
            for (cell, classes) in partition.cells.iter().enumerate() {
                let before = side(self.first, direction, start, classes.0);
                let after = side(self.second, direction, start, classes.1);
                if before.effect != after.effect {
                    found.entry((before, after)).or_default().push(cell);
                }
            }
            for ((before, after), cells) in found {
                let last = port + u16::try_from(end - start.0).unwrap_or(u16::MAX);
                kinds.entry(PortGroup { block, before, after, cells }).or_default().push(port..=last);
            }
        }
        let changes = kinds.into_iter().map(|(kind, ports)| self.change(direction, &partition, &kind, ports));
        changes.collect()
    }

    fn change(
        self,
        direction: Direction,
        partition: &Partition,
        kind: &PortGroup,
        ports: Vec<RangeInclusive<u16>>,
    ) -> Change {
        let ranges = crate::policy::catalogue::merge_ranges(ports);
        let one = ranges
            .first()
            .filter(|range| ranges.len() == 1 && range.start() == range.end())
            .map(|range| *range.start());
        let (protocol, ports, numbers) = match (kind.block, one) {
            (Block::Ports(protocol), _) => (protocol_name(protocol), Some(format_ranges(&ranges)), None),
            (Block::Protocol, Some(one)) => (protocol_name(u8::try_from(one).unwrap_or(u8::MAX)), None, None),
            (Block::Protocol, None) => ("protocols".to_owned(), None, Some(format_ranges(&ranges))),
            (Block::Ethertype, Some(one)) => (format!("ethertype 0x{one:04x}"), None, None),
            (Block::Ethertype, None) => ("ethertypes".to_owned(), None, Some(hexadecimal(&ranges))),
            (Block::Echo, _) => ("icmp-echo".to_owned(), None, None),
        };
        Change {
            change: kind.after.effect,
            direction,
            protocol,
            ports,
            numbers,
            remote: partition.sources(&kind.cells),
            before: judged(self.first, kind.before),
            after: judged(self.second, kind.after),
        }
    }

    /// Ranges of services over which both tables say the same, where either says something or nothing is not the same in both.
    fn runs(self, direction: Direction) -> Vec<RangeInclusive<u32>> {
        let tables = [self.first.table(direction), self.second.table(direction)];
        let own = [ServiceIndex::tcp(DNS), ServiceIndex::udp(DNS), ServiceIndex::udp(NTP)];
        let mut starts: Vec<u32> = (0..=4).map(|block| block * 65_536).collect();
        starts.push(ServiceIndex::ECHO.0);
        starts.push(ServiceIndex::ethertype(FIRST_ETHERTYPE).0);
        let single = own.into_iter().chain(BY_PORT_OR_TYPE.map(ServiceIndex::protocol));
        starts.extend(
            single.chain(BY_CONTENT.map(ServiceIndex::ethertype)).flat_map(|service| [service.0, service.0 + 1]),
        );
        for table in tables {
            let mut last: Option<(u32, Entry)> = None;
            for (service, entry) in &table.services {
                match last {
                    Some((before, same)) if before + 1 == service.0 && same == *entry => {}
                    Some((before, _)) => starts.extend([before + 1, service.0]),
                    None => starts.push(service.0),
                }
                last = Some((service.0, *entry));
            }
            starts.extend(last.map(|(service, _)| service + 1));
        }
        starts.push(ServiceIndex::COUNT);
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1);
        starts
            .iter()
            .zip(ends)
            .map(|(start, end)| *start..=*end - 1)
            .filter(|run| *run.start() < ServiceIndex::COUNT)
            .collect()
    }
}

fn block(service: ServiceIndex) -> (Block, u16) {
    let low = u16::try_from(service.0 % 65_536).unwrap_or_default();
    match service.0 / 65_536 {
        0 => (Block::Ports(TCP), low),
        1 => (Block::Ports(UDP), low),
        2 => (Block::Ports(SCTP), low),
        3 => (Block::Ethertype, low),
        _ if service == ServiceIndex::ECHO => (Block::Echo, 0),
        _ => (Block::Protocol, low),
    }
}

fn judged(ruleset: &Ruleset, side: Side) -> Judged {
    let rule = side.rule.and_then(|rule| ruleset.rules.get(usize::from(rule)));
    Judged {
        effect: side.effect,
        rule: rule.map(|rule| rule.id.clone()),
        source: rule.and_then(|rule| rule.sources.first().cloned()),
    }
}

fn settings(first: &Ruleset, second: &Ruleset) -> Vec<SettingChange> {
    let scope = |ruleset: &Ruleset| match ruleset.settings.scope {
        None => "unset".to_owned(),
        Some(Scope::All) => "all".to_owned(),
        Some(Scope::Host) => "host".to_owned(),
    };
    let of = |setting: fn(&crate::policy::ruleset::FlowSettings) -> u32, unit: &'static str| {
        move |ruleset: &Ruleset| format!("{}{unit}", setting(&ruleset.settings.flows))
    };
    type Read<'r> = Box<dyn Fn(&Ruleset) -> String + 'r>;
    let all: [(&'static str, Read<'_>); 7] = [
        ("scope", Box::new(scope)),
        ("flows.entries", Box::new(of(|flows| flows.entries4(false), ""))),
        ("flows.tcp", Box::new(of(|flows| flows.tcp, "s"))),
        ("flows.tcp_closing", Box::new(of(|flows| flows.tcp_closing, "s"))),
        ("flows.udp", Box::new(of(|flows| flows.udp, "s"))),
        ("flows.one_way", Box::new(of(|flows| flows.one_way, "s"))),
        ("flows.icmp", Box::new(of(|flows| flows.icmp, "s"))),
    ];
    let changes = all.iter().map(|(setting, read)| SettingChange { setting, before: read(first), after: read(second) });
    changes.filter(|change| change.before != change.after).collect()
}
