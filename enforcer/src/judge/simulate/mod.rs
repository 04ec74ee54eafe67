//! A capture under a policy: what would pass and what would be refused, in groups.
//!
//! The capture shows what happened without the policy: the host answered everything. So it is judged as in `audit`, where what
//! was refused is remembered and its answers make no flow.

mod captured;
mod locals;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enforcer_common::numbers::{SCTP, TCP, UDP};
use enforcer_common::{Direction, Reason, Verdict};
use serde::Serialize;

use crate::judge::capture::Packet;
use crate::judge::explain::{Candidate, Found, Known, candidates, describe_hint};
use crate::judge::host::Host;
use crate::judge::reference::{Looked, ethertype, look};
use crate::judge::tables::HostTables;
use crate::judge::tuple::Tuple;
use crate::policy::site::protocol_name;
use captured::{Captured, Seen};
use locals::is_broadcast;
pub use locals::{Locals, Origin, Survey};

/// Remote addresses that a group names at most.
const REMOTES: usize = 1000;

/// Packets that fare alike for the same reason.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Packets.
    pub packets: u64,
    /// Bytes, link header included.
    pub bytes: u64,
    /// The first packet's number.
    pub first: u64,
    /// The first packet in words.
    pub example: String,
    /// Refused by a rule that is in audit by itself.
    pub audited: bool,
    /// Remote addresses, the first thousand.
    pub remotes: BTreeSet<IpAddr>,
    /// There are more.
    pub more_remotes: bool,
    tuple: Option<Tuple>,
}

/// What tells groups apart.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// Which way the packets go.
    pub direction: Direction,
    /// Why they pass or are refused.
    pub reason: Reason,
    /// The rule, by its index.
    pub rule: Option<u16>,
    /// What they are; of what passes by flows, fragments and the like, only the protocol.
    pub service: String,
}

/// Packets that were not judged.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Unjudged {
    /// Too little of them was captured (snapshot length).
    pub cut: u64,
    /// Between others: neither to nor from the host.
    pub foreign: u64,
    /// Of a link type that is not understood, by its number.
    pub link_types: BTreeMap<i32, u64>,
}

/// A capture as it is read.
pub struct Simulation<'a> {
    known: Known<'a>,
    tables: HostTables<'a>,
    addresses: BTreeSet<IpAddr>,
    started: Option<u64>,
    now: u64,
    groups: BTreeMap<Key, Group>,
    unjudged: Unjudged,
}

/// The addresses of a packet, source first; `None`: it has none.
#[must_use]
pub fn ends_of(packet: &Packet<'_>) -> Option<[IpAddr; 2]> {
    let captured = Captured::of(packet).ok()?;
    look(&captured.padded()).map(|looked| [looked.source, looked.destination])
}

/// A group as it is reported.
#[derive(Clone, Debug, Serialize)]
pub struct Reported {
    /// `pass` or `drop`.
    pub verdict: Verdict,
    /// The reason by its name.
    pub reason: Reason,
    /// `inbound` or `outbound`.
    pub direction: Direction,
    /// `tcp 443`, `icmp type 3`, `ethertype 0x8864`.
    pub service: String,
    /// The rule that is responsible.
    pub rule: Option<String>,
    /// The row of the document that it comes from.
    pub source: Option<crate::policy::ruleset::SourceRow>,
    /// Counted whatever the mode of the host.
    pub audited: bool,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// How many remote addresses; at least, where there are more than a thousand.
    pub remotes: usize,
    /// Some of them.
    pub some_remotes: Vec<IpAddr>,
    /// The first packet's number.
    pub first: u64,
    /// The first packet in words.
    pub example: String,
    /// Entries of the catalogue that name the service.
    pub candidates: Vec<Candidate>,
    /// The smallest change that would permit the first packet.
    pub hint: Option<String>,
}

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Packets that were judged.
    pub packets: u64,
    /// Seconds from the first to the last.
    pub seconds: u64,
    /// What would be refused, most packets first, then what would pass.
    pub groups: Vec<Reported>,
    /// What was not judged.
    pub unjudged: Unjudged,
}

impl<'a> Simulation<'a> {
    /// Nothing read yet. `host` has the addresses that tell the direction.
    #[must_use]
    pub fn new(known: Known<'a>, host: &'a Host) -> Self {
        Self {
            known,
            tables: HostTables::new(known.ruleset, host),
            addresses: host.addresses.clone(),
            started: None,
            now: 0,
            groups: BTreeMap::new(),
            unjudged: Unjudged::default(),
        }
    }

