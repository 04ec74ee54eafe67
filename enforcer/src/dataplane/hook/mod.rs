//! Programs on hooks: choosing, loading, attaching, finding what others have there.

pub(super) mod attach;
pub(super) mod found;
