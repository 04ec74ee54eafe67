//! A flow where it stands in its map.

use core::ptr::write_volatile;

use enforcer_common::layout::FlowState;
use enforcer_common::tables::Flow;

/// A flow in its map.
#[derive(Clone, Copy)]
pub(crate) struct FlowPointer(pub(super) *mut FlowState);

impl Flow for FlowPointer {
    #[inline(always)]
    fn state(&self) -> FlowState {
        // SAFETY: a map value that was found is valid as long as the program runs; other CPUs may write it meanwhile, word by word.
        unsafe { *self.0 }
    }

    #[inline(always)]
    fn refresh(&self, now: u64) {
        self.hear(now);
        // SAFETY: as above.
        unsafe { write_volatile(&raw mut (*self.0).last_out, now as u32) };
    }

    #[inline(always)]
    fn hear(&self, now: u64) {
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
