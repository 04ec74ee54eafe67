//! Counting.

use enforcer_common::layout::Counter;

/// # Safety
/// `counter` is valid, and of this CPU.
#[inline(always)]
pub(super) unsafe fn add(counter: *mut Counter, size: Counter) {
    // SAFETY: as the caller promises.
    unsafe { (*counter).packets += size.packets };
    // SAFETY: as the caller promises.
    unsafe { (*counter).bytes += size.bytes };
}
