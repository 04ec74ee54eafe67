//! Reading the denied flows that the programs have recorded.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aya::maps::MapData;
use enforcer_common::layout::{DeniedKey, DeniedState, Direct, map};
use enforcer_common::{Direction, Mode, Reason};
use jiff::Timestamp;

use crate::dataplane::error::{DataplaneError, Doing as _};
use crate::dataplane::load::own::address6;
use crate::dataplane::load::per_cpu;
use crate::dataplane::pin::pins::{HostPins, Protected, open_map};
use crate::dataplane::sys::batch::hash_entries;
use crate::observe::denied::{Asked, Denied, DeniedFlow};

/// Reads the denied flows of these interfaces, in no order. Nothing is written, and no packet waits for it.
///
/// # Errors
/// When the maps cannot be read.
pub fn denied(protected: &[Protected]) -> Result<Denied, DataplaneError> {
    let Some(first) = protected.first() else { return Ok(Denied::default()) };
    // All that is protected in a network namespace shares one table.
    let host = HostPins::of(first.record.netns);
    let (capacity, entries) = read(&host)?;
    let interfaces: BTreeMap<u32, &Protected> = protected.iter().map(|one| (one.record.index, one)).collect();
    let remembered = entries.len();
    let flows = entries.into_iter().filter_map(|(key, state)| {
        let protected = interfaces.get(&key.interface)?;
        Some(DeniedFlow {
            packets: state.counter.packets,
            bytes: state.counter.bytes,
            first: protected.record.clock.time(state.first).unwrap_or(Timestamp::UNIX_EPOCH),
            last: protected.record.clock.time(state.last).unwrap_or(Timestamp::UNIX_EPOCH),
            ..flow(&protected.interface, &key, state.local)?
        })
    });
    let mut denied = Denied { flows: flows.collect(), remembered, capacity, ..Denied::default() };
    (denied.suppressed, denied.lost) = suppressed(&host)?;
    Ok(denied)
}

/// How the table of denied flows is used, and what no flow of it tells; the flows themselves are left out.
///
/// # Errors
/// When the maps cannot be read.
pub fn denied_use(protected: &[Protected]) -> Result<Denied, DataplaneError> {
    let Some(first) = protected.first() else { return Ok(Denied::default()) };
    let host = HostPins::of(first.record.netns);
    let (capacity, entries) = read(&host)?;
    let (suppressed, lost) = suppressed(&host)?;
    Ok(Denied { flows: Vec::new(), remembered: entries.len(), capacity, suppressed, lost })
}

/// The size of the table, and what is in it.
fn read(host: &HostPins) -> Result<(u32, Vec<(DeniedKey, DeniedState)>), DataplaneError> {
    let doing = || "cannot read the denied flows".to_owned();
    let data = MapData::from_pin(host.map(map::DENIED)).doing(doing)?;
    Ok((data.info().doing(doing)?.max_entries(), hash_entries(&data).doing(doing)?))
}

/// Refused packets that were only counted, because more came than are told a second; and events that found the ring full.
pub(in crate::dataplane) fn suppressed(host: &HostPins) -> Result<(u64, u64), DataplaneError> {
    let mut sums = (0, 0);
    for words in per_cpu::words(&open_map(&host.map(map::BUCKET))?, Direct::Bucket)? {
        // As in `Bucket`.
        if let [_tokens, _last, suppressed, lost, ..] = *words {
            sums = (sums.0 + suppressed, sums.1 + lost);
        }
    }
    Ok(sums)
}

/// What a key says; packets and times are for the caller. `None` where its reason is of another version.
pub(in crate::dataplane) fn flow(interface: &str, key: &DeniedKey, local: [u32; 4]) -> Option<DeniedFlow> {
    let reason = Reason::from_number(key.reason)?;
    let address = |words| (key.family != 0).then(|| IpAddr::from(address6(words)).to_canonical());
    Some(DeniedFlow {
        interface: interface.to_owned(),
        direction: if key.direction == Direction::Inbound as u8 { Direction::Inbound } else { Direction::Outbound },
        reason,
        mode: if key.enforced == 0 { Mode::Audit } else { Mode::Enforce },
        protocol: (key.family != 0).then_some(key.protocol),
        remote: address(key.remote),
        local: address(local),
        asked: Asked::of(key.family, key.protocol, key.port, reason),
        packets: 0,
        bytes: 0,
        first: Timestamp::UNIX_EPOCH,
        last: Timestamp::UNIX_EPOCH,
    })
}
