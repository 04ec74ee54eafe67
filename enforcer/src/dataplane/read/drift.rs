//! Drift: whether the tables of the programs still contain what was applied.

use std::collections::BTreeMap;

use enforcer_common::layout::Range4;
use enforcer_common::{Direction, Entry, SourceClass};
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use super::readback::loaded;
use crate::dataplane::error::DataplaneError;
use crate::dataplane::load::fill::with_slot;
use crate::dataplane::pin::record::{InterfaceRecord, Slot};
use crate::policy::ranges::Ranges4;
use crate::policy::ruleset::{Ruleset, Table};

/// The hash of the tables that a ruleset should produce.
pub(in crate::dataplane) fn intended(ruleset: &Ruleset, slots: &[Slot]) -> String {
    let tables = Direction::ALL.map(|direction| ruleset.table(direction));
    hash(&tables, &ruleset.ranges, &ruleset.prefixes, |entry| with_slot(entry, slots))
}

/// The hash of the tables in the kernel.
pub(in crate::dataplane) fn in_force(record: &InterfaceRecord) -> Result<String, DataplaneError> {
    let loaded = loaded(record)?;
    let [inbound, outbound] = &loaded.tables;
    Ok(hash(&[inbound, outbound], &loaded.ranges, &loaded.prefixes, |entry| entry))
}

/// Hashes only entries that are not zero, because maps may be larger than needed.
fn hash(
    tables: &[&Table; 2],
    ranges: &Ranges4,
    prefixes: &BTreeMap<IpNet, SourceClass>,
    word: impl Fn(Entry) -> Entry,
) -> String {
    let mut hasher = Sha256::new();
    for table in tables {
        let services: BTreeMap<u32, u32> =
            table.services.iter().map(|(index, entry)| (index.0, word(*entry).0)).collect();
        let matrix: BTreeMap<u32, u32> = (0..).zip(table.matrix.iter().map(|entry| word(*entry).0)).collect();
        for words in [services, matrix] {
            for (index, word) in words.into_iter().filter(|(_, word)| *word != 0) {
                hasher.update(format!("{index} {word}\n"));
            }
            hasher.update("--\n");
        }
    }
    for Range4 { first, class } in &ranges.ranges {
        hasher.update(format!("{first} {class}\n"));
    }
    // The keys by which the programs find the entries.
    for number in &ranges.index {
        hasher.update(number.to_le_bytes());
    }
    for (net, class) in prefixes.iter().filter(|(net, _)| net.addr().is_ipv6()) {
        hasher.update(format!("{net} {}\n", class.0));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
