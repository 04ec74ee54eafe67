//! The maps, private, behind the typed questions of [`Tables`].

use core::ffi::c_void;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_fib_lookup as FibLookup};
use aya_ebpf::helpers::generated::{bpf_fib_lookup, bpf_jiffies64, bpf_ktime_get_boot_ns, bpf_ktime_get_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use enforcer_common::layout::{
    self, Bucket, Config, Control, Counter, DeniedKey, DeniedState, Direct, Event, FlowKey4, FlowKey6, FlowState,
    FlowState6, FragmentKey4, FragmentKey6, FragmentState, HotFlow4, HotFlow6, Range4, RuleCounter, Statistic,
};
use enforcer_common::outcome::Outcome;
use enforcer_common::seen::Seen;
use enforcer_common::tables::{Flow, Tables};
use enforcer_common::{Direction, Entry, ServiceIndex, SourceClass, ranges};

use crate::direct::{DirectArray, DirectPerCpuArray, DirectRanges, masked};

/// Written into the object at load; the verifier sees constants.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata")]
static CONFIG: Config = Config {
    features: 0,
    interface: 0,
    columns_in: 1,
    columns_out: 1,
    hz: 1000,
    timeout_tcp: 0,
    timeout_tcp_closing: 0,
    timeout_udp: 0,
    timeout_icmp: 0,
    ephemeral_first: 0,
    ephemeral_last: 0,
    events_per_second: 0,
};

// --- the policy: made anew for each ruleset, never edited live; arrays are filled through a mapping ---
static SERVICES_IN: DirectArray<u32, { Direct::ServicesIn as u32 }, { ServiceIndex::COUNT }> = DirectArray::new();
static SERVICES_OUT: DirectArray<u32, { Direct::ServicesOut as u32 }, { ServiceIndex::COUNT }> = DirectArray::new();
static RANGES4: DirectRanges<Range4, { Direct::Ranges4 as u32 }> = DirectRanges::new();
static RANGE_INDEX4: DirectArray<u32, { Direct::RangeIndex4 as u32 }, { ranges::INDEX }> = DirectArray::new();
#[map]
static PREFIXES6: LpmTrie<[u32; 4], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
static MATRIX_IN: Array<u32> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static MATRIX_OUT: Array<u32> = Array::with_max_entries(1, BPF_F_MMAPABLE);

// --- of the interface: survive a change of policy ---
static CONTROL: DirectArray<Control, { Direct::Control as u32 }, 1> = DirectArray::new();
#[map]
static RULES: PerCpuArray<RuleCounter> = PerCpuArray::with_max_entries(layout::RULE_SLOTS, 0);
static REASONS: DirectPerCpuArray<Counter, { Direct::Reasons as u32 }, { layout::REASON_SLOTS - 1 }> =
    DirectPerCpuArray::new();

// --- of the host: shared by all interfaces, because an answer may arrive on another one ---
#[map]
static FLOWS4: LruHashMap<FlowKey4, FlowState> = LruHashMap::with_max_entries(1, 0);
#[map]
static FLOWS6: LruHashMap<FlowKey6, FlowState6> = LruHashMap::with_max_entries(1, 0);
#[map]
static HOT_FLOWS4: PerCpuArray<HotFlow4> = PerCpuArray::with_max_entries(layout::HOT_FLOWS, 0);
#[map]
static HOT_FLOWS6: PerCpuArray<HotFlow6> = PerCpuArray::with_max_entries(layout::HOT_FLOWS, 0);
#[map]
static DENIALS4: LruHashMap<FlowKey4, u64> = LruHashMap::with_max_entries(1, 0);
#[map]
static DENIALS6: LruHashMap<FlowKey6, u64> = LruHashMap::with_max_entries(1, 0);
#[map]
static FRAGMENTS4: LruHashMap<FragmentKey4, FragmentState> = LruHashMap::with_max_entries(1, 0);
#[map]
static FRAGMENTS6: LruHashMap<FragmentKey6, FragmentState> = LruHashMap::with_max_entries(1, 0);
static FLOW_PORTS: DirectArray<u64, { Direct::FlowPorts as u32 }, { layout::PORT_BITMAP_WORDS }> = DirectArray::new();
static LISTENERS: DirectArray<u64, { Direct::Listeners as u32 }, { layout::PORT_BITMAP_WORDS }> = DirectArray::new();
static OWN_FILTER: DirectArray<u8, { Direct::OwnFilter as u32 }, { layout::OWN_FILTER_BYTES }> = DirectArray::new();
#[map]
static OWN: HashMap<[u32; 4], u32> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);
#[map]
static DENIED: LruHashMap<DeniedKey, DeniedState> = LruHashMap::with_max_entries(1, 0);
static BUCKET: DirectPerCpuArray<Bucket, { Direct::Bucket as u32 }, 0> = DirectPerCpuArray::new();
#[map]
static STATISTICS: PerCpuArray<u64> = PerCpuArray::with_max_entries(layout::STATISTICS, 0);

