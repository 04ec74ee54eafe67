//! Reading what the kernel holds: counters, denied flows, events, status, drift.

pub(super) mod ask;
pub(super) mod counted;
pub(super) mod counters;
pub(super) mod denied;
pub(super) mod drift;
pub(super) mod events;
pub(super) mod flows;
pub(super) mod judging;
pub(super) mod log;
pub(super) mod map_use;
pub(super) mod readback;
pub(super) mod running;
pub(super) mod status;
mod surroundings;
pub(super) mod totals;
