//! What is going on at the moment a policy changes: which conversations would be cut, and whether the operator's own is one.
//!
//! Pure but for [`Snapshot::read`]: a conversation is judged by the tables of a ruleset, as a new one, without flows.

pub mod already;
mod coverage;
mod cut;
pub mod moment;
mod ssh;

pub use coverage::Coverage;
pub use cut::{Cut, cuts};
pub use ssh::{Session, own_sessions, refusal};
