//! Reads the active policy back from the maps of the programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aya::Pod;
use enforcer_common::layout::{Range4, map};
use enforcer_common::{Direction, Entry, ServiceIndex, SourceClass, ranges};
use ipnet::IpNet;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::mode::active;
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::{Protected, policy};
use crate::dataplane::pin::record::{InterfaceRecord, PolicyRecord, RecordedRule};
use crate::dataplane::sys::batch::hash_entries;
use crate::dataplane::sys::mapped::with_memory;
use crate::dataplane::sys::open::open_map;
use crate::dataplane::sys::words::address6;
use crate::policy::ranges::Ranges4;
use crate::policy::ruleset::{Lookup, Table};

/// A policy as the kernel holds it. Entries name rules by the slot of their counter.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The record of the policy.
    pub record: PolicyRecord,
    /// Inbound and outbound, as in a [`Ruleset`](crate::policy::ruleset::Ruleset).
    pub tables: [Table; 2],
    /// Every prefix with its classes. Those of IPv4 cover what was applied, and need not be the same prefixes.
    pub prefixes: BTreeMap<IpNet, SourceClass>,
    /// What those of IPv4 are read from.
    pub ranges: Ranges4,
}

impl Loaded {
    /// The decisions.
    #[must_use]
    pub const fn lookup(&self) -> Lookup<'_> {
        let Self { record, tables, prefixes, .. } = self;
        Lookup { tables, prefixes, outbound_judged: record.settings.outbound_judged }
    }

    /// The rule that an entry names.
    #[must_use]
    pub fn rule(&self, direction: Direction, slot: u16) -> Option<&RecordedRule> {
        self.record.rules.iter().find(|rule| rule.slot == slot && rule.direction == direction)
    }
}

/// Reads the policy that a protected interface has now.
///
/// # Errors
/// When its maps are gone or cannot be read.
pub fn readback(protected: &Protected) -> Result<Loaded, DataplaneError> {
    let (_reading, now) = active::now(protected)?;
    loaded(&now.record)
}

/// Reads the policy of a record, for whoever holds the lock: with the next policy, the tables of this one go.
pub(in crate::dataplane) fn loaded(record: &InterfaceRecord) -> Result<Loaded, DataplaneError> {
    let folder = HostPins::of(record.netns).generation(record.generation);
    let policy = policy(record)?;
    let table = |services: &str, matrix: &str, columns: u32| -> Result<Table, DataplaneError> {
        let services = entries(&folder.join(services))?;
        let services = (0..ServiceIndex::COUNT).zip(services).filter(|(_, word)| *word != 0);
        Ok(Table {
            services: services.map(|(index, word)| (ServiceIndex(index), Entry(word))).collect(),
            matrix: words(&folder.join(matrix))?.into_iter().map(Entry).collect(),
            columns,
        })
    };
    let [inbound, outbound] = policy.columns;
    let tables =
        [table(map::SERVICES_IN, map::MATRIX_IN, inbound)?, table(map::SERVICES_OUT, map::MATRIX_OUT, outbound)?];
    let ranges = ranges(&folder)?;
    let mut prefixes: BTreeMap<_, _> = ranges.prefixes().collect();
    for ([length, words @ ..], class) in prefix_table::<[u32; 5]>(&folder.join(map::PREFIXES6))? {
        let length = u8::try_from(length).unwrap_or(u8::MAX);
        // The kernel keeps no prefix longer than its key.
        prefixes.extend(IpNet::new(address6(words).into(), length).map(|net| (net, SourceClass(class))));
    }
    Ok(Loaded { record: policy, tables, prefixes, ranges })
}

/// The ranges of a policy, as many as the last entry of their index says, and no more than there is room for.
fn ranges(folder: &Path) -> Result<Ranges4, DataplaneError> {
    let mut index = entries(&folder.join(map::RANGE_INDEX4))?;
    index.truncate(ranges::INDEX as usize);
    let last = index.last().copied().unwrap_or_default() as usize;
    let words = entries(&folder.join(map::RANGES4))?;
    let (words, _) = words.as_chunks();
    let ranges = words.iter().take(last + 1).map(|&[first, class]| Range4 { first, class }).collect();
    Ok(Ranges4 { ranges, index })
}

/// The entries of a table that is one value, and what the kernel has put behind them.
fn entries(path: &Path) -> Result<Vec<u32>, DataplaneError> {
    let data = open_map(path)?;
    with_memory(&data, |entries: &[AtomicU32]| entries.iter().map(|entry| entry.load(Ordering::Relaxed)).collect())
}

/// The words of an array of 32-bit values.
fn words(path: &Path) -> Result<Vec<u32>, DataplaneError> {
    let data = open_map(path)?;
    #[expect(clippy::cast_possible_truncation, reason = "the kernel pads each value of four bytes to eight")]
    with_memory(&data, |words: &[AtomicU64]| words.iter().map(|word| word.load(Ordering::Relaxed) as u32).collect())
}

/// Keys are the length of the prefix and the words of the address.
fn prefix_table<K: Pod + Default>(path: &Path) -> Result<Vec<(K, u32)>, DataplaneError> {
    let data = open_map(path)?;
    hash_entries(&data).with_context(|| context(path))
}

fn context(path: &Path) -> String {
    format!("cannot read the table {} back", path.display())
}
