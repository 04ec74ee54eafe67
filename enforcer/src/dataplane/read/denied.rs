//! Reading the denied flows that the programs have recorded.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aya::maps::MapData;
use enforcer_common::layout::{DeniedKey, DeniedState, Direct, map};
use enforcer_common::packet::{ICMP, ICMPV6, SCTP, TCP, UDP};
use enforcer_common::{Direction, Mode, Reason};
use jiff::Timestamp;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::load::per_cpu;
use crate::dataplane::pin::host_slot::HostSlot;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::sys::batch::{estimate_entries, hash_entries};
use crate::dataplane::sys::open::open_map;
use crate::dataplane::sys::words::address6;

/// Reads the denied flows of these interfaces, in no order. Nothing is written, and no packet waits for it.
///
/// # Errors
/// When the maps cannot be read.
pub fn denied(protected: &[Protected]) -> Result<Denied, DataplaneError> {
    let interfaces: BTreeMap<u32, &Protected> = protected.iter().map(|one| (one.record.index, one)).collect();
    let mut denied = Denied::default();
    for (slot, _) in HostSlot::each(protected) {
        let data = open(&slot)?;
        let entries: Vec<(DeniedKey, DeniedState)> = hash_entries(&data).with_context(context)?;
        denied.add(entries.len(), capacity(&data)?, suppressed(&slot)?);
        denied.flows.extend(entries.into_iter().filter_map(|(key, state)| {
            let protected = interfaces.get(&key.interface)?;
            Some(DeniedFlow {
                packets: state.counter.packets,
                bytes: state.counter.bytes,
                first: protected.record.clock.time(state.first).unwrap_or(Timestamp::UNIX_EPOCH),
                last: protected.record.clock.time(state.last).unwrap_or(Timestamp::UNIX_EPOCH),
                ..flow(&protected.interface, &key, state.local)?
            })
        }));
    }
    Ok(denied)
}

/// How the tables of denied flows are used, and what no flow of them tells; the flows themselves are left out, and the number of many is
/// an estimate from a part of them.
///
/// # Errors
/// When the maps cannot be read.
pub fn denied_use(protected: &[Protected]) -> Result<Denied, DataplaneError> {
    let mut denied = Denied::default();
    for (slot, _) in HostSlot::each(protected) {
        let data = open(&slot)?;
        let remembered = estimate_entries::<DeniedKey, DeniedState>(&data).with_context(context)?;
        denied.add(usize::try_from(remembered).unwrap_or(usize::MAX), capacity(&data)?, suppressed(&slot)?);
    }
    Ok(denied)
}

fn open(slot: &HostSlot) -> Result<MapData, DataplaneError> {
    MapData::from_pin(slot.map(map::DENIED)).with_context(context)
}

/// Entries at most.
fn capacity(data: &MapData) -> Result<u32, DataplaneError> {
    Ok(data.info().with_context(context)?.max_entries())
}

fn context() -> String {
    "cannot read the denied flows".to_owned()
}

/// Refused packets of a slot that were only counted, because more came than are told a second; and events that found the ring full.
pub(in crate::dataplane) fn suppressed(slot: &HostSlot) -> Result<(u64, u64), DataplaneError> {
    let mut sums = (0, 0);
    for words in per_cpu::words(&open_map(&slot.map(map::BUCKET))?, Direct::Bucket)? {
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

/// A denied flow: the refused packets of one remote address, for one port and one reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeniedFlow {
    /// Interface.
    pub interface: String,
    /// Direction.
    pub direction: Direction,
    /// The reason.
    pub reason: Reason,
    /// [`Mode::Enforce`]: it was dropped. [`Mode::Audit`]: it was counted, and passed.
    pub mode: Mode,
    /// IP protocol; `None`: a frame without an IP header that could be read.
    pub protocol: Option<u8>,
    /// Address of the other host; `None`: no readable IP header.
    pub remote: Option<IpAddr>,
    /// Address of this host in the last packet of the flow.
    pub local: Option<IpAddr>,
    /// What the packets asked for.
    pub asked: Asked,
    /// Packets, as far as the token bucket let them be seen: at least one. Counters are exact.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// When the first was seen.
    pub first: Timestamp,
    /// When the last was seen.
    pub last: Timestamp,
}

/// One refused packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeniedEvent {
    /// Who tried what, when and why it was refused.
    pub flow: DeniedFlow,
    /// Remote port, where the protocol has ports.
    pub remote_port: Option<u16>,
    /// Local port, if the protocol has ports.
    pub local_port: Option<u16>,
}

#[cfg(test)]
impl DeniedEvent {
    /// An inbound TCP packet that no rule permits, over IPv6, to port 23.
    pub(crate) fn for_tests(interface: &str) -> Self {
        let time: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        Self {
            flow: DeniedFlow {
                interface: interface.to_owned(),
                direction: Direction::Inbound,
                reason: Reason::NoRule,
                mode: Mode::Enforce,
                protocol: Some(6),
                remote: Some("2001:db8::2".parse().unwrap()),
                local: Some("2001:db8::1".parse().unwrap()),
                asked: Asked::Port(23),
                packets: 1,
                bytes: 74,
                first: time,
                last: time,
            },
            remote_port: Some(40_000),
            local_port: Some(23),
        }
    }
}

/// What a refused packet asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Asked {
    /// A destination port.
    Port(u16),
    /// A message of ICMP or ICMPv6.
    IcmpType(u16),
    /// A link-layer protocol.
    Ethertype(u16),
    /// Nothing that its headers tell: another IP protocol, or part of a datagram.
    Nothing,
}

impl Asked {
    /// From what the programs record.
    #[must_use]
    pub const fn of(family: u8, protocol: u8, number: u16, reason: Reason) -> Self {
        // What cannot be read is recorded as 0. Port 0 itself can be asked for, in a packet that is whole.
        let is_partial =
            matches!(reason, Reason::FragmentDrop | Reason::TinyFragment | Reason::Malformed) && number == 0;
        match (family, protocol) {
            (0, _) => Self::Ethertype(number),
            _ if is_partial => Self::Nothing,
            (_, TCP | UDP | SCTP) => Self::Port(number),
            (4, ICMP) | (6, ICMPV6) => Self::IcmpType(number),
            _ => Self::Nothing,
        }
    }

    /// The destination port, where that is what was asked for.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::Port(port) => Some(port),
            Self::IcmpType(_) | Self::Ethertype(_) | Self::Nothing => None,
        }
    }
}

/// The denied flows of some interfaces, and how complete the list is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Denied {
    /// The flows.
    pub flows: Vec<DeniedFlow>,
    /// Flows that are remembered in the slots of these interfaces.
    pub remembered: usize,
    /// Flows that can be remembered there.
    pub capacity: u32,
    /// Whether the table of a slot is full: when more flows come, those that were quiet for longest are forgotten.
    pub is_full: bool,
    /// Refused packets that no flow tells of, because more came than are told in a second. Of these slots.
    pub suppressed: u64,
    /// Events that found the ring buffer full. Of these slots.
    pub lost: u64,
}

impl Denied {
    /// Adds the table of another slot: the flows in it, its capacity, and what was suppressed and lost.
    fn add(&mut self, remembered: usize, capacity: u32, (suppressed, lost): (u64, u64)) {
        self.remembered += remembered;
        self.capacity += capacity;
        self.is_full |= remembered >= capacity as usize;
        self.suppressed += suppressed;
        self.lost += lost;
    }
}
