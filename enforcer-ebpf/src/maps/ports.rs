//! Where ports stand in arrays and bitmaps.

use enforcer_common::layout;

use crate::direct::{DirectArray, masked};

/// The same index, where it is that of a port or an ethertype, in a way that the verifier can follow: that of Linux 6.1 knows
/// nothing of a number whose bytes were swapped. The compiler knows which of the two it is.
#[inline(always)]
pub(super) fn bounded(index: u32) -> u32 {
    const PORTS: u32 = 4 * 65536;
    if index >= PORTS { index } else { masked::<{ PORTS - 1 }>(index) }
}

/// The same number of a local port, of which the verifier may know nothing else.
#[inline(always)]
pub(super) fn bounded_port(bit: u32) -> u32 {
    const { assert!(layout::PORT_BYTES.is_power_of_two() && layout::PORT_BITMAP_WORDS * 64 == layout::PORT_BYTES) };
    masked::<{ layout::PORT_BYTES - 1 }>(bit)
}

#[inline(always)]
pub(super) fn has_bit<const NUMBER: u32, const LENGTH: u32>(
    array: &DirectArray<u64, NUMBER, LENGTH>,
    bit: u32,
) -> bool {
    array.load(bounded_port(bit) >> 6) >> (bit & 63) & 1 != 0
}