    /// Judges one packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let captured = match Captured::of(packet) {
            Ok(captured) => captured,
            Err(number) => {
                *self.unjudged.link_types.entry(number).or_default() += 1;
                return;
            }
        };
        let padded = captured.padded();
        let looked = look(&padded);
        let Some(direction) = captured.direction.or_else(|| self.direction(looked.as_ref())) else {
            self.unjudged.foreign += 1;
            return;
        };
        let started = *self.started.get_or_insert(packet.at);
        // A clock that was set back in the middle of the capture stands still.
        self.now = self.now.max(packet.at.saturating_sub(started) / 1_000_000);
        self.tables.set_time(self.now);
        let outcome = self.tables.judge(direction, &Seen(&captured)).outcome;
        if captured.is_cut() && outcome.is(Reason::Malformed)
            || !captured.has_header() && captured.length > 0 && captured.is_cut()
        {
            self.unjudged.cut += 1;
            return;
        }
        let passes = outcome.verdict() == Verdict::Pass;
        let service = service(looked.as_ref(), &padded, passes && outcome.rule().is_none());
        let key = Key { direction, reason: outcome.reason(), rule: outcome.rule(), service };
        let group = self.groups.entry(key).or_default();
        if group.packets == 0 {
            group.first = packet.number;
            group.tuple = looked.as_ref().and_then(|looked| tuple(direction, looked));
            group.example = example(direction, looked.as_ref());
            group.audited = outcome.is_audited();
        }
        group.packets += 1;
        group.bytes += captured.length as u64;
        if let Some(looked) = looked {
            let remote = if direction == Direction::Inbound { looked.source } else { looked.destination };
            if group.remotes.len() < REMOTES {
                group.remotes.insert(remote);
            } else if !group.remotes.contains(&remote) {
                group.more_remotes = true;
            }
        }
    }

    /// What has been judged so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut groups: Vec<(&Key, &Group)> = self.groups.iter().collect();
        groups.sort_by(|(a, x), (b, y)| {
            b.reason.verdict().cmp(&a.reason.verdict()).then(y.packets.cmp(&x.packets)).then(a.cmp(b))
        });
        Report {
            packets: groups.iter().map(|(_, group)| group.packets).sum(),
            seconds: self.now / 1000,
            groups: groups.into_iter().map(|(key, group)| self.reported(key, group)).collect(),
            unjudged: self.unjudged.clone(),
        }
    }

    fn reported(&self, key: &Key, group: &Group) -> Reported {
        let rule = key.rule.and_then(|rule| self.known.ruleset.rules.get(usize::from(rule)));
        let refused = key.reason.verdict() == Verdict::Drop;
        let tuple = group.tuple.filter(|_| refused);
        let found = Found { reason: key.reason, rule: key.rule.map(usize::from), audited: group.audited };
        let named = tuple.and_then(|tuple| Some((tuple.protocol, tuple.ports?.1)));
        Reported {
            verdict: key.reason.verdict(),
            reason: key.reason,
            direction: key.direction,
            service: key.service.clone(),
            rule: rule.map(|rule| rule.id.clone()),
            source: rule.and_then(|rule| rule.sources.first().cloned()),
            audited: group.audited && refused,
            packets: group.packets,
            bytes: group.bytes,
            remotes: group.remotes.len() + usize::from(group.more_remotes),
            some_remotes: group.remotes.iter().copied().take(5).collect(),
            first: group.first,
            example: group.example.clone(),
            candidates: named.map_or_else(Vec::new, |(protocol, port)| {
                candidates(self.known.catalogue, key.direction, protocol, port)
            }),
            hint: tuple.and_then(|tuple| describe_hint(&self.known, &tuple, found)),
        }
    }

    /// Which way a packet goes, by the addresses of the host. What is for everybody comes in, and so does what has no address.
    fn direction(&self, looked: Option<&Looked>) -> Option<Direction> {
        let Some(looked) = looked else { return Some(Direction::Inbound) };
        let is_ours = |address: IpAddr| self.addresses.contains(&address);
        if is_ours(looked.source) {
            return Some(Direction::Outbound);
        }
        let for_all = looked.destination.is_multicast() || is_broadcast(looked.destination);
        (is_ours(looked.destination) || for_all).then_some(Direction::Inbound)
    }
}

/// What a packet asks for, in words. `by_kind`: it passes whatever port it has.
fn service(looked: Option<&Looked>, frame: &[u8], by_kind: bool) -> String {
    let Some(looked) = looked else {
        return ethertype(frame)
            .map_or_else(|| "unreadable".to_owned(), |ethertype| format!("ethertype 0x{ethertype:04x}"));
    };
    let Some(protocol) = looked.protocol else { return "ipv6".to_owned() };
    let name = protocol_name(protocol);
    match (looked.ports, looked.icmp) {
        (Some((_, port)), _) if !by_kind => format!("{name} {port}"),
        (_, Some(kind)) => format!("{name} type {kind}"),
        _ => name,
    }
}

/// The packet as `explain` would ask for it.
fn tuple(direction: Direction, looked: &Looked) -> Option<Tuple> {
    let protocol = looked.protocol?;
    let has_ports = matches!(protocol, TCP | UDP | SCTP);
    (has_ports == looked.ports.is_some()).then_some(Tuple {
        direction,
        protocol,
        source: looked.source,
        destination: looked.destination,
        ports: looked.ports,
    })
}

fn example(direction: Direction, looked: Option<&Looked>) -> String {
    let Some(looked) = looked else { return String::new() };
    match tuple(direction, looked) {
        Some(tuple) => tuple.to_string(),
        None => format!("{} -> {}", looked.source, looked.destination),
    }
}
