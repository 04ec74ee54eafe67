//! What decides whether and how this machine is protected: interfaces, preflight, live connections, boot, the journal of changes.

pub mod boot;
pub mod interfaces;
pub mod journal;
pub mod judging;
pub mod live;
pub mod preflight;
pub(crate) mod replaced;
pub mod say;
