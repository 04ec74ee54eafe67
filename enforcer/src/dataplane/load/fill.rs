//! Fills the maps of a policy. Arrays are written through a mapping: 65,536 entries take microseconds instead of 75 ms.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aya::Ebpf;
use aya::maps::{Map, MapData};
use enforcer_common::layout::{Direct, map};
use enforcer_common::{Direction, Entry, EntryKind};
use ipnet::IpNet;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::load::object::Object;
use crate::dataplane::pin::record::Slot;
use crate::dataplane::sys::batch::write_entries;
use crate::dataplane::sys::mapped::with_memory;
use crate::dataplane::sys::words::mapped_words;
use crate::policy::claims::Claims;
use crate::policy::ranges::Ranges4;
use crate::policy::ruleset::{Ruleset, Table};

/// Writes the tables of a ruleset into the maps of a generation that is not active yet.
pub(in crate::dataplane) fn fill(object: &Object, ruleset: &Ruleset, slots: &[Slot]) -> Result<(), DataplaneError> {
    for (direction, services, matrix) in [
        (Direction::Inbound, Direct::ServicesIn, map::MATRIX_IN),
        (Direction::Outbound, Direct::ServicesOut, map::MATRIX_OUT),
    ] {
        let table = ruleset.table(direction);
        write_services(object.direct.map(services), table, slots)?;
        write_matrix(array(&object.ebpf, matrix)?, table, slots)?;
    }
    write_ranges(object, &ruleset.ranges)?;
    fill_prefixes6(&object.ebpf, ruleset)
}

/// Writes the addresses that a guest may claim.
pub(in crate::dataplane) fn fill_claims(object: &Object, claims: &Claims) -> Result<(), DataplaneError> {
    let entries: Vec<([u32; 5], u32)> = claims.table().into_iter().map(|(net, said)| (key_of(net), said)).collect();
    write_entries(trie(&object.ebpf, map::CLAIMS)?, &entries)
        .with_context(|| "cannot write the addresses of a guest".to_owned())
}

/// The key of a prefix in a table that has both families: its length, and its words, of which those of IPv4 are mapped.
pub(in crate::dataplane) fn key_of(net: IpNet) -> [u32; 5] {
    let [a, b, c, d] = mapped_words(net.network());
    [u32::from(net.prefix_len()) + if net.addr().is_ipv4() { 96 } else { 0 }, a, b, c, d]
}

/// Writes a whole array.
pub(in crate::dataplane) fn write_words(data: &MapData, words: &[u64]) -> Result<(), DataplaneError> {
    with_memory(data, |mapped: &[AtomicU64]| {
        for (to, word) in mapped.iter().zip(words) {
            to.store(*word, Ordering::Relaxed);
        }
    })
}

/// The map data of an array of the object.
pub(in crate::dataplane) fn array<'a>(object: &'a Ebpf, name: &str) -> Result<&'a MapData, DataplaneError> {
    match object.map(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(DataplaneError::NotAllowed(format!("the BPF object has no array {name}"))),
    }
}

fn write_services(data: &MapData, table: &Table, slots: &[Slot]) -> Result<(), DataplaneError> {
    with_memory(data, |entries: &[AtomicU32]| {
        for (index, entry) in &table.services {
            entries[index.0 as usize].store(with_slot(*entry, slots).0, Ordering::Relaxed);
        }
    })
}

fn write_matrix(data: &MapData, table: &Table, slots: &[Slot]) -> Result<(), DataplaneError> {
    let words: Vec<u64> = table.matrix.iter().map(|entry| u64::from(with_slot(*entry, slots).0)).collect();
    write_words(data, &words)
}

fn write_ranges(object: &Object, ranges: &Ranges4) -> Result<(), DataplaneError> {
    with_memory(object.direct.map(Direct::RangeIndex4), |entries: &[AtomicU32]| {
        for (to, number) in entries.iter().zip(&ranges.index) {
            to.store(*number, Ordering::Relaxed);
        }
    })?;
    with_memory(object.direct.map(Direct::Ranges4), |words: &[AtomicU32]| {
        let (words, _) = words.as_chunks();
        for ([first, class], range) in words.iter().zip(&ranges.ranges) {
            first.store(range.first, Ordering::Relaxed);
            class.store(range.class, Ordering::Relaxed);
        }
    })
}

/// Replaces rule numbers by counter slots, which is how programs name rules.
pub(in crate::dataplane) fn with_slot(entry: Entry, slots: &[Slot]) -> Entry {
    let number = match entry.kind() {
        EntryKind::None | EntryKind::Scoped => return entry,
        EntryKind::Permit | EntryKind::Deny | EntryKind::Internal | EntryKind::Peer => {
            slots[usize::from(entry.number())].number
        }
    };
    let mut moved = Entry::new(entry.kind(), number);
    for flag in [Entry::AUDIT, Entry::ANSWER_ANY, Entry::ENDED] {
        if entry.has(flag) {
            moved = moved.with(flag);
        }
    }
    moved
}

/// Writes the prefixes; a key is the prefix length and the words of the address.
fn fill_prefixes6(object: &Ebpf, ruleset: &Ruleset) -> Result<(), DataplaneError> {
    let v6 = ruleset.prefixes.iter().filter_map(|(net, class)| match net {
        IpNet::V4(_) => None,
        IpNet::V6(net) => {
            let [a, b, c, d] = crate::dataplane::sys::words::words(net.network());
            Some(([u32::from(net.prefix_len()), a, b, c, d], class.0))
        }
    });
    write_entries(trie(object, map::PREFIXES6)?, &v6.collect::<Vec<_>>())
        .with_context(|| "cannot write the prefixes".to_owned())
}

/// The map data of a trie of the object.
pub(in crate::dataplane) fn trie<'a>(object: &'a Ebpf, name: &str) -> Result<&'a MapData, DataplaneError> {
    match object.map(name) {
        Some(Map::LpmTrie(data)) => Ok(data),
        _ => Err(DataplaneError::NotAllowed(format!("the BPF object has no trie {name}"))),
    }
}
