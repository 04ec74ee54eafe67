//! What is pinned, where, under which lock, and the records beside it.

pub(super) mod bases;
pub(super) mod bpffs;
pub(super) mod document;
pub(super) mod folder;
pub(super) mod lock;
pub(super) mod owners;
pub(super) mod pins;
pub(super) mod protected;
pub(super) mod record;
pub(super) mod slots;
