//! Records in pinned BPF maps beside the programs: how an interface is protected, and which rule each counter belongs to.

use std::collections::BTreeMap;

use enforcer_common::layout::Config;
use enforcer_common::{Direction, Mode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataplane::kinds::DirectionRecord;
use crate::dataplane::plan::BpfLog;
use crate::dataplane::sys::clock::Clock;
use crate::policy::claims::Claims;
use crate::policy::modes::{Protects, SaidModes};
use crate::policy::ruleset::{Action, Rule, Settings, SourceRow};
use crate::policy::site::OfEstate;
use crate::policy::source::HookChoice;

/// How an interface is protected.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InterfaceRecord {
    /// Name of the interface.
    pub interface: String,
    /// Inode number of its network namespace.
    pub netns: u64,
    /// Index of the interface.
    pub index: u32,
    /// Whether this host or a guest is protected.
    pub protects: Protects,
    /// The active generation.
    pub generation: u64,
    /// How inbound is attached.
    pub inbound: DirectionRecord,
    /// How outbound is attached.
    pub outbound: Option<DirectionRecord>,
    /// Hash of the active policy.
    pub policy_hash: String,
    /// When the interface was first protected: its counters count from here.
    pub since: Timestamp,
    /// When the active policy was applied.
    pub applied: Timestamp,
    /// The clock of the programs, to convert jiffies into time.
    pub clock: Clock,
    /// The constants of the programs.
    pub config: Config,
    /// What the guest behind it may claim to be.
    #[serde(default)]
    pub claims: Claims,
    /// Which packets the programs log.
    #[serde(default)]
    pub bpf_log: BpfLog,
    /// The modes that the applied site file names.
    #[serde(default)]
    pub site_modes: Option<SaidModes>,
    /// The modes recorded as those of the site file when it was last applied.
    #[serde(default)]
    pub settled_modes: Option<SaidModes>,
    /// The requested hook; `None`: an older binary wrote the record.
    #[serde(default)]
    pub asked: Option<HookChoice>,
    /// The state of the interface when the policy was applied.
    #[serde(default)]
    pub start: Option<Start>,
    /// Why the interface was switched from native XDP to tc; `auto` does not choose native XDP again. `None`: it was not switched.
    #[serde(default)]
    pub left_native: Option<String>,
}

/// The state of an interface when the active policy was applied.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Start {
    /// Packets that the interface had received.
    pub received: u64,
    /// Packets that the inbound program had counted.
    pub judged: u64,
    /// The MTU of the interface, which the driver accepted with the program.
    pub mtu: u32,
}

impl InterfaceRecord {
    /// How a direction is attached.
    #[must_use]
    pub const fn direction(&self, direction: Direction) -> Option<DirectionRecord> {
        match direction {
            Direction::Inbound => Some(self.inbound),
            Direction::Outbound => self.outbound,
        }
    }
}

/// A policy as it was loaded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PolicyRecord {
    /// Hash of the policy.
    pub policy_hash: String,
    /// Where it came from: the path of the site file, `-`, or the command line.
    pub origin: String,
    /// The estate that it belongs to, and its host there.
    #[serde(default)]
    pub estate: Option<OfEstate>,
    /// Hash of the tables as they were filled. If the tables in the kernel have another hash, that is drift.
    pub tables_hash: String,
    /// Every rule, in the documented order.
    pub rules: Vec<RecordedRule>,
    /// Settings of the policy that are not rules.
    pub settings: Settings,
    /// Columns of the class matrices, inbound and outbound.
    pub columns: [u32; 2],
}

/// A rule as it was loaded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RecordedRule {
    /// Stable id.
    pub id: String,
    /// Direction.
    pub direction: Direction,
    /// The action of the rule.
    pub action: Action,
    /// Exposure.
    pub exposure: String,
    /// The rule's own mode; `None`: the mode of the interface.
    pub mode: Option<Mode>,
    /// Slot number of its counter.
    pub slot: u16,
    /// Since when it is counted.
    pub since: Timestamp,
    /// Rows of the documents.
    pub sources: Vec<SourceRow>,
}

impl RecordedRule {
    /// One entry for each id and direction: a rule with both TCP and UDP has one counter.
    pub(in crate::dataplane) fn of(rules: &[Rule], slots: &[Slot]) -> Vec<Self> {
        let mut recorded: Vec<Self> = Vec::with_capacity(rules.len());
        let mut places: BTreeMap<u16, usize> = BTreeMap::new();
        for (rule, slot) in rules.iter().zip(slots) {
            if let Some(place) = places.get(&slot.number) {
                let known = &mut recorded[*place];
                known.sources.extend(
                    rule.sources.iter().filter(|row| !known.sources.contains(row)).cloned().collect::<Vec<_>>(),
                );
                known.sources.sort();
                continue;
            }
            places.insert(slot.number, recorded.len());
            recorded.push(Self {
                id: rule.id.clone(),
                direction: rule.direction,
                action: rule.action,
                exposure: rule.exposure.clone(),
                mode: rule.mode,
                slot: slot.number,
                since: slot.since,
                sources: rule.sources.clone(),
            });
        }
        recorded
    }
}

/// The counter of a rule.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::dataplane) struct Slot {
    /// Index into the counters.
    pub(in crate::dataplane) number: u16,
    /// Since when it counts this rule.
    pub(in crate::dataplane) since: Timestamp,
    /// Whether the rule permits: its packets are then part of the reason `rule`.
    pub(in crate::dataplane) permits: bool,
    /// Whether the rule is outbound.
    pub(in crate::dataplane) outbound: bool,
}
