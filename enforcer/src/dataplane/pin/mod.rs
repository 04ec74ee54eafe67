//! What is pinned, where, under which lock, and the records beside it.

pub(super) mod folders;
pub(super) mod lock;
pub(super) mod pins;
pub(super) mod record;
pub(super) mod slots;
