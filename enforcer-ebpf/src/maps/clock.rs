//! Jiffies, and both clocks at one moment.

use core::ptr::write_volatile;

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;

/// Jiffies.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() }
}

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
