//! What is told of denied packets: the table of denied flows, the stream of events, and the bucket in front of both.

use super::count::Counter;

/// Token bucket in front of everything that a denied packet costs beyond its counter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Bucket {
    /// Tokens left.
    pub tokens: u64,
    /// Jiffies of the last refill.
    pub last: u64,
    /// Denied packets that found no token: neither in the table of denied flows nor in the stream.
    pub suppressed: u64,
    /// Events that found the ring buffer full.
    pub lost: u64,
    /// Always 0: the rest of a cache line, which is written by no other CPU.
    pub zero: [u64; 4],
}

/// A denied flow: who tried what, and why it was refused.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct DeniedKey {
    /// Remote address, IPv4 mapped.
    pub remote: [u32; 4],
    /// Interface index.
    pub interface: u32,
    /// The port that was tried (destination of the packet), or the ICMP type, or the ethertype.
    pub port: u16,
    /// IP protocol; 0 where there is none.
    pub protocol: u8,
    /// Number of the [`Reason`](crate::Reason).
    pub reason: u8,
    /// 0 inbound, 1 outbound.
    pub direction: u8,
    /// 1 dropped, 0 only counted.
    pub enforced: u8,
    /// 4 or 6; 0 for a frame without an IP header.
    pub family: u8,
    /// Always 0.
    pub zero: u8,
}

/// How often, how much, since when.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct DeniedState {
    /// Packets and bytes, as far as the token bucket let them be seen.
    pub counter: Counter,
    /// Jiffies of the first one.
    pub first: u64,
    /// Jiffies of the last one.
    pub last: u64,
    /// Local address of the last one, IPv4 mapped.
    pub local: [u32; 4],
}

/// One denied packet, as the ring buffer carries it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Event {
    /// Jiffies.
    pub at: u64,
    /// Who, what, why.
    pub denied: DeniedKey,
    /// Frame length in bytes.
    pub bytes: u32,
    /// Local address, IPv4 mapped.
    pub local: [u32; 4],
    /// Remote port in host byte order.
    pub remote_port: u16,
    /// Local port in host byte order.
    pub local_port: u16,
    /// Denied packets this CPU has suppressed so far, modulo 2^32.
    pub suppressed: u32,
}
