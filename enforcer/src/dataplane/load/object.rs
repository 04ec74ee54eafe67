//! The BPF object: embedded, and loaded once for each interface with the constants of that interface.

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use aya::maps::MapData;
use aya::{Ebpf, EbpfLoader};
use enforcer_common::Direction;
use enforcer_common::layout::{self, Config, Direct, map};

use super::direct::{DirectMaps, Place, room_for_ranges};
use crate::dataplane::error::{DataplaneError, Doing as _, error_number};
use crate::dataplane::pin::pins::{HostPins, InterfacePins};
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::plan::BpfLog;
use crate::dataplane::sys::kernel::tells_decrypted;
use crate::dataplane::sys::open::open_map;
use crate::host::links::Link;
use crate::policy::ruleset::{Ruleset, Scope};

pub(in crate::dataplane) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/enforcer.bpf.o"));

/// Denied packets a second and CPU that are told in full: enough to see what happens, little enough to cost nothing.
const EVENTS_PER_SECOND: u32 = 1000;
/// Refused conversations remembered, for each of IPv4 and IPv6.
const DENIALS: u32 = 32768;
/// Datagrams in fragments, likewise.
const FRAGMENTS: u32 = 16384;
/// Denied flows remembered.
const DENIED: u32 = 65536;
/// Bytes of the ring buffer.
const EVENTS: u32 = 1 << 20;

/// Everything that decides how an object is loaded.
pub(in crate::dataplane) struct Load<'a> {
    pub(in crate::dataplane) ruleset: &'a Ruleset,
    pub(in crate::dataplane) link: &'a Link,
    pub(in crate::dataplane) is_bridge_port: bool,
    pub(in crate::dataplane) is_guest: bool,
    pub(in crate::dataplane) scope: Scope,
    pub(in crate::dataplane) interface: InterfacePins,
    pub(in crate::dataplane) host: &'a HostPins,
    pub(in crate::dataplane) generation: u64,
    pub(in crate::dataplane) hz: u32,
    pub(in crate::dataplane) log: BpfLog,
}

/// The programs of one interface, and their maps.
pub(in crate::dataplane) struct Object {
    pub(in crate::dataplane) ebpf: Ebpf,
    /// Open until the programs are loaded: their instructions name descriptors.
    pub(in crate::dataplane) direct: DirectMaps,
}

/// A loader that is being made on another CPU.
static AHEAD: Mutex<Option<JoinHandle<EbpfLoader<'static>>>> = Mutex::new(None);

/// Begins to read what every loader reads of the kernel first: its types, megabytes of them, whatever the policy is. To be called as
/// soon as it is certain that something will be loaded; what comes meanwhile hides it.
pub fn read_ahead() {
    let mut ahead = AHEAD.lock().unwrap_or_else(PoisonError::into_inner);
    if ahead.is_none() {
        // Where there can be no more threads, it is read when it is needed.
        *ahead = thread::Builder::new().spawn(EbpfLoader::new).ok();
    }
}

/// Makes objects. One for all of them: what it reads of the kernel first takes longer than an object does.
pub(in crate::dataplane) struct Loader<'a>(EbpfLoader<'a>);

impl<'a> Loader<'a> {
    pub(in crate::dataplane) fn new() -> Self {
        let ahead = AHEAD.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self(ahead.and_then(|ahead| ahead.join().ok()).unwrap_or_default())
    }

    /// An object only to read the clock: nothing of it is pinned. To be made before any other.
    pub(in crate::dataplane) fn bare(&mut self) -> Result<Ebpf, DataplaneError> {
        self.0.load(OBJECT).doing(|| "the kernel did not take the BPF object".to_owned())
    }

    /// Creates or reuses the maps, and relocates the programs against them. No program is loaded yet.
    pub(in crate::dataplane) fn object(
        &mut self,
        load: &Load<'_>,
        config: &'a Config,
    ) -> Result<Object, DataplaneError> {
        object(&mut self.0, load, config)
    }
}

