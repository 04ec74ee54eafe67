//! The part of xtask that `enforcer`'s build script shares with it. It depends on the standard library only.

pub mod bpf_toolchain;