/// Jiffies and nanoseconds of the monotonic clock, for the loader.
#[map]
static CLOCK: Array<u64> = Array::with_max_entries(2, 0);

/// Writes both clocks.
#[inline(always)]
pub(crate) fn tell_time() {
    // SAFETY: helpers without arguments.
    let times = unsafe { [bpf_jiffies64(), bpf_ktime_get_ns()] };
    for (index, time) in times.iter().enumerate() {
        if let Some(slot) = CLOCK.get_ptr_mut(index as u32) {
            // SAFETY: a map value that was found is valid as long as the program runs.
            unsafe { write_volatile(slot, *time) };
        }
    }
}

/// The maps of this program, and the context that some helpers want.
pub(crate) struct Maps {
    context: *mut c_void,
    /// Read once: each volatile read is three instructions, also where the verifier knows the answer.
    features: u32,
}

impl Maps {
    #[inline(always)]
    pub(crate) fn new(context: *mut c_void) -> Self {
        Self { context, features: layout::load(&CONFIG.features) }
    }

    #[inline(always)]
    fn is_within_a_second(&self, last: u64) -> bool {
        self.now().wrapping_sub(last) < u64::from(layout::load(&CONFIG.hz))
    }
}

/// A flow in its map.
#[derive(Clone, Copy)]
pub(crate) struct FlowPointer(*mut FlowState);

impl Flow for FlowPointer {
    #[inline(always)]
    fn state(&self) -> FlowState {
        // SAFETY: a map value that was found is valid as long as the program runs; other CPUs may write it meanwhile, word by word.
        unsafe { *self.0 }
    }

    #[inline(always)]
    fn refresh(&self, now: u64) {
        // SAFETY: as above.
        unsafe { write_volatile(&raw mut (*self.0).last, now) };
    }

    #[inline(always)]
    fn close(&self, timeout: u32, flags: u32) {
        // SAFETY: as above.
        unsafe { write_volatile(&raw mut (*self.0).timeout, timeout) };
        // SAFETY: as above.
        unsafe { write_volatile(&raw mut (*self.0).flags, flags) };
    }
}

/// A word that was found, or 0.
#[inline(always)]
fn word<T: Copy + Default>(found: Option<*mut T>) -> T {
    match found {
        // SAFETY: a map value that was found is valid as long as the program runs. Volatile: others write it.
        Some(value) => unsafe { read_volatile(value) },
        None => T::default(),
    }
}

/// The same index, where it is that of a port or an ethertype, in a way that the verifier can follow: that of Linux 6.1 knows
/// nothing of a number whose bytes were swapped. The compiler knows which of the two it is.
#[inline(always)]
fn bounded(index: u32) -> u32 {
    const PORTS: u32 = 4 * 65536;
    if index >= PORTS { index } else { masked::<{ PORTS - 1 }>(index) }
}

#[inline(always)]
fn has_bit<const NUMBER: u32, const LENGTH: u32>(array: &DirectArray<u64, NUMBER, LENGTH>, bit: u32) -> bool {
    array.load(bounded(bit) >> 6) >> (bit & 63) & 1 != 0
}

macro_rules! lookup {
    ($map:ident, $key:expr) => {
        // SAFETY: the value is copied out at once; LRU entries may be reused under us, which costs a wrong answer for a
        // conversation that is being evicted and no memory error (the kernel frees map memory after the program).
        unsafe { $map.get($key) }.copied()
    };
}

macro_rules! insert {
    ($map:ident, $key:expr, $value:expr) => {
        // Fails only where an LRU map finds no entry to evict; then nothing is remembered, which errs on the closed side.
        let _ = $map.insert($key, $value, 0);
    };
}

impl Tables for Maps {
    type Flow = FlowPointer;

    #[inline(always)]
    fn config(&self) -> &Config {
        &CONFIG
    }

    #[inline(always)]
    fn has(&self, features: u32) -> bool {
        self.features & features != 0
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: a helper without arguments.
        unsafe { bpf_jiffies64() }
    }

