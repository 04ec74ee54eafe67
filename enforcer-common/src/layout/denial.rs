//! What is remembered of packets that were refused and let through, in audit or by a rule in audit.

use super::flow::Ports;

/// A conversation over IPv4 whose inbound packets were refused and let through. Without the address of this host: the host may answer
/// from another one than it was asked at.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct DenialKey4 {
    /// The other host.
    pub remote: u32,
    /// Both ports. 0 with protocol 0: the packet was refused before its ports could be read.
    pub ports: Ports,
    /// IP protocol in the low byte, slot (0: this host) above it.
    pub protocol: u32,
}

/// The same for IPv6.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct DenialKey6 {
    /// The other host.
    pub remote: [u32; 4],
    /// As in [`DenialKey4`].
    pub ports: Ports,
    /// IP protocol in the low byte, slot (0: this host) above it.
    pub protocol: u32,
}

/// When the last packet of such a conversation came, and for how long that counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct DenialState {
    /// Jiffies of the last refused packet.
    pub last: u64,
    /// [`DenialState::BY_RULE`], [`DenialState::ENDED`].
    pub flags: u64,
}

impl DenialState {
    /// It was refused by a rule that is in audit by itself: it counts in enforcement, too.
    pub const BY_RULE: u64 = 1;
    /// Its flow was ended by the operator: no packet of the host is a question.
    pub const ENDED: u64 = 2;
    /// Jiffies a second, divided by this: what the host sends within this time after a refused datagram is taken for the answer to
    /// it, and what it sends later for a question of its own. Services answer in less, and clients that ask from a fixed port
    /// (NTP, SIP, IKE) do so every few seconds at most.
    pub const ANSWERS: u32 = 8;
    /// Likewise the time for which datagrams that were refused before enforcement began count after it: their answers may be on the
    /// way. A few queues are emptied in less.
    pub const ON_THE_WAY: u32 = 4;
}
