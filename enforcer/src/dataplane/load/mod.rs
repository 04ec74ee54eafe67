//! Loading: the BPF object, and filling its maps before a packet is judged by them.

pub(super) mod direct;
pub(super) mod fill;
pub(super) mod holders;
#[cfg(test)]
pub(super) mod loops;
pub(super) mod object;
pub(super) mod own;
pub(super) mod per_cpu;
pub(super) mod ways;