    #[inline(always)]
    fn service(&self, direction: Direction, index: ServiceIndex) -> Entry {
        Entry(match direction {
            Direction::Inbound => SERVICES_IN.load(bounded(index.0)),
            Direction::Outbound => SERVICES_OUT.load(bounded(index.0)),
        })
    }

    #[inline(always)]
    fn column4(&self, direction: Direction, remote: u32) -> u32 {
        let index = |block: u32| {
            // The mask changes nothing: see `bounded`.
            let block = masked::<0xffff>(block);
            [RANGE_INDEX4.load(block), RANGE_INDEX4.load(block + 1)]
        };
        // SAFETY: there is such a range, and any bits are valid integers.
        let first = |number: u32| unsafe { read_volatile(&raw const (*RANGES4.at(number)).first) };
        let range = RANGES4.at(ranges::find(u32::from_be(remote), index, first));
        // SAFETY: as above.
        SourceClass(unsafe { read_volatile(&raw const (*range).class) }).column(direction)
    }

    #[inline(always)]
    fn column6(&self, direction: Direction, remote: [u32; 4]) -> u32 {
        match PREFIXES6.get(&Key::new(128, remote)) {
            Some(class) => SourceClass(*class).column(direction),
            None => 0,
        }
    }

    #[inline(always)]
    fn scoped(&self, direction: Direction, row: u16, column: u32) -> Entry {
        Entry(match direction {
            Direction::Inbound => {
                word(MATRIX_IN.get_ptr_mut(u32::from(row) * layout::load(&CONFIG.columns_in) + column))
            }
            Direction::Outbound => {
                word(MATRIX_OUT.get_ptr_mut(u32::from(row) * layout::load(&CONFIG.columns_out) + column))
            }
        })
    }

    #[inline(always)]
    fn is_own(&self, address: [u32; 4]) -> bool {
        self.may_be_own(address) != 0 && self.is_own_indeed(address)
    }

    #[inline(always)]
    fn is_own_indeed(&self, address: [u32; 4]) -> bool {
        // SAFETY: the pointer is only compared with null.
        unsafe { OWN.get(&address) }.is_some()
    }

    #[inline(always)]
    fn may_be_own(&self, address: [u32; 4]) -> u32 {
        u32::from(OWN_FILTER.load(layout::own_slot(address)))
    }

    #[inline(always)]
    fn would_forward(&self, family: u8, source: [u32; 4], destination: [u32; 4]) -> bool {
        const AF_INET: u8 = 2;
        const AF_INET6: u8 = 10;
        const SUCCESS: i64 = 0;
        const NO_NEIGHBOUR: i64 = 7;
        const FRAGMENTATION_NEEDED: i64 = 8;
        // Word by word: `zeroed` would become a call to a byte loop.
        let mut words = [0_u64; size_of::<FibLookup>() / 8];
        for word in &mut words {
            // SAFETY: a reference is valid. Volatile: so that the stores are not merged into that call.
            unsafe { write_volatile(word, 0) };
        }
        // SAFETY: as large, and aligned as strictly; any bits are a valid value of this structure of integers.
        let question = unsafe { &mut *words.as_mut_ptr().cast::<FibLookup>() };
        question.ifindex = layout::load(&CONFIG.interface);
        if family == 4 {
            question.family = AF_INET;
            question.__bindgen_anon_3.ipv4_src = source[3];
            question.__bindgen_anon_4.ipv4_dst = destination[3];
        } else {
            question.family = AF_INET6;
            question.__bindgen_anon_3.ipv6_src = source;
            question.__bindgen_anon_4.ipv6_dst = destination;
        }
        // SAFETY: the context is the program's, the structure lives on the stack and its size is given.
        let answer = unsafe { bpf_fib_lookup(self.context, question, size_of::<FibLookup>() as i32, 0) } as i64;
        matches!(answer, SUCCESS | NO_NEIGHBOUR | FRAGMENTATION_NEEDED)
    }

    #[inline(always)]
    fn flow_uses_port(&self, bit: u32) -> bool {
        has_bit(&FLOW_PORTS, bit)
    }

    #[inline(always)]
    fn note_flow_port(&self, bit: u32) {
        // SAFETY: the element is there as long as the program runs.
        unsafe {
            core::intrinsics::atomic_or::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(
                FLOW_PORTS.at(bounded(bit) >> 6),
                1 << (bit & 63),
            );
        }
    }

