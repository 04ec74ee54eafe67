//! The userspace half of `enforcer`: from the catalogue and a site file to BPF maps, and back to what a person reads.
//!
//! The middle is pure: [`policy`] reads YAML and compiles it, [`judge`] judges packets by it, and neither of
//! them needs a kernel, a clock or the network. Only [`dataplane`] knows aya.

#![warn(missing_docs)]

pub mod agent;
pub mod cli;
pub mod dataplane;
pub mod estate;
pub mod failure;
#[doc(hidden)]
pub mod fixtures;
pub mod host;
pub mod judge;
pub mod observe;
pub mod policy;
pub mod protect;
pub mod state;
pub mod text;
