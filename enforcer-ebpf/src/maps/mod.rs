//! The maps, private, behind the typed questions of [`Tables`].

mod clock;
mod count;
mod flow;
mod ports;
mod report;
mod route;
mod statics;

use core::ffi::c_void;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::maps::lpm_trie::Key;
use enforcer_common::layout::{
    self, Config, Counter, DenialKey4, DenialKey6, DenialState, FlowKey4, FlowKey6, FlowState, FlowState6,
    FragmentKey4, FragmentKey6, FragmentState, HotFlow4, HotFlow6, Statistic,
};
use enforcer_common::outcome::Outcome;
use enforcer_common::seen::Seen;
use enforcer_common::tables::Tables;
use enforcer_common::{Direction, Entry, ServiceIndex, SourceClass, ranges, way_back};

use crate::direct::masked;
pub(crate) use clock::{now, tell_time};
use count::add;
use flow::FlowPointer;
use ports::{bounded, bounded_port, has_bit};
pub(crate) use statics::CONFIG;
use statics::{
    CLAIMS, CONTROL, DENIALS4, DENIALS6, FLOW_PORTS, FLOWS4, FLOWS6, FRAGMENTS4, FRAGMENTS6, HOLDERS, HOT_FLOWS4,
    HOT_FLOWS6, LISTENERS, MATRIX_IN, MATRIX_OUT, OWN, OWN_FILTER, PREFIXES6, RANGE_INDEX4, RANGES4, REASONS, RULES,
    SERVICES_IN, SERVICES_OUT, STATISTICS,
};

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

    /// Whether a flow with these times needs no look into the table, for a packet of this direction: it was refreshed within a second.
    #[inline(always)]
    fn is_fresh(&self, last: u64, last_out: u32, direction: Direction) -> bool {
        let now = self.now();
        match direction {
            Direction::Inbound => now.wrapping_sub(last) < u64::from(layout::load(&CONFIG.hz)),
            Direction::Outbound => (now as u32).wrapping_sub(last_out) < layout::load(&CONFIG.hz),
        }
    }
}

/// Jiffies from which the programs that were confirmed last judge again; 0: never.
#[inline(always)]
pub(crate) fn deadline_of_change() -> u64 {
    // SAFETY: the map has this value, and lives as long as the program. Volatile: the host writes it.
    unsafe { read_volatile(&raw const (*CONTROL.first()).way_back) }
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
        clock::now()
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
        PREFIXES6.get(&Key::new(128, remote)).map_or(0, |class| SourceClass(*class).column(direction))
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
    fn claim(&self, address: [u32; 4]) -> u32 {
        CLAIMS.get(&Key::new(128, address)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn holder(&self, address: [u32; 4]) -> u32 {
        HOLDERS.get(&Key::new(128, address)).copied().unwrap_or(0)
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
        route::would_forward(self.context, family, source, destination)
    }

    #[inline(always)]
    fn flow_uses_port(&self, bit: u32) -> bool {
        FLOW_PORTS.load(bounded_port(bit)) != 0
    }

    #[inline(always)]
    fn note_flow_port(&self, bit: u32) {
        // SAFETY: the element is there as long as the program runs. Volatile: other CPUs read and write it, always the same.
        unsafe { write_volatile(FLOW_PORTS.at(bounded_port(bit)), 1) };
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
    fn is_hot4(&self, key: &FlowKey4, direction: Direction) -> bool {
        let Some(hot) = HOT_FLOWS4.get_ptr(HotFlow4::index(key)) else { return false };
        // SAFETY: a map value that was found is valid as long as the program runs; it is this CPU's alone.
        let HotFlow4 { key: found, last, last_out, .. } = unsafe { *hot };
        // Without a branch for each word.
        let differs = (found.remote ^ key.remote)
            | (found.local ^ key.local)
            | (found.ports.word() ^ key.ports.word())
            | (found.protocol ^ key.protocol);
        differs == 0 && self.is_fresh(last, last_out, direction)
    }

    #[inline(always)]
    fn is_hot6(&self, key: &FlowKey6, local: [u32; 4], direction: Direction) -> bool {
        let Some(hot) = HOT_FLOWS6.get_ptr(HotFlow6::index(key)) else { return false };
        // SAFETY: as above.
        let hot = unsafe { *hot };
        let differs = differs(hot.key.remote, key.remote)
            | differs(hot.local, local)
            | (hot.key.ports.word() ^ key.ports.word())
            | (hot.key.protocol_and_local ^ key.protocol_and_local);
        differs == 0 && self.is_fresh(hot.last, hot.last_out, direction)
    }

    #[inline(always)]
    fn note_hot4(&self, key: &FlowKey4, last: u64, last_out: u32) {
        if let Some(hot) = HOT_FLOWS4.get_ptr_mut(HotFlow4::index(key)) {
            // SAFETY: as above; a program is not interrupted by itself on its CPU.
            unsafe { *hot = HotFlow4 { key: *key, last, last_out, zero: 0 } };
        }
    }

    #[inline(always)]
    fn note_hot6(&self, key: &FlowKey6, local: [u32; 4], last: u64, last_out: u32) {
        if let Some(hot) = HOT_FLOWS6.get_ptr_mut(HotFlow6::index(key)) {
            // SAFETY: as above. Not as a whole: two zeros in a row would be written by a call, byte by byte.
            unsafe {
                (*hot).key = *key;
                (*hot).local = local;
                (*hot).last = last;
                (*hot).last_out = last_out;
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
    fn denial4(&self, key: &DenialKey4) -> Option<DenialState> {
        lookup!(DENIALS4, key)
    }

    #[inline(always)]
    fn denial6(&self, key: &DenialKey6) -> Option<DenialState> {
        lookup!(DENIALS6, key)
    }

    #[inline(always)]
    fn remember_denial4(&self, key: &DenialKey4, state: &DenialState) {
        insert!(DENIALS4, key, state);
    }

    #[inline(always)]
    fn remember_denial6(&self, key: &DenialKey6, state: &DenialState) {
        insert!(DENIALS6, key, state);
    }

    #[inline(always)]
    fn memory_until(&self) -> u64 {
        // SAFETY: the map has this value, and lives as long as the program. Volatile: the host writes it.
        unsafe { read_volatile(&raw const (*CONTROL.first()).memory_until) }
    }

    #[inline(always)]
    fn blur(&self, number: u32) -> u32 {
        // A number out of a map is unknown to the verifier, whatever it is.
        crate::frame::blur(number, self.memory_until() as u32)
    }

    #[inline(always)]
    fn ended_until(&self) -> u64 {
        // SAFETY: as above.
        unsafe { read_volatile(&raw const (*CONTROL.first()).ended_until) }
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
        let way_back = deadline_of_change();
        // The clock is asked only where a change waits.
        if way_back != 0 && way_back::is_left_alone(self.now(), way_back, layout::load(&CONFIG.hz)) {
            return 0;
        }
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
        report::may_report()
    }

    #[inline(always)]
    fn report(&self, direction: Direction, enforced: bool, outcome: Outcome, seen: &Seen, size: Counter) {
        report::report(direction, enforced, outcome, seen, size);
    }
}

/// Not 0 where two addresses differ. Without a branch for each word.
#[inline(always)]
const fn differs([a, b, c, d]: [u32; 4], [e, f, g, h]: [u32; 4]) -> u32 {
    (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h)
}
