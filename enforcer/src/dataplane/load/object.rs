//! The embedded BPF object, which is loaded once for each interface with the constants of that interface.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use aya::maps::MapData;
use aya::{Ebpf, EbpfLoader};
use enforcer_common::Direction;
use enforcer_common::layout::{Config, MAPS, MapRow, Room, map};

use super::direct::{DirectMaps, Place, room_for_ranges};
use super::ways::Ways;
use crate::dataplane::error::{Context as _, DataplaneError, error_number};
use crate::dataplane::pin::host_slot::{HostSlot, pin_of};
use crate::dataplane::pin::pins::{HostPins, InterfacePins};
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::plan::BpfLog;
use crate::dataplane::sys::kernel::{allow_memory, takes_frags, tells_decrypted};
use crate::dataplane::sys::open::open_map;
use crate::host::links::Link;
use crate::host::sockets::{EPHEMERAL_OF_GUESTS, ephemeral_ports};
use crate::policy::claims::Claims;
use crate::policy::ruleset::{Ruleset, Scope};

pub(in crate::dataplane) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/enforcer.bpf.o"));

/// Denied packets that a CPU reports each second as events; further ones are only counted.
const EVENTS_PER_SECOND: u32 = 1000;

/// The inputs for loading an object.
pub(in crate::dataplane) struct Load<'a> {
    pub(in crate::dataplane) ruleset: &'a Ruleset,
    pub(in crate::dataplane) link: &'a Link,
    pub(in crate::dataplane) is_bridge_port: bool,
    pub(in crate::dataplane) scope: Scope,
    pub(in crate::dataplane) claims: &'a Claims,
    pub(in crate::dataplane) interface: InterfacePins,
    pub(in crate::dataplane) slot: HostSlot,
    pub(in crate::dataplane) host: &'a HostPins,
    pub(in crate::dataplane) generation: u64,
    pub(in crate::dataplane) hz: u32,
    pub(in crate::dataplane) log: BpfLog,
    /// Whether a dispatcher is to be loaded beside the programs.
    pub(in crate::dataplane) has_dispatcher: bool,
}

/// The programs of one interface with their maps.
pub(in crate::dataplane) struct Object {
    pub(in crate::dataplane) ebpf: Ebpf,
    /// Kept open until the programs are loaded, because their instructions contain the descriptors.
    pub(in crate::dataplane) direct: DirectMaps,
    /// The same for the arrays of a dispatcher.
    pub(in crate::dataplane) ways: Option<Ways>,
}

/// A loader that another thread is preparing.
static AHEAD: Mutex<Option<JoinHandle<EbpfLoader<'static>>>> = Mutex::new(None);

/// Starts to read the kernel's types (BTF, some megabytes) in another thread: every loader needs them, whatever the policy is. Should be
/// called as soon as it is certain that programs will be loaded, so that other work hides the time.
pub fn read_ahead() {
    let mut ahead = AHEAD.lock().unwrap_or_else(PoisonError::into_inner);
    if ahead.is_none() {
        // If no thread can be started, the types are read when they are needed.
        *ahead = thread::Builder::new().spawn(EbpfLoader::new).ok();
    }
}

/// Creates objects. One loader serves all objects, because reading the kernel's types takes longer than creating an object.
pub(in crate::dataplane) struct Loader<'a>(EbpfLoader<'a>);

impl<'a> Loader<'a> {
    pub(in crate::dataplane) fn new() -> Self {
        let ahead = AHEAD.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self(ahead.and_then(|ahead| ahead.join().ok()).unwrap_or_default())
    }

    /// Creates an object that is only used to read the clock; none of its maps is pinned. Must be the first object created.
    pub(in crate::dataplane) fn bare(&mut self) -> Result<Ebpf, DataplaneError> {
        self.0.load(OBJECT).with_context(|| "the kernel did not take the BPF object".to_owned())
    }

    /// Creates or reuses the maps and relocates the programs against them. The programs are not loaded yet.
    pub(in crate::dataplane) fn object(
        &mut self,
        load: &Load<'_>,
        config: &'a Config,
    ) -> Result<Object, DataplaneError> {
        object(&mut self.0, load, config)
    }
}

