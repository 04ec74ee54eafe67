//! Facts of this machine: devices, links, sockets, network namespaces, and whether a file can be trusted.

pub mod device;
pub mod links;
pub(crate) mod netns;
pub mod snapshot;
pub mod sockets;
pub mod trusted;
