//! Layouts of what lives in BPF maps and in the programs' read-only data: keys, values, sizes, names.
//!
//! Everything is made of whole words without padding, so that the kernel compares and copies it with word loads. Changing
//! anything here means raising [`LAYOUT_VERSION`], which is part of the pin path: a new binary never misreads old maps.

mod address;
mod config;
mod count;
mod denial;
#[cfg(test)]
mod digest;
mod flow;
mod maps;
mod report;

pub use address::{HOLDER_ENTRIES, OWN_ENTRIES, OWN_FILTER_BYTES, Range4, claim, hardware, holder, mapped, own_slot};
pub use config::{Config, Control, load};
pub use count::{Counter, OUTCOMES, REASON_SLOTS, RULE_SLOTS, RuleCounter, STATISTICS, Statistic, reason_index};
pub use denial::{DenialKey4, DenialKey6, DenialState};
pub use flow::{
    FLOWS, FlowKey4, FlowKey6, FlowState, FlowState6, FragmentKey4, FragmentKey6, FragmentState, GUEST_FLOWS4,
    GUEST_FLOWS6, HOT_FLOWS, HotFlow4, HotFlow6, PORT_BITMAP_WORDS, PORT_BYTES, Ports,
};
pub use maps::{Direct, MAPS, MapOwner, MapRow, Parts, Purpose, Room, Writer, map};
pub use report::{Bucket, DeniedKey, DeniedState, Event};

/// Version of everything in this module; part of the pin path (`v<LAYOUT>`).
pub const LAYOUT_VERSION: u32 = 7;
/// Digest of the text of this module. Its test fails when the text changes, and prints the new digest.
#[cfg(test)]
const LAYOUT_DIGEST: u64 = 0x2f27_0e04_0986_d0d3;

macro_rules! plain {
    ($($type:ty: $size:literal),* $(,)?) => {
        $(
            const _: () = assert!(size_of::<$type>() == $size, "a layout changed: raise LAYOUT_VERSION");
            // SAFETY: `repr(C)`, integers only, and the size is the sum of the fields: no padding, no invalid bit pattern.
            #[cfg(feature = "user")]
            unsafe impl aya::Pod for $type {}
        )*
    };
}

plain! {
    FlowKey4: 16, FlowKey6: 24, FlowState: 24, FlowState6: 40, HotFlow4: 32, HotFlow6: 64,
    FragmentKey4: 16, FragmentKey6: 40, FragmentState: 16, Control: 48,
    DenialKey4: 12, DenialKey6: 24, DenialState: 16,
    Counter: 16, RuleCounter: 24, Bucket: 64, DeniedKey: 28, DeniedState: 48, Event: 64, Config: 84,
}

// SAFETY: `repr(transparent)` over u32.
#[cfg(feature = "user")]
unsafe impl aya::Pod for crate::entry::Entry {}

// SAFETY: `repr(transparent)` over u32.
#[cfg(feature = "user")]
unsafe impl aya::Pod for crate::entry::SourceClass {}
