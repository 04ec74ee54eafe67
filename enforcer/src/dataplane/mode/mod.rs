//! Audit and enforce at run time: the control entry of each interface, and a change that waits for its deadline.

pub(super) mod active;
pub(super) mod control;
pub(super) mod pending;
pub(super) mod resulting;
