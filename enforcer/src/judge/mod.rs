//! A packet under a policy without a kernel: frames, tuples, captures, an independent plain reading, explanations.

pub mod capture;
pub mod explain;
pub mod frame;
pub mod host;
pub mod reference;
pub mod simulate;
pub mod tables;
pub mod tuple;
