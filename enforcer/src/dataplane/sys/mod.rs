//! System calls and kernel features for which aya has no interface.

pub(super) mod batch;
mod bpf;
pub(super) mod clock;
pub(super) mod kernel;
pub(super) mod mapped;
pub(super) mod native;
mod one_by_one;
pub(super) mod open;
pub(super) mod pinned_link;
pub(super) mod words;
