//! Fills the maps of a policy. Arrays are written through a mapping: 65,536 entries take microseconds instead of 75 ms.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::Ebpf;
use aya::maps::{Map, MapData};
use enforcer_common::layout::map;
use enforcer_common::{Direction, Entry, EntryKind};
use ipnet::IpNet;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::batch::write_entries;
use super::error::{DataplaneError, Doing as _};
use super::slots::Slot;
use crate::ruleset::{Ruleset, Table};

/// Writes the tables of a ruleset into the maps of a generation that is not in force yet.
pub(super) fn fill(object: &Ebpf, ruleset: &Ruleset, slots: &[Slot]) -> Result<(), DataplaneError> {
    for (direction, services, matrix) in [
        (Direction::Inbound, map::SERVICES_IN, map::MATRIX_IN),
        (Direction::Outbound, map::SERVICES_OUT, map::MATRIX_OUT),
    ] {
        let table = ruleset.table(direction);
        write_services(array(object, services)?, table, slots)?;
        write_matrix(array(object, matrix)?, table, slots)?;
    }
    fill_prefixes(object, ruleset)
}

/// Looks at the words of a memory-mapped array, or writes them. Each element takes eight bytes (the kernel rounds the value
/// size up).
pub(super) fn with_words<T>(data: &MapData, work: impl FnOnce(&[AtomicU64]) -> T) -> Result<T, DataplaneError> {
    let doing = || "cannot map a BPF array into memory".to_owned();
    let count = data.info().doing(doing)?.max_entries() as usize;
    let length = NonZeroUsize::new(count * 8).unwrap_or(NonZeroUsize::MIN);
    // SAFETY: a new mapping of a file descriptor that we hold, at an address that the kernel chooses.
    let address = unsafe {
        mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, data.fd().as_fd(), 0)
    }
    .map_err(|errno| DataplaneError::system(doing(), std::io::Error::from(errno)))?;
    let words: NonNull<AtomicU64> = address.cast();
    // SAFETY: page-aligned, `count` words long, and alive until `munmap` below. Programs and other processes share it, and each
    // word is read and written as a whole.
    let result = work(unsafe { std::slice::from_raw_parts(words.as_ptr(), count) });
    // SAFETY: the mapping that was just made; the slice is gone.
    unsafe { munmap(address, length.get()) }
        .map_err(|errno| DataplaneError::system(doing(), std::io::Error::from(errno)))?;
    Ok(result)
}

/// Writes a whole array.
pub(super) fn write_words(data: &MapData, words: &[u64]) -> Result<(), DataplaneError> {
    with_words(data, |mapped| {
        for (to, word) in mapped.iter().zip(words) {
            to.store(*word, Ordering::Relaxed);
        }
    })
}

/// The data of an array of the object.
pub(super) fn array<'a>(object: &'a Ebpf, name: &str) -> Result<&'a MapData, DataplaneError> {
    match object.map(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(DataplaneError::NotAllowed(format!("the BPF object has no array {name}"))),
    }
}

fn write_services(data: &MapData, table: &Table, slots: &[Slot]) -> Result<(), DataplaneError> {
    with_words(data, |words| {
        for (index, entry) in &table.services {
            words[index.0 as usize].store(u64::from(with_slot(*entry, slots).0), Ordering::Relaxed);
        }
    })
}

fn write_matrix(data: &MapData, table: &Table, slots: &[Slot]) -> Result<(), DataplaneError> {
    let words: Vec<u64> = table.matrix.iter().map(|entry| u64::from(with_slot(*entry, slots).0)).collect();
    write_words(data, &words)
}

/// The programs know rules by the slot of their counter.
pub(super) fn with_slot(entry: Entry, slots: &[Slot]) -> Entry {
    let number = match entry.kind() {
        EntryKind::None | EntryKind::Scoped => return entry,
        EntryKind::Permit | EntryKind::Deny | EntryKind::Internal | EntryKind::Peer => {
            slots[usize::from(entry.number())].number
        }
    };
    let mut moved = Entry::new(entry.kind(), number);
    for flag in [Entry::AUDIT, Entry::ANSWER_ANY] {
        if entry.has(flag) {
            moved = moved.with(flag);
        }
    }
    moved
}

/// Keys are the length of the prefix and the words of the address.
fn fill_prefixes(object: &Ebpf, ruleset: &Ruleset) -> Result<(), DataplaneError> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (net, class) in &ruleset.prefixes {
        let length = u32::from(net.prefix_len());
        match net {
            IpNet::V4(net) => v4.push(([length, super::host::address_word(net.network())], class.0)),
            IpNet::V6(net) => {
                let [a, b, c, d] = super::host::words(net.network());
                v6.push(([length, a, b, c, d], class.0));
            }
        }
    }
    let doing = || "cannot write the prefixes".to_owned();
    write_entries(trie(object, map::PREFIXES4)?, &v4).doing(doing)?;
    write_entries(trie(object, map::PREFIXES6)?, &v6).doing(doing)
}

/// The data of a trie of the object.
fn trie<'a>(object: &'a Ebpf, name: &str) -> Result<&'a MapData, DataplaneError> {
    match object.map(name) {
        Some(Map::LpmTrie(data)) => Ok(data),
        _ => Err(DataplaneError::NotAllowed(format!("the BPF object has no trie {name}"))),
    }
}
