//! What is remembered beside the programs, in pinned BPF maps: which rule a counter belongs to, how an interface is protected.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aya::maps::{Array, Map, MapData};
use enforcer_common::{Direction, Mode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::slots::Slot;
use crate::dataplane::change::apply::Protects;
use crate::dataplane::error::{DataplaneError, Doing as _, error_number};
use crate::dataplane::hook::attach::{AttachMode, Hook};
use crate::dataplane::read::log::BpfLog;
use crate::dataplane::sys::clock::Clock;
use crate::policy::ruleset::{Action, Rule, Settings, SourceRow};

const CHUNK: usize = 4096;

/// How an interface is protected.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InterfaceRecord {
    /// Name.
    pub interface: String,
    /// Inode number of its network namespace.
    pub netns: u64,
    /// Index.
    pub index: u32,
    /// Who is behind it.
    pub protects: Protects,
    /// The generation in force.
    pub generation: u64,
    /// How inbound is attached.
    pub inbound: DirectionRecord,
    /// How outbound is attached.
    pub outbound: Option<DirectionRecord>,
    /// Hash of the policy in force.
    pub policy_hash: String,
    /// When the interface was first protected: its counters count from here.
    pub since: Timestamp,
    /// When the policy in force was applied.
    pub applied: Timestamp,
    /// For turning jiffies into time.
    pub clock: Clock,
    /// The constants of the programs, as [`Config::to_words`](enforcer_common::layout::Config::to_words) gives them.
    pub config: [u64; 14],
    /// What the programs write lines about.
    #[serde(default)]
    pub bpf_log: BpfLog,
}

/// How a direction is attached.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct DirectionRecord {
    /// Where.
    pub hook: Hook,
    /// How.
    pub attach_mode: AttachMode,
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
    /// Its hash.
    pub policy_hash: String,
    /// Where it came from: the path of the site file, `-`, or the command line.
    pub origin: String,
    /// Hash of the tables as they were filled; other ones in the kernel are drift.
    pub tables_hash: String,
    /// Every rule, in the documented order.
    pub rules: Vec<RecordedRule>,
    /// What is not a rule.
    pub settings: Settings,
    /// Columns of the class matrices, inbound and outbound.
    pub columns: [u32; 2],
}

/// A rule as it was loaded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RecordedRule {
    /// Stable id.
    pub id: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// What it does.
    pub action: Action,
    /// Exposure.
    pub exposure: String,
    /// Mode of its own.
    pub mode: Option<String>,
    /// Where its counter stands.
    pub slot: u16,
    /// Since when it is counted.
    pub since: Timestamp,
    /// Rows of the documents.
    pub sources: Vec<SourceRow>,
}

impl RecordedRule {
    /// One for each id and direction: a rule that speaks of TCP and of UDP is counted once.
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
                direction: rule.direction.name().to_owned(),
                action: rule.action,
                exposure: rule.exposure.clone(),
                mode: rule.mode.map(|mode: Mode| mode.name().to_owned()),
                slot: slot.number,
                since: slot.since,
                sources: rule.sources.clone(),
            });
        }
        recorded
    }
}

/// Reads a record. `None` where there is none.
pub(in crate::dataplane) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DataplaneError> {
    let data = match MapData::from_pin(path) {
        Ok(data) => data,
        Err(error) if error_number(&error) == Some(libc::ENOENT) => return Ok(None),
        Err(error) => return Err(error).doing(|| format!("cannot open the record {}", path.display())),
    };
    let read = || -> Result<Vec<u8>, aya::maps::MapError> {
        let map: Array<MapData, [u8; CHUNK]> = Map::from_map_data(data)?.try_into()?;
        let mut bytes = Vec::new();
        for chunk in map.iter() {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(bytes)
    };
    let bytes = read().doing(|| format!("cannot read the record {}", path.display()))?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let record = serde_json::from_slice(text)
        .doing(|| format!("the record {} is not one of this version of enforcer", path.display()))?;
    Ok(Some(record))
}

/// Writes a record in the place of another, in one step.
pub(in crate::dataplane) fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<(), DataplaneError> {
    let doing = || format!("cannot write the record {}", path.display());
    let text = serde_json::to_vec(record).doing(doing)?;
    let new = path.with_file_name("new_record");
    // Left behind by a process that was killed just here.
    let _ = fs::remove_file(&new);
    let count = u32::try_from(text.len() / CHUNK + 1).unwrap_or(u32::MAX);
    let mut map: Array<MapData, [u8; CHUNK]> = Array::create(count, 0).doing(doing)?;
    for (index, part) in (0..count).zip(text.chunks(CHUNK)) {
        let mut chunk = [0; CHUNK];
        chunk[..part.len()].copy_from_slice(part);
        map.set(index, chunk, 0).doing(doing)?;
    }
    map.pin(&new).doing(doing)?;
    fs::rename(&new, path).doing(doing)
}