/// Copies of the programs of a protected interface, with the active policy and the host's addresses, but with flows, denials and counters
/// of their own, so that test runs leave no trace.
pub(in crate::dataplane) fn copy(protected: &Protected) -> Result<Object, DataplaneError> {
    allow_memory();
    let config = protected.record.config;
    let host = HostPins::of(protected.record.netns);
    let of_policy = host.generation(protected.record.generation);
    let ranges = room_for_ranges(&of_policy.join(map::RANGES4))?;
    let slot = HostSlot::of(protected);
    let pinned = |row: &MapRow| pin_of(row, &protected.pins, &slot, &host, protected.record.generation);
    let direct = DirectMaps::open_or_make(ranges, |row| {
        if row.is_shared_with_copies() { Place::Found(pinned(row)) } else { Place::Unpinned }
    })?;
    let mut loader = EbpfLoader::new();
    loader.override_global(map::CONFIG, &config, true).override_global(aya_log::LEVEL, BpfLog::Off.level(), true);
    for row in MAPS {
        match row.room {
            Room::Direct(_) | Room::Program(_) | Room::Bytes(_) => {}
            Room::Entries { .. } | Room::Flows { .. } | Room::Matrix(_) | Room::Prefixes6 | Room::Claims
                if row.is_shared_with_copies() =>
            {
                let path = pinned(row);
                let info =
                    open_map(&path)?.info().with_context(|| format!("cannot look at the map {}", path.display()))?;
                loader.map_max_entries(row.name, info.max_entries()).map_pin_path(row.name, path);
            }
            Room::Entries { .. } | Room::Flows { .. } | Room::Matrix(_) | Room::Prefixes6 | Room::Claims => {
                // LRU maps with few entries have no free entries on some CPUs.
                loader.map_max_entries(row.name, 1024);
            }
        }
    }
    load_object(&mut loader, direct, None)
}

/// Copies of the programs of a protected interface that use all maps of the active ones, so that a copy can replace one of them.
pub(in crate::dataplane) fn again(protected: &Protected) -> Result<Object, DataplaneError> {
    let Protected { pins, record, .. } = protected;
    let config = record.config;
    let host = HostPins::of(record.netns);
    let ranges = room_for_ranges(&host.generation(record.generation).join(map::RANGES4))?;
    let slot = HostSlot::of(protected);
    let pinned = |row: &MapRow| pin_of(row, pins, &slot, &host, record.generation);
    let direct = DirectMaps::open_or_make(ranges, |row| Place::Found(pinned(row)))?;
    let mut loader = EbpfLoader::new();
    loader.override_global(map::CONFIG, &config, true).override_global(aya_log::LEVEL, record.bpf_log.level(), true);
    for row in MAPS.iter().filter(|row| !matches!(row.room, Room::Direct(_))) {
        let path = pinned(row);
        let info = open_map(&path)?.info().with_context(|| format!("cannot look at the map {}", path.display()))?;
        loader.map_max_entries(row.name, info.max_entries()).map_pin_path(row.name, path);
    }
    load_object(&mut loader, direct, None)
}

fn object<'a>(loader: &mut EbpfLoader<'a>, load: &Load<'_>, config: &'a Config) -> Result<Object, DataplaneError> {
    let pinned = |row: &MapRow| pin_of(row, &load.interface, &load.slot, load.host, load.generation);
    loader.override_global(map::CONFIG, config, true).override_global(aya_log::LEVEL, load.log.level(), true);
    for row in MAPS {
        let Some(entries) = entries(row.room, load) else { continue };
        let path = pinned(row);
        loader.map_max_entries(row.name, reused(&path, entries)?).map_pin_path(row.name, path);
    }
    let ranges = u32::try_from(load.ruleset.ranges.ranges.len()).unwrap_or(u32::MAX);
    let direct = DirectMaps::open_or_make(ranges, |row| Place::Pinned(pinned(row)))?;
    let ways = if load.has_dispatcher { Some(Ways::make(&load.interface.generation(load.generation))?) } else { None };
    load_object(loader, direct, ways)
}

/// The number of entries with which aya creates a map for this policy; `None`: aya does not create this map.
fn entries(room: Room, load: &Load<'_>) -> Option<u32> {
    let (ruleset, is_guest) = (load.ruleset, load.slot.is_guest());
    match room {
        Room::Direct(_) => None,
        Room::Program(entries) | Room::Bytes(entries) => Some(entries),
        Room::Entries { host, guest } => Some(if is_guest { guest } else { host }),
        Room::Flows { host, guest } => {
            Some(ruleset.settings.flows.entries.unwrap_or(if is_guest { guest } else { host }))
        }
        Room::Matrix(direction) => at_least_one(ruleset.table(direction).matrix.len()),
        Room::Claims => at_least_one(load.claims.table().len()),
        Room::Prefixes6 => at_least_one(ruleset.prefixes.keys().filter(|net| net.addr().is_ipv6()).count()),
    }
}

/// Returns at least 1: the kernel refuses maps without entries.
fn at_least_one(entries: usize) -> Option<u32> {
    Some(u32::try_from(entries.max(1)).unwrap_or(u32::MAX))
}

