//! Memory of the maps of an interface and of its host, and the use of the flow table.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;

use aya::maps::{Map, MapData, PerCpuArray};
use enforcer_common::layout::{FlowKey4, FlowKey6, FlowState, FlowState6, MAPS, MapOwner, Purpose, Statistic, map};

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::pin::host_slot::{HostSlot, pin_of};
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::sys::batch::{count_entries, estimate_entries};
use crate::dataplane::sys::open::open_map;

/// Bytes of kernel memory, by purpose: of an interface, its policy, its slot and its network namespace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MapMemory {
    /// Tracked conversations.
    pub flows: u64,
    /// Refused conversations and fragments that are remembered.
    pub memory: u64,
    /// Port tables, prefixes, matrices.
    pub policy: u64,
    /// Counters of rules and reasons.
    pub counters: u64,
    /// Denied flows and the stream of events.
    pub events: u64,
    /// The part of it that all slots share.
    pub shared_events: u64,
    /// Addresses, listeners, bitmaps.
    pub host: u64,
}

impl MapMemory {
    /// The sum.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.flows + self.memory + self.policy + self.counters + self.events + self.host
    }
}

/// The flow table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlowUse {
    /// IPv4 flows at most.
    pub most: u32,
    /// IPv6 flows at most.
    pub most6: u32,
    /// IPv4 flows in the table, those included that have timed out and were not evicted yet.
    pub v4: u64,
    /// The same for IPv6.
    pub v6: u64,
    /// Flows made since the host was first protected.
    pub made: u64,
    /// Flows revived in mid-conversation: evicted before their time, or older than the programs. Exact.
    pub revived: u64,
    /// Flows that are no longer in the table. An estimate: a conversation over the same ports replaces its flow and counts twice.
    pub gone_estimate: u64,
    /// Packets of refused conversations that were remembered.
    pub denials_remembered: u64,
}

/// The kernel memory of the maps of an interface and of its host.
///
/// # Errors
/// When a map cannot be opened.
pub fn memory(protected: &Protected) -> Result<MapMemory, DataplaneError> {
    let (_reading, protected) = &protected.now()?;
    let (host, slot) = (HostPins::of(protected.record.netns), HostSlot::of(protected));
    let generation = protected.record.generation;
    // The record of the policy is no map of the programs.
    let mut memory = MapMemory { policy: bytes(&host.generation(generation).join("ruleset"))?, ..MapMemory::default() };
    for row in MAPS {
        let part = match row.purpose {
            Purpose::Flows => &mut memory.flows,
            Purpose::Memory => &mut memory.memory,
            Purpose::Policy => &mut memory.policy,
            Purpose::Counters => &mut memory.counters,
            Purpose::Events => &mut memory.events,
            Purpose::Host => &mut memory.host,
        };
        let bytes = bytes(&pin_of(row, &protected.pins, &slot, &host, generation))?;
        *part += bytes;
        if row.owner == MapOwner::Host {
            memory.shared_events += bytes;
        }
    }
    Ok(memory)
}

/// How the flow table of an interface's slot is used.
///
/// # Errors
/// When a map cannot be read.
pub fn flow_use(protected: &Protected) -> Result<FlowUse, DataplaneError> {
    flows(protected, count_entries::<FlowKey4, FlowState>, count_entries::<FlowKey6, FlowState6>)
}

/// Like [`flow_use`], but a large table is not copied: the number of its flows is estimated from a part.
///
/// # Errors
/// When a map cannot be read.
pub fn flow_estimate(protected: &Protected) -> Result<FlowUse, DataplaneError> {
    flows(protected, estimate_entries::<FlowKey4, FlowState>, estimate_entries::<FlowKey6, FlowState6>)
}

fn flows(
    protected: &Protected,
    count4: impl FnOnce(&MapData) -> io::Result<u64>,
    count6: impl FnOnce(&MapData) -> io::Result<u64>,
) -> Result<FlowUse, DataplaneError> {
    let slot = HostSlot::of(protected);
    let context = || "cannot read the flow table".to_owned();
    let open = |name: &str| MapData::from_pin(slot.map(name)).with_context(context);
    let most = |map: &MapData| map.info().map(|info| info.max_entries()).with_context(context);
    let (flows4, flows6) = (open(map::FLOWS4)?, open(map::FLOWS6)?);
    let statistics: PerCpuArray<MapData, u64> =
        Map::from_map_data(open(map::STATISTICS)?).and_then(TryInto::try_into).with_context(context)?;
    let total = |statistic: Statistic| -> Result<u64, DataplaneError> {
        Ok(statistics.get(&(statistic as u32), 0).with_context(context)?.iter().sum())
    };
    let v4 = count4(&flows4).with_context(context)?;
    let v6 = count6(&flows6).with_context(context)?;
    let (made, revived) = (total(Statistic::FlowsMade)?, total(Statistic::FlowsRevived)?);
    Ok(FlowUse {
        most: most(&flows4)?,
        most6: most(&flows6)?,
        v4,
        v6,
        made,
        revived,
        gone_estimate: (made + revived).saturating_sub(v4 + v6),
        denials_remembered: total(Statistic::DenialsRemembered)?,
    })
}

/// Bytes that the kernel charges for all maps in a folder of pins and its subfolders.
pub(in crate::dataplane) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => folder_bytes(&entry.path()),
            // A program or a link is no map.
            Ok(_) => bytes(&entry.path()).unwrap_or(0),
            Err(_) => 0,
        })
        .sum()
}

/// Bytes that the kernel charges for a map.
fn bytes(path: &Path) -> Result<u64, DataplaneError> {
    let context = || format!("cannot look at the map {}", path.display());
    let data = open_map(path)?;
    let number = data.fd().as_fd().as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).with_context(context)?;
    let line = info.lines().find_map(|line| line.strip_prefix("memlock:"));
    Ok(line.and_then(|number| number.trim().parse().ok()).unwrap_or(0))
}
