//! The ruleset: what a policy compiles to. Rules for people, tables for the data plane, one source for both.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use enforcer_common::layout::{Config, FLOWS, GUEST_FLOWS4};
use enforcer_common::{Direction, Entry, EntryKind, Mode, ServiceIndex, SourceClass};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::policy::ranges::Ranges4;

/// A compiled policy. Equal policies compile to equal rulesets, whatever the order of their parts in the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruleset {
    /// SHA-256 over everything that decides about packets, in lower-case hex.
    pub hash: String,
    /// Every rule in the documented order; an [`Entry`] names a rule by its index here.
    pub rules: Vec<Rule>,
    /// Inbound and outbound tables, indexed by [`Direction`].
    pub tables: [Table; 2],
    /// Longest-prefix-match content: every bound prefix, with the classes of the addresses it covers. A prefix inside another
    /// already has the peer bits of both (only the longest answers).
    pub prefixes: BTreeMap<IpNet, SourceClass>,
    /// Those of IPv4 as the programs look them up.
    pub ranges: Ranges4,
    /// What is not a rule.
    pub settings: Settings,
}

impl Ruleset {
    /// The table of a direction.
    #[must_use]
    pub const fn table(&self, direction: Direction) -> &Table {
        &self.tables[direction as usize]
    }

    /// What the tables say of a service and a remote address; the plain host-side reading of them.
    #[must_use]
    pub fn entry(&self, direction: Direction, service: ServiceIndex, remote: IpAddr) -> Entry {
        self.lookup().entry(direction, service, remote)
    }

    /// The classes of a remote address: those of the longest prefix that covers it.
    #[must_use]
    pub fn class(&self, remote: IpAddr) -> SourceClass {
        self.lookup().class(remote)
    }

    /// The features that the programs need for this policy, as [`Config`] names them; scope and hook are not the policy's alone.
    #[must_use]
    pub fn features(&self) -> u32 {
        let scoped = |direction| {
            let mut entries = self.table(direction).services.values();
            entries.any(|entry| entry.kind() == EntryKind::Scoped)
        };
        let outbound = || self.rules.iter().filter(|rule| rule.direction == Direction::Outbound);
        let wanted = [
            (scoped(Direction::Inbound), Config::SCOPED_IN),
            (scoped(Direction::Outbound), Config::SCOPED_OUT),
            (self.settings.outbound_judged, Config::OUTBOUND_JUDGED),
            (
                !self.settings.outbound_judged && outbound().any(|rule| rule.action == Action::Deny),
                Config::OUTBOUND_DENIES,
            ),
            (
                self.rules.iter().any(|rule| rule.direction == Direction::Inbound && rule.mode == Some(Mode::Audit)),
                Config::RULES_IN_AUDIT,
            ),
            // Of the rules, not of the service table: where a connection depends on the remote address, the matrix has the flag.
            (outbound().any(|rule| rule.answer_any), Config::ANSWER_ANY),
            (self.lets_ipsec_in(), Config::DECRYPTS),
        ];
        wanted.iter().filter(|(is_wanted, _)| *is_wanted).fold(0, |features, (_, feature)| features | feature)
    }

    /// Whether somebody may send IPsec to this host: ESP, or ESP in UDP.
    #[must_use]
    pub fn lets_ipsec_in(&self) -> bool {
        let services = &self.table(Direction::Inbound).services;
        [ServiceIndex::protocol(50), ServiceIndex::udp(4500)].iter().any(|index| {
            let entry = services.get(index);
            entry.is_some_and(|entry| matches!(entry.kind(), EntryKind::Permit | EntryKind::Scoped))
        })
    }

    /// What the tables say, wherever they come from.
    #[must_use]
    pub const fn lookup(&self) -> Lookup<'_> {
        let Self { tables, prefixes, settings, .. } = self;
        Lookup { tables, prefixes, outbound_judged: settings.outbound_judged }
    }
}

/// The decisions of a policy: of a [`Ruleset`], where entries name rules by their index, or of what the kernel has loaded, where
/// they name the slots of their counters.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// As [`Ruleset::tables`].
    pub tables: &'a [Table; 2],
    /// As [`Ruleset::prefixes`].
    pub prefixes: &'a BTreeMap<IpNet, SourceClass>,
    /// As [`Settings::outbound_judged`].
    pub outbound_judged: bool,
}

impl Lookup<'_> {
    /// What the tables say of a service and a remote address.
    #[must_use]
    pub fn entry(&self, direction: Direction, service: ServiceIndex, remote: IpAddr) -> Entry {
        let table = &self.tables[direction as usize];
        let entry = table.services.get(&service).copied().unwrap_or(Entry::NONE);
        if entry.kind() != EntryKind::Scoped {
            return entry;
        }
        let column = self.class(remote).column(direction);
        let index = usize::from(entry.number()) * table.columns as usize + column as usize;
        // Beyond the table (which the compiler never makes) the programs read nothing, and nothing permits.
        let scoped = table.matrix.get(index).copied().unwrap_or(Entry::NONE);
        scoped.with(entry.0 & Entry::ANSWER_ANY)
    }

    /// The classes of a remote address: those of the longest prefix that covers it.
    #[must_use]
    pub fn class(&self, remote: IpAddr) -> SourceClass {
        let full = IpNet::from(remote);
        let lengths = (0..=full.prefix_len()).rev();
        lengths
            .filter_map(|length| IpNet::new(remote, length).ok())
            .find_map(|net| self.prefixes.get(&net.trunc()))
            .copied()
            .unwrap_or_default()
    }
}

