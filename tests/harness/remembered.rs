//! What the programs remember of a protected host, read from the pinned maps.

use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, PerCpuValues, RingBuf};
use aya::util::nr_cpus;
use enforcer_common::layout::{
    DenialKey4, DenialKey6, DenialState, DeniedKey, DeniedState, Direct, Event, FlowKey4, FlowKey6, FlowState,
    FlowState6, FragmentKey4, FragmentKey6, FragmentState, HOT_FLOWS, HotFlow4, HotFlow6, LAYOUT_VERSION,
    PORT_BITMAP_WORDS, Statistic, map,
};
use enforcer_common::tables::port_bit;
use enforcer_common::{Entry, ServiceIndex};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::netns::{Namespace, host_pins, pins_of};

/// The tables of a protected host, and those that all protected interfaces of a namespace share.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Pins of the namespace.
    shared: PathBuf,
    /// Pins of the slot.
    slot: PathBuf,
}

impl Tables {
    /// Those of a namespace with a protected interface: of slot 0, which is the machine itself.
    #[must_use]
    #[track_caller]
    pub fn of(namespace: &Namespace) -> Self {
        let shared = host_pins(namespace.inode()).join(format!("v{LAYOUT_VERSION}"));
        Self { slot: shared.clone(), shared }
    }

    /// Those of the guest behind a port.
    #[must_use]
    #[track_caller]
    pub fn of_guest(namespace: &Namespace, port: &str) -> Self {
        Self { slot: pins_of(port).join(format!("v{LAYOUT_VERSION}")), ..Self::of(namespace) }
    }

    /// Tracked conversations over IPv4.
    #[must_use]
    #[track_caller]
    pub fn flows4(&self) -> Vec<(FlowKey4, FlowState)> {
        self.entries(map::FLOWS4)
    }

    /// Tracked conversations over IPv6.
    #[must_use]
    #[track_caller]
    pub fn flows6(&self) -> Vec<(FlowKey6, FlowState6)> {
        self.entries(map::FLOWS6)
    }

    /// Tracked conversations, with a local port and of a protocol.
    #[must_use]
    #[track_caller]
    pub fn flows_of(&self, protocol: u8, local_port: u16) -> usize {
        let v4 = self.flows4().into_iter().map(|(key, _)| (key.protocol, key.ports.local()));
        let v6 = self.flows6().into_iter().map(|(key, _)| (u32::from(key.protocol()), key.ports.local()));
        v4.chain(v6).filter(|found| *found == (u32::from(protocol), local_port)).count()
    }

    /// Denied flows, aggregated.
    #[must_use]
    #[track_caller]
    pub fn denied(&self) -> Vec<(DeniedKey, DeniedState)> {
        self.entries(map::DENIED)
    }

    /// Adds denied flows, as the programs do when packets are refused.
    #[track_caller]
    pub fn add_denied(&self, flows: impl IntoIterator<Item = (DeniedKey, DeniedState)>) {
        let mut map: HashMap<_, DeniedKey, DeniedState> = self.open(map::DENIED);
        for (key, state) in flows {
            map.insert(key, state, 0).expect("an LRU table takes everything");
        }
    }

    /// How many denied flows are remembered at most.
    #[must_use]
    #[track_caller]
    pub fn denied_capacity(&self) -> u32 {
        self.data(map::DENIED).info().expect("the kernel tells").max_entries()
    }

    /// A number about the tables, over all processors.
    #[must_use]
    #[track_caller]
    pub fn statistic(&self, statistic: Statistic) -> u64 {
        let map: PerCpuArray<_, u64> = self.open(map::STATISTICS);
        map.get(&(statistic as u32), 0).expect("there is one").iter().sum()
    }

    /// Denied packets that were suppressed, and events that found the ring buffer full.
    #[must_use]
    #[track_caller]
    pub fn suppressed_and_lost(&self) -> (u64, u64) {
        let words = words(&self.data(map::BUCKET));
        let buckets = words.chunks(Direct::Bucket.size() as usize / 8);
        // As in `Bucket`: tokens, last, suppressed, lost.
        buckets.fold((0, 0), |(suppressed, lost), bucket| (suppressed + bucket[2], lost + bucket[3]))
    }

