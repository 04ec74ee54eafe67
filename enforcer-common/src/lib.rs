//! Words, layouts and the decision function of `enforcer`.
//!
//! This crate is compiled twice: for the kernel, inside the BPF programs, and for the host, where the same code answers
//! `explain` and `simulate` and is compared with a second, independent reading. It is `no_std`, allocates nothing and
//! depends on nothing; for the host, behind the feature `user`, it depends on aya's marker trait for map contents and on serde.

#![no_std]
#![warn(missing_docs)]

pub mod decide;
pub mod entry;
pub mod frame;
pub mod layout;
pub mod numbers;
pub mod outcome;
pub mod packet;
pub mod ranges;
pub mod seen;
pub mod tables;
pub mod verdict;
pub mod way_back;
#[cfg(feature = "user")]
mod words;

pub use entry::{Entry, EntryKind, ServiceIndex, SourceClass};
pub use verdict::{Direction, Mode, Reason, Verdict};
