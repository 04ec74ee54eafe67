//! What is asked of all hosts of an estate at once: whether both ends of each conversation agree, which conversations a change makes possible, who
//! may talk to whom. Pure, as the policies are.

pub mod attribution;
pub mod check;
pub mod diff;
pub mod ends;
pub mod explain;
pub mod map;
mod ports;
mod proofs;
pub mod reach;
