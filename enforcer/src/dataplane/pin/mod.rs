//! Pins: their paths, their lock, and the records beside them.

pub(super) mod bases;
pub(super) mod bpffs;
pub(super) mod document;
pub(super) mod folder;
pub(super) mod host_slot;
pub(super) mod lock;
pub(super) mod owners;
pub(super) mod pins;
pub(super) mod protected;
pub(super) mod record;
pub(super) mod slots;
