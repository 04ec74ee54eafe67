//! The maps themselves, and the constants of this load. Their table, with owners and sizes, is `MAPS` of `enforcer-common`.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use enforcer_common::layout::{
    self, Bucket, Config, Control, Counter, DenialKey4, DenialKey6, DenialState, DeniedKey, DeniedState, Direct,
    FlowKey4, FlowKey6, FlowState, FlowState6, FragmentKey4, FragmentKey6, FragmentState, HotFlow4, HotFlow6, Range4,
    RuleCounter,
};
use enforcer_common::{ServiceIndex, ranges};

use crate::direct::{DirectArray, DirectPerCpuArray, DirectRanges};

/// Written into the object at load; the verifier sees constants.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata")]
pub(crate) static CONFIG: Config = Config {
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
    one_way: 0,
    slot: 0,
    address4: 0,
    address6: [0; 4],
    mac_start: 0,
    mac_end: 0,
};

// --- the policy: made anew for each ruleset, never edited live; arrays are filled through a mapping ---
pub(super) static SERVICES_IN: DirectArray<u32, { Direct::ServicesIn as u32 }, { ServiceIndex::COUNT }> =
    DirectArray::new();
pub(super) static SERVICES_OUT: DirectArray<u32, { Direct::ServicesOut as u32 }, { ServiceIndex::COUNT }> =
    DirectArray::new();
pub(super) static RANGES4: DirectRanges<Range4, { Direct::Ranges4 as u32 }> = DirectRanges::new();
pub(super) static RANGE_INDEX4: DirectArray<u32, { Direct::RangeIndex4 as u32 }, { ranges::INDEX }> =
    DirectArray::new();
#[map]
pub(super) static PREFIXES6: LpmTrie<[u32; 4], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
pub(super) static MATRIX_IN: Array<u32> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(super) static MATRIX_OUT: Array<u32> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
pub(super) static CLAIMS: LpmTrie<[u32; 4], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

// --- of the interface: survive a change of policy ---
pub(super) static CONTROL: DirectArray<Control, { Direct::Control as u32 }, 1> = DirectArray::new();
#[map]
pub(super) static RULES: PerCpuArray<RuleCounter> = PerCpuArray::with_max_entries(layout::RULE_SLOTS, 0);
pub(super) static REASONS: DirectPerCpuArray<Counter, { Direct::Reasons as u32 }, { layout::REASON_SLOTS - 1 }> =
    DirectPerCpuArray::new();

// --- of the host: shared by all interfaces, because an answer may arrive on another one ---
#[map]
pub(super) static FLOWS4: LruHashMap<FlowKey4, FlowState> = LruHashMap::with_max_entries(1, 0);
#[map]
pub(super) static FLOWS6: LruHashMap<FlowKey6, FlowState6> = LruHashMap::with_max_entries(1, 0);
#[map]
pub(super) static HOT_FLOWS4: PerCpuArray<HotFlow4> = PerCpuArray::with_max_entries(layout::HOT_FLOWS, 0);
#[map]
pub(super) static HOT_FLOWS6: PerCpuArray<HotFlow6> = PerCpuArray::with_max_entries(layout::HOT_FLOWS, 0);
#[map]
pub(super) static DENIALS4: LruHashMap<DenialKey4, DenialState> = LruHashMap::with_max_entries(1, 0);
#[map]
pub(super) static DENIALS6: LruHashMap<DenialKey6, DenialState> = LruHashMap::with_max_entries(1, 0);
#[map]
pub(super) static FRAGMENTS4: LruHashMap<FragmentKey4, FragmentState> = LruHashMap::with_max_entries(1, 0);
#[map]
pub(super) static FRAGMENTS6: LruHashMap<FragmentKey6, FragmentState> = LruHashMap::with_max_entries(1, 0);
pub(super) static FLOW_PORTS: DirectArray<u8, { Direct::FlowPorts as u32 }, { layout::PORT_BYTES }> =
    DirectArray::new();
pub(super) static LISTENERS: DirectArray<u64, { Direct::Listeners as u32 }, { layout::PORT_BITMAP_WORDS }> =
    DirectArray::new();
pub(super) static OWN_FILTER: DirectArray<u8, { Direct::OwnFilter as u32 }, { layout::OWN_FILTER_BYTES }> =
    DirectArray::new();
#[map]
pub(super) static OWN: HashMap<[u32; 4], u32> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
pub(super) static HOLDERS: LpmTrie<[u32; 4], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
pub(super) static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);
#[map]
pub(super) static DENIED: LruHashMap<DeniedKey, DeniedState> = LruHashMap::with_max_entries(1, 0);
pub(super) static BUCKET: DirectPerCpuArray<Bucket, { Direct::Bucket as u32 }, 0> = DirectPerCpuArray::new();
#[map]
pub(super) static STATISTICS: PerCpuArray<u64> = PerCpuArray::with_max_entries(layout::STATISTICS, 0);
