//! Harness of the kernel suite: namespaces, frames, the real binary and the programs it has pinned.
//!
//! Its functions panic where something is wrong, so that a failing test has a stack trace. It needs root.

pub mod attempts;
pub mod bpf;
pub mod browser;
pub mod bypass;
pub mod calls;
pub mod cards;
pub mod debian;
pub mod enforcer;
pub mod estate;
pub mod foreign;
pub mod interrupt;
pub mod machine;
pub mod netns;
pub mod objects;
pub mod observer;
pub mod packet;
pub mod program;
pub mod promtool;
pub mod raw;
pub mod remembered;
pub mod replay;
pub mod results;
pub mod skip;
pub mod sockets;
pub mod table;
pub mod terminal;
