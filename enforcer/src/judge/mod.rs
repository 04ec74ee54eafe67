//! Judging packets without a kernel.

pub mod host;