/// The table of one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Ports, protocols, ethertypes and ping that any rule names. What is not here is [`Entry::NONE`].
    pub services: BTreeMap<ServiceIndex, Entry>,
    /// Row by row, `columns` entries each: the decision for a class of services and a class of remote addresses. Never
    /// [`EntryKind::Scoped`]. [`Entry::NONE`] only where every rule that names the
    /// service is a deny rule for other addresses.
    pub matrix: Vec<Entry>,
    /// Length of a row; at least 1, because column 0 is the addresses that no prefix covers.
    pub columns: u32,
}

/// One rule, as `compile`, `counters` and `explain` show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// Stable id: `role/service` or `site/name`.
    pub id: String,
    /// Which way the packets go that it is about.
    #[serde(serialize_with = "direction_name")]
    pub direction: Direction,
    /// What it does.
    pub action: Action,
    /// What it matches.
    pub matches: Match,
    /// The remote side it is for, by name (peer names and literal prefixes of the site file); `None`: any.
    pub peers: Option<Vec<String>>,
    /// The same as prefixes, sorted, aggregated; `None`: any. Empty: nobody (an unbound peer).
    /// Rules for the same peers share one list.
    pub prefixes: Option<Arc<[IpNet]>>,
    /// The exposure printed for the service, or for a site rule `open`.
    pub exposure: String,
    /// Mode of its own, of the role or of the entry.
    #[serde(serialize_with = "mode_name")]
    pub mode: Option<Mode>,
    /// The server answers from another port.
    pub answer_any: bool,
    /// Rows of the documents it comes from; empty for site rules.
    pub sources: Vec<SourceRow>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A deny rule of the site.
    Deny,
    /// Permits.
    Permit,
    /// The port is internal to the host.
    Internal,
}

impl Action {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Permit => "permit",
            Self::Internal => "internal",
        }
    }
}

/// What a rule matches.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// An IP protocol with ports (6, 17, 132), and port ranges in ascending order that do not touch.
    Ports {
        /// Protocol number.
        protocol: u8,
        /// Destination ports of the rule's direction.
        ports: Vec<RangeInclusive<u16>>,
    },
    /// An IP protocol as a whole.
    Protocol(u8),
    /// An ethertype.
    Ethertype(u16),
    /// Echo requests.
    Echo,
}

/// A row of a vendor document.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SourceRow {
    /// Key of the document in `documents.yaml`.
    pub document: String,
    /// Table as numbered in print.
    pub table: String,
    /// Logical row, from 1.
    pub row: u32,
}

/// What a policy says beside its rules.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Settings {
    /// Whether outbound packets are judged (`outbound: role`) or not (`open`).
    pub outbound_judged: bool,
    /// Whether packets that are addressed to somebody else are judged; `None` where the site does not say.
    pub scope: Option<Scope>,
    /// Flow table.
    pub flows: FlowSettings,
}

/// Whose packets are judged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All that pass the hook.
    All,
    /// Only those addressed to this host.
    Host,
}

/// Timeouts in seconds and size of the flow table.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FlowSettings {
    /// Conversations at most, for each of IPv4 and IPv6; `None`: as many as a host of this kind has by default.
    pub entries: Option<u32>,
    /// Idle TCP conversations (RFC 5382 asks for 2 h 4 min at least).
    pub tcp: u32,
    /// TCP conversations that both sides have closed, or that we have reset.
    pub tcp_closing: u32,
    /// UDP and SCTP.
    pub udp: u32,
    /// For how long after the last packet that left, what comes in prolongs a flow of UDP or SCTP.
    #[serde(default = "one_way")]
    pub one_way: u32,
    /// ICMP echo.
    pub icmp: u32,
}

impl FlowSettings {
    /// IPv4 conversations at most, of this machine or of a guest.
    #[must_use]
    pub fn entries4(&self, is_guest: bool) -> u32 {
        self.entries.unwrap_or(if is_guest { GUEST_FLOWS4 } else { FLOWS })
    }
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self { entries: None, tcp: 7500, tcp_closing: 30, udp: 180, one_way: one_way(), icmp: 30 }
    }
}

/// An hour.
const fn one_way() -> u32 {
    3600
}

fn direction_name<S: serde::Serializer>(direction: &Direction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(direction.name())
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn mode_name<S: serde::Serializer>(mode: &Option<Mode>, serializer: S) -> Result<S::Ok, S::Error> {
    match mode {
        Some(mode) => serializer.serialize_str(mode.name()),
        None => serializer.serialize_none(),
    }
}