    #[inline(always)]
    fn has_listener(&self, bit: u32) -> bool {
        has_bit(&LISTENERS, bit)
    }

    #[inline(always)]
    fn flow4(&self, key: &FlowKey4) -> Option<FlowPointer> {
        FLOWS4.get_ptr_mut(key).map(FlowPointer)
    }

    #[inline(always)]
    fn flow6(&self, key: &FlowKey6, local: [u32; 4]) -> Option<FlowPointer> {
        let flow = FLOWS6.get_ptr_mut(key)?;
        // SAFETY: a map value that was found is valid as long as the program runs.
        let found = unsafe { (*flow).local };
        if differs(found, local) != 0 {
            return None;
        }
        // SAFETY: as above; the state is a part of the value.
        Some(FlowPointer(unsafe { &raw mut (*flow).state }))
    }

    #[inline(always)]
    fn is_hot4(&self, key: &FlowKey4) -> bool {
        let Some(hot) = HOT_FLOWS4.get_ptr(HotFlow4::index(key)) else { return false };
        // SAFETY: a map value that was found is valid as long as the program runs; it is this CPU's alone.
        let HotFlow4 { key: found, last, .. } = unsafe { *hot };
        // Without a branch for each word.
        let differs = (found.remote ^ key.remote)
            | (found.local ^ key.local)
            | (found.ports.word() ^ key.ports.word())
            | (found.protocol ^ key.protocol);
        differs == 0 && self.is_within_a_second(last)
    }

    #[inline(always)]
    fn is_hot6(&self, key: &FlowKey6, local: [u32; 4]) -> bool {
        let Some(hot) = HOT_FLOWS6.get_ptr(HotFlow6::index(key)) else { return false };
        // SAFETY: as above.
        let hot = unsafe { *hot };
        let differs = differs(hot.key.remote, key.remote)
            | differs(hot.local, local)
            | (hot.key.ports.word() ^ key.ports.word())
            | (hot.key.protocol_and_local ^ key.protocol_and_local);
        differs == 0 && self.is_within_a_second(hot.last)
    }

    #[inline(always)]
    fn note_hot4(&self, key: &FlowKey4, last: u64) {
        if let Some(hot) = HOT_FLOWS4.get_ptr_mut(HotFlow4::index(key)) {
            // SAFETY: as above; a program is not interrupted by itself on its CPU.
            unsafe { *hot = HotFlow4 { key: *key, last, zero: 0 } };
        }
    }

    #[inline(always)]
    fn note_hot6(&self, key: &FlowKey6, local: [u32; 4], last: u64) {
        if let Some(hot) = HOT_FLOWS6.get_ptr_mut(HotFlow6::index(key)) {
            // SAFETY: as above. Not as a whole: two zeros in a row would be written by a call, byte by byte.
            unsafe {
                (*hot).key = *key;
                (*hot).local = local;
                (*hot).last = last;
            }
        }
    }

    #[inline(always)]
    fn make_flow4(&self, key: &FlowKey4, state: &FlowState) {
        insert!(FLOWS4, key, state);
    }

    #[inline(always)]
    fn make_flow6(&self, key: &FlowKey6, state: &FlowState6) {
        insert!(FLOWS6, key, state);
    }

    #[inline(always)]
    fn denial4(&self, key: &FlowKey4) -> Option<u64> {
        lookup!(DENIALS4, key)
    }

    #[inline(always)]
    fn denial6(&self, key: &FlowKey6) -> Option<u64> {
        lookup!(DENIALS6, key)
    }

    #[inline(always)]
    fn remember_denial4(&self, key: &FlowKey4, now: u64) {
        insert!(DENIALS4, key, now);
    }

    #[inline(always)]
    fn remember_denial6(&self, key: &FlowKey6, now: u64) {
        insert!(DENIALS6, key, now);
    }

    #[inline(always)]
    fn fragment4(&self, key: &FragmentKey4) -> Option<FragmentState> {
        lookup!(FRAGMENTS4, key)
    }

    #[inline(always)]
    fn fragment6(&self, key: &FragmentKey6) -> Option<FragmentState> {
        lookup!(FRAGMENTS6, key)
    }

    #[inline(always)]
    fn remember_fragment4(&self, key: &FragmentKey4, state: &FragmentState) {
        insert!(FRAGMENTS4, key, state);
    }

    #[inline(always)]
    fn remember_fragment6(&self, key: &FragmentKey6, state: &FragmentState) {
        insert!(FRAGMENTS6, key, state);
    }