/// The programs of a protected interface once more, over the policy in force and the host's addresses, with memory and counters
/// of their own: what they are asked leaves no trace.
pub(in crate::dataplane) fn copy(protected: &Protected) -> Result<Object, DataplaneError> {
    let config = Config::from_words(protected.record.config);
    let host = HostPins::of(protected.record.netns);
    let of_policy = host.generation(protected.record.generation);
    let ranges = room_for_ranges(&of_policy.join(map::RANGES4))?;
    let direct = DirectMaps::open_or_make(ranges, |direct| match direct {
        Direct::ServicesIn | Direct::ServicesOut | Direct::RangeIndex4 | Direct::Ranges4 => {
            Place::Found(of_policy.join(direct.name()))
        }
        Direct::Listeners | Direct::OwnFilter => Place::Found(host.map(direct.name())),
        Direct::Control | Direct::FlowPorts | Direct::Reasons | Direct::Bucket => Place::Unpinned,
    })?;
    let policy = [map::MATRIX_IN, map::MATRIX_OUT, map::PREFIXES6];
    let mut loader = EbpfLoader::new();
    loader.override_global(map::CONFIG, &config, true).override_global(aya_log::LEVEL, BpfLog::Off.level(), true);
    for (name, path) in
        policy.map(|name| (name, of_policy.join(name))).into_iter().chain([(map::OWN, host.map(map::OWN))])
    {
        let entries =
            open_map(&path)?.info().doing(|| format!("cannot look at the map {}", path.display()))?.max_entries();
        loader.map_max_entries(name, entries).map_pin_path(name, path);
    }
    for name in [map::FLOWS4, map::FLOWS6, map::DENIALS4, map::DENIALS6, map::FRAGMENTS4, map::FRAGMENTS6, map::DENIED]
    {
        // LRU maps of a few entries have none to give on some CPUs.
        loader.map_max_entries(name, 1024);
    }
    load_object(&mut loader, direct)
}

/// Says what the kernel lacks, before anything is done.
pub(in crate::dataplane) fn check_kernel() -> Result<(), DataplaneError> {
    if let Err(error) = File::open("/sys/kernel/btf/vmlinux") {
        return Err(DataplaneError::NotAllowed(format!(
            "this kernel has no BTF ({error}); enforcer needs a kernel built with CONFIG_DEBUG_INFO_BTF, \
             which has /sys/kernel/btf/vmlinux"
        )));
    }
    Ok(())
}

fn object<'a>(loader: &mut EbpfLoader<'a>, load: &Load<'_>, config: &'a Config) -> Result<Object, DataplaneError> {
    let of_policy = load.host.generation(load.generation);
    let flows = load.ruleset.settings.flows.entries;
    let matrix = |direction| u32::try_from(load.ruleset.table(direction).matrix.len().max(1)).unwrap_or(u32::MAX);
    let prefixes6 = load.ruleset.prefixes.keys().filter(|net| net.addr().is_ipv6()).count();
    let policy = [
        (map::MATRIX_IN, matrix(Direction::Inbound)),
        (map::MATRIX_OUT, matrix(Direction::Outbound)),
        (map::PREFIXES6, u32::try_from(prefixes6.max(1)).unwrap_or(u32::MAX)),
    ];
    let host = [
        (map::FLOWS4, flows),
        (map::FLOWS6, flows),
        (map::HOT_FLOWS4, layout::HOT_FLOWS),
        (map::HOT_FLOWS6, layout::HOT_FLOWS),
        (map::DENIALS4, DENIALS),
        (map::DENIALS6, DENIALS),
        (map::FRAGMENTS4, FRAGMENTS),
        (map::FRAGMENTS6, FRAGMENTS),
        (map::OWN, OWN_ENTRIES),
        (map::EVENTS, EVENTS),
        (map::DENIED, DENIED),
        (map::STATISTICS, layout::STATISTICS),
    ];

    loader.override_global(map::CONFIG, config, true).override_global(aya_log::LEVEL, load.log.level(), true);
    for (name, entries) in policy {
        loader.map_max_entries(name, entries).map_pin_path(name, of_policy.join(name));
    }
    for (name, entries) in host {
        loader.map_max_entries(name, reused(&load.host.map(name), entries)?).map_pin_path(name, load.host.map(name));
    }
    let rules = load.interface.map(map::RULES);
    loader.map_max_entries(map::RULES, reused(&rules, layout::RULE_SLOTS)?).map_pin_path(map::RULES, rules);
    let ranges = u32::try_from(load.ruleset.ranges.ranges.len()).unwrap_or(u32::MAX);
    let direct = DirectMaps::open_or_make(ranges, |direct| {
        Place::Pinned(match direct {
            Direct::ServicesIn | Direct::ServicesOut | Direct::RangeIndex4 | Direct::Ranges4 => {
                of_policy.join(direct.name())
            }
            Direct::Control | Direct::Reasons => load.interface.map(direct.name()),
            Direct::FlowPorts | Direct::Listeners | Direct::OwnFilter | Direct::Bucket => load.host.map(direct.name()),
        })
    })?;
    load_object(loader, direct)
}

