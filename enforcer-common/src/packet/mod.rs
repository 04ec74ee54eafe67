//! Reading headers. Each function answers with what it found, or with the outcome of a packet that is judged by it already.
//!
//! Everything is checked against the length that the IP header claims, not only against the frame: Ethernet padding is not part
//! of the packet.

mod address;
mod ethernet;
mod ipv4;
mod ipv6;
mod network;
mod seen;
mod transport;

pub use address::Address;
pub use ethernet::{Link, link, link_control};
pub use ipv4::ipv4;
pub use ipv6::{extensions, ipv6, is_extension};
pub use network::{Fragment, MALFORMED, Network};
pub use transport::{Segment, transport};

pub use crate::numbers::{ARP, ICMP, ICMPV6, IGMP, IPV4, IPV6, SCTP, TCP, UDP};