fn load_object(loader: &mut EbpfLoader<'_>, direct: DirectMaps, ways: Option<Ways>) -> Result<Object, DataplaneError> {
    let mut object = direct.written_into(OBJECT, ways.as_ref());
    if !takes_frags() {
        without_frags(&mut object);
    }
    let ebpf = loader.load(&object).with_context(|| "the kernel did not take the BPF object".to_owned())?;
    Ok(Object { ebpf, direct, ways })
}

/// Renames the section of the XDP programs to one without `frags`, because kernels before 5.18 refuse programs that declare to accept
/// frames of several buffers. The name occurs in the section names, also as the end of the name of its relocations, and in the BTF.
fn without_frags(object: &mut [u8]) {
    const NAME: &[u8] = b"xdp.frags\0";
    const SHORT: usize = "xdp".len();
    for at in 0..object.len().saturating_sub(NAME.len()) {
        if object[at..].starts_with(NAME) {
            object[at + SHORT] = 0;
        }
    }
}

/// The size of a pinned map, if it exists: aya reuses a pinned map and must be given the same size.
fn reused(path: &Path, wanted: u32) -> Result<u32, DataplaneError> {
    let context = || format!("cannot look at the map {}", path.display());
    match MapData::from_pin(path) {
        Ok(data) => Ok(data.info().with_context(context)?.max_entries()),
        Err(error) if error_number(&error) == Some(libc::ENOENT) => Ok(wanted),
        Err(error) => Err(error).with_context(context),
    }
}

/// The constants of an interface's programs.
pub(in crate::dataplane) fn config(load: &Load<'_>) -> Config {
    let table = |direction| load.ruleset.table(direction);
    let settings = &load.ruleset.settings;
    let is_guest = load.slot.is_guest();
    let features = [
        // `scope` applies only to this machine.
        (Config::SCOPE_HOST, load.scope == Scope::Host && !is_guest),
        (Config::BRIDGE_PORT, load.is_bridge_port),
        (Config::GUEST, is_guest),
        (Config::LOG, load.log != BpfLog::Off),
        (Config::FRAGS, takes_frags()),
    ];
    let features =
        features.iter().filter(|(_, on)| *on).fold(load.ruleset.features(), |all, (feature, _)| all | feature);
    // A kernel refuses programs that call functions it does not have.
    let decrypts = if is_guest || tells_decrypted() != Some(true) { Config::DECRYPTS } else { 0 };
    let features = features & !decrypts;
    let ephemeral = if is_guest { EPHEMERAL_OF_GUESTS } else { ephemeral_ports() };
    let jiffies = |seconds: u32| seconds.saturating_mul(load.hz);
    let mut config = Config {
        features,
        interface: load.link.index,
        columns_in: table(Direction::Inbound).columns.max(1),
        columns_out: table(Direction::Outbound).columns.max(1),
        hz: load.hz,
        timeout_tcp: jiffies(settings.flows.tcp),
        timeout_tcp_closing: jiffies(settings.flows.tcp_closing),
        timeout_udp: jiffies(settings.flows.udp),
        timeout_icmp: jiffies(settings.flows.icmp),
        ephemeral_first: u32::from(*ephemeral.start()),
        ephemeral_last: u32::from(*ephemeral.end()),
        events_per_second: EVENTS_PER_SECOND,
        one_way: jiffies(settings.flows.one_way),
        slot: load.slot.number,
        ..Config::default()
    };
    if is_guest {
        load.claims.tell(&mut config);
    }
    config
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_object_can_be_loaded_without_frags() {
        let takes_frags = |object: &[u8]| {
            let object = aya_obj::Object::parse(object).unwrap();
            let section = &object.programs["inbound_xdp"].section;
            let aya_obj::ProgramSection::Xdp { frags, .. } = section else { panic!("{section:?}") };
            *frags
        };
        assert!(takes_frags(OBJECT));
        let mut plain = OBJECT.to_vec();
        without_frags(&mut plain);
        assert!(!takes_frags(&plain));
    }

    #[test]
    fn the_object_has_the_maps_of_the_table_and_no_others() {
        let object = aya_obj::Object::parse(OBJECT).unwrap();
        let of_aya = |name: &&str| !name.starts_with('.') && *name != "AYA_LOGS";
        let found: BTreeSet<&str> = object.maps.keys().map(String::as_str).filter(of_aya).collect();
        let by_call = MAPS.iter().filter(|row| !matches!(row.room, Room::Direct(_)));
        // The map of the clock is not pinned.
        let wanted = by_call.clone().map(|row| row.name).chain(["CLOCK"]).collect();
        assert_eq!(found, wanted);
        for row in by_call {
            let entries = object.maps[row.name].max_entries();
            if let Room::Program(wanted) = row.room {
                assert_eq!(entries, wanted, "{}", row.name);
            } else {
                assert!([1, 4096].contains(&entries), "{} has no size of its own: the table says it", row.name);
            }
        }
    }
}