    /// The events that wait in the ring buffer; they are consumed.
    #[must_use]
    #[track_caller]
    pub fn events(&self) -> Vec<Event> {
        let mut ring: RingBuf<MapData> = self.open(map::EVENTS);
        let mut events = Vec::new();
        while let Some(bytes) = ring.next() {
            assert_eq!(bytes.len(), size_of::<Event>());
            // SAFETY: as many bytes as the type has; any bits are a valid value of this structure of integers.
            events.push(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() });
        }
        events
    }

    /// Makes the programs forget flows, refusals and fragments.
    #[track_caller]
    pub fn forget(&self) {
        self.clear::<FlowKey4, FlowState>(map::FLOWS4);
        self.clear::<FlowKey6, FlowState6>(map::FLOWS6);
        self.clear::<DenialKey4, DenialState>(map::DENIALS4);
        self.clear::<DenialKey6, DenialState>(map::DENIALS6);
        self.clear::<FragmentKey4, FragmentState>(map::FRAGMENTS4);
        self.clear::<FragmentKey6, FragmentState>(map::FRAGMENTS6);
        self.cool();
    }

    /// Says which local ports have a listener, by IP protocol.
    #[track_caller]
    pub fn set_listeners(&self, listeners: impl IntoIterator<Item = (u8, u16)>) {
        let mut map: Array<_, [u64; PORT_BITMAP_WORDS as usize]> = self.open(map::LISTENERS);
        let mut words = [0_u64; PORT_BITMAP_WORDS as usize];
        for bit in listeners.into_iter().filter_map(|(protocol, port)| port_bit(protocol, port)) {
            words[bit as usize / 64] |= 1 << (bit % 64);
        }
        map.set(0, words, 0).expect("it has one value");
    }

    /// Changes an entry of the inbound service table of a generation behind everybody's back.
    #[track_caller]
    pub fn change_service(&self, generation: u64, index: ServiceIndex, entry: Entry) {
        self.change_word(generation, map::SERVICES_IN, index.0 as usize, |_| entry.0);
    }

    /// Changes a word of a table of a generation that is one value, likewise.
    #[track_caller]
    pub fn change_word(&self, generation: u64, table: &str, at: usize, change: impl FnOnce(u32) -> u32) {
        let data = self.data(&format!("g{generation}/{table}"));
        with_memory(&data, |words: &[AtomicU32]| {
            words[at].store(change(words[at].load(Ordering::Relaxed)), Ordering::Relaxed);
        });
    }

    /// Removes one flow, as the kernel does when the table is full.
    #[track_caller]
    pub fn evict4(&self, key: &FlowKey4) {
        let mut map: HashMap<_, FlowKey4, FlowState> = self.open(map::FLOWS4);
        map.remove(key).expect("there is such a flow");
    }

    /// Ends the second for which a CPU believes in a flow that it found.
    #[track_caller]
    pub fn cool(&self) {
        self.zero::<HotFlow4>(map::HOT_FLOWS4);
        self.zero::<HotFlow6>(map::HOT_FLOWS6);
    }

    #[track_caller]
    fn zero<V: Pod + Default>(&self, name: &str) {
        let mut map: PerCpuArray<_, V> = self.open(name);
        let cpus = nr_cpus().expect("the CPUs are counted");
        for index in 0..HOT_FLOWS {
            let nothing = PerCpuValues::try_from(vec![V::default(); cpus]).expect("a value for each CPU");
            map.set(index, nothing, 0).expect("there is such an entry");
        }
    }

    #[track_caller]
    fn entries<K: Pod, V: Pod>(&self, name: &str) -> Vec<(K, V)> {
        let map: HashMap<_, K, V> = self.open(name);
        map.iter().filter_map(Result::ok).collect()
    }

    #[track_caller]
    fn clear<K: Pod, V: Pod>(&self, name: &str) {
        let mut map: HashMap<_, K, V> = self.open(name);
        let keys: Vec<K> = map.keys().filter_map(Result::ok).collect();
        for key in keys {
            // Somebody else may have been faster.
            let _ = map.remove(&key);
        }
    }

    #[track_caller]
    fn open<T: TryFrom<Map>>(&self, name: &str) -> T {
        let map = Map::from_map_data(self.data(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        map.try_into().unwrap_or_else(|_| panic!("{name} is another kind of map"))
    }

    #[track_caller]
    fn data(&self, name: &str) -> MapData {
        // A policy is shared by all that have it, and so is the stream of events.
        let is_shared = name.contains('/') || name == map::EVENTS;
        let path = if is_shared { &self.shared } else { &self.slot }.join(name);
        MapData::from_pin(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// The words of the only value of an array.
#[must_use]
#[track_caller]
pub fn words(data: &MapData) -> Vec<u64> {
    with_memory(data, |words: &[AtomicU64]| words.iter().map(|word| word.load(Ordering::Relaxed)).collect())
}

/// Integers that are read and written as a whole.
trait Atomic {}
impl Atomic for AtomicU32 {}
impl Atomic for AtomicU64 {}

/// The memory of the only value of an array, which programs and other processes share.
#[track_caller]
fn with_memory<W: Atomic, T>(data: &MapData, work: impl FnOnce(&[W]) -> T) -> T {
    let bytes = data.info().expect("the kernel tells").value_size() as usize;
    let length = NonZeroUsize::new(bytes).expect("a value has a size");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping of a descriptor that we hold, at an address that the kernel chooses.
    let address = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, data.fd().as_fd(), 0) };
    let address = address.expect("the array can be mapped");
    let start: NonNull<W> = address.cast();
    // SAFETY: page-aligned, `bytes` long, and alive until `munmap` below; any bits are valid atomic integers.
    let result = work(unsafe { std::slice::from_raw_parts(start.as_ptr(), bytes / size_of::<W>()) });
    // SAFETY: the mapping that was just made, and nothing refers to it any more.
    unsafe { munmap(address, length.get()) }.expect("it is mapped");
    result
}