fn load_object(loader: &mut EbpfLoader<'_>, direct: DirectMaps) -> Result<Object, DataplaneError> {
    let ebpf =
        loader.load(&direct.written_into(OBJECT)).doing(|| "the kernel did not take the BPF object".to_owned())?;
    Ok(Object { ebpf, direct })
}

/// The size of a pinned map, where there is one: aya takes a pinned map as it is, and must not be told another size.
fn reused(path: &Path, wanted: u32) -> Result<u32, DataplaneError> {
    let doing = || format!("cannot look at the map {}", path.display());
    match MapData::from_pin(path) {
        Ok(data) => Ok(data.info().doing(doing)?.max_entries()),
        Err(error) if error_number(&error) == Some(libc::ENOENT) => Ok(wanted),
        Err(error) => Err(error).doing(doing),
    }
}

/// The constants of an interface's programs.
pub(in crate::dataplane) fn config(load: &Load<'_>) -> Config {
    let table = |direction| load.ruleset.table(direction);
    let settings = &load.ruleset.settings;
    let features = [
        // A word about this machine.
        (Config::SCOPE_HOST, load.scope == Scope::Host && !load.is_guest),
        (Config::BRIDGE_PORT, load.is_bridge_port),
        (Config::GUEST, load.is_guest),
        (Config::LOG, load.log != BpfLog::Off),
    ];
    let features =
        features.iter().filter(|(_, on)| *on).fold(load.ruleset.features(), |all, (feature, _)| all | feature);
    // A program that asks a kernel for what it does not have is refused.
    let decrypts = if load.is_guest || tells_decrypted() != Some(true) { Config::DECRYPTS } else { 0 };
    let features = features & !decrypts;
    let (ephemeral_first, ephemeral_last) = ephemeral_range();
    let jiffies = |seconds: u32| seconds.saturating_mul(load.hz);
    Config {
        features,
        interface: load.link.index,
        columns_in: table(Direction::Inbound).columns.max(1),
        columns_out: table(Direction::Outbound).columns.max(1),
        hz: load.hz,
        timeout_tcp: jiffies(settings.flows.tcp),
        timeout_tcp_closing: jiffies(settings.flows.tcp_closing),
        timeout_udp: jiffies(settings.flows.udp),
        timeout_icmp: jiffies(settings.flows.icmp),
        ephemeral_first,
        ephemeral_last,
        events_per_second: EVENTS_PER_SECOND,
    }
}

/// First and last port of `net.ipv4.ip_local_port_range`, which counts for IPv6 as well.
pub(in crate::dataplane) fn ephemeral_range() -> (u32, u32) {
    // The kernel's own default, where /proc does not tell.
    const DEFAULT: (u32, u32) = (32768, 60999);
    let Ok(text) = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") else { return DEFAULT };
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).unwrap_or(DEFAULT)
}

/// Entries of the table of own addresses: more than a host has, so that adding never fails half-way. They take memory only when
/// they are there.
pub(in crate::dataplane) const OWN_ENTRIES: u32 = 16_384;
