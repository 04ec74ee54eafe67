//! Programs on hooks: choosing, loading, attaching, finding what others have there.

pub(super) mod aside;
pub(super) mod attach;
pub(super) mod choose;
pub(super) mod drivers;
pub(super) mod found;
pub(super) mod programs;
pub(super) mod renamed;