    #[inline(always)]
    fn enforces(&self, direction: Direction) -> u32 {
        let control = CONTROL.first();
        // SAFETY: the map has this value, and lives as long as the program. Volatile: the host writes it.
        let deadline = unsafe { read_volatile(&raw const (*control).deadline) };
        // SAFETY: as above; the clock is a helper without arguments.
        let modes = if deadline != 0 && unsafe { bpf_ktime_get_boot_ns() } >= deadline {
            // SAFETY: as above.
            unsafe { read_volatile(&raw const (*control).modes_after) }
        } else {
            // SAFETY: as above.
            unsafe { read_volatile(&raw const (*control).modes) }
        };
        (modes >> direction as u32) as u32 & 1
    }

    #[inline(always)]
    fn count(&self, direction: Direction, would_drop: u32, outcome: Outcome, size: Counter) {
        let index = ((direction as u32) * layout::OUTCOMES + would_drop) * 32 + u32::from(outcome.reason_number());
        // SAFETY: the entry of this CPU; a program is not interrupted by itself on its CPU.
        unsafe { add(REASONS.at(index), size) };
    }

    #[inline(always)]
    fn count_rule(&self, rule: u16, size: Counter) {
        if let Some(slot) = RULES.get_ptr_mut(u32::from(rule)) {
            // SAFETY: as above.
            unsafe { add(&raw mut (*slot).counter, size) };
            // SAFETY: as above.
            unsafe { write_volatile(&raw mut (*slot).last, self.now()) };
        }
    }

    #[inline(always)]
    fn note(&self, statistic: Statistic) {
        if let Some(slot) = STATISTICS.get_ptr_mut(statistic as u32) {
            // SAFETY: as above.
            unsafe { *slot += 1 };
        }
    }

    #[inline(always)]
    fn may_report(&self) -> bool {
        // SAFETY: the only entry of this CPU; a program is not interrupted by itself on its CPU.
        let bucket = unsafe { &mut *BUCKET.at(0) };
        let now = self.now();
        if now.wrapping_sub(bucket.last) >= u64::from(layout::load(&CONFIG.hz)) {
            bucket.last = now;
            bucket.tokens = u64::from(layout::load(&CONFIG.events_per_second));
        }
        if bucket.tokens == 0 {
            bucket.suppressed += 1;
            return false;
        }
        bucket.tokens -= 1;
        true
    }

    #[inline(always)]
    fn report(&self, direction: Direction, enforced: bool, outcome: Outcome, seen: &Seen, size: Counter) {
        // SAFETY: as above.
        let bucket = unsafe { &mut *BUCKET.at(0) };
        let now = self.now();
        let denied = DeniedKey {
            remote: seen.remote,
            interface: layout::load(&CONFIG.interface),
            port: seen.asked,
            protocol: seen.protocol,
            reason: outcome.reason_number(),
            direction: direction as u8,
            enforced: u8::from(enforced),
            family: seen.family,
            zero: 0,
        };
        if let Some(state) = DENIED.get_ptr_mut(&denied) {
            // SAFETY: a map value that was found is valid as long as the program runs. Two CPUs may add at once and lose one
            // of the packets: this table is a sample within the token bucket, the counters are exact.
            unsafe { add(&raw mut (*state).counter, size) };
            // SAFETY: as above.
            unsafe { write_volatile(&raw mut (*state).last, now) };
        } else {
            let state = DeniedState { counter: size, first: now, last: now, local: seen.local };
            let _ = DENIED.insert(&denied, &state, 0);
        }
        let event = Event {
            at: now,
            denied,
            bytes: size.bytes as u32,
            local: seen.local,
            remote_port: seen.remote_port,
            local_port: seen.local_port,
            suppressed: bucket.suppressed as u32,
        };
        if EVENTS.output::<Event>(&event, 0).is_err() {
            bucket.lost += 1;
        }
    }
}

/// Not 0 where two addresses differ. Without a branch for each word.
#[inline(always)]
const fn differs([a, b, c, d]: [u32; 4], [e, f, g, h]: [u32; 4]) -> u32 {
    (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h)
}

/// # Safety
/// `counter` is valid, and of this CPU.
#[inline(always)]
unsafe fn add(counter: *mut Counter, size: Counter) {
    // SAFETY: as the caller promises.
    unsafe { (*counter).packets += size.packets };
    // SAFETY: as the caller promises.
    unsafe { (*counter).bytes += size.bytes };
}
