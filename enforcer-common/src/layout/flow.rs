//! What is remembered of conversations and of fragments.

/// Flows of each family that a CPU finds again without the flow table: 32 kB a CPU for IPv4, 64 kB for IPv6.
pub const HOT_FLOWS: u32 = 1024;

/// Words of a port bitmap: TCP, UDP and SCTP, 64 ports a word; and as many as make it a power of two, to which a mask bounds an index.
pub const PORT_BITMAP_WORDS: u32 = 4 * 1024;

/// A conversation over IPv4. Addresses as they stand in the packet, ports in host byte order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct FlowKey4 {
    /// The other host.
    pub remote: u32,
    /// This host.
    pub local: u32,
    /// Both ports.
    pub ports: Ports,
    /// IP protocol in the low byte, slot (0: this host) above it.
    pub protocol: u32,
}

/// A conversation over IPv6, likewise, but for the local address: this host has few, so a digest of it is in the key, and the
/// whole of it in [`FlowState6`]. Hashing and comparing the key is most of what a flow costs: 24 bytes are two rounds of the
/// kernel's hash, 40 are four.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct FlowKey6 {
    /// The other host.
    pub remote: [u32; 4],
    /// IP protocol in the high byte, below it a digest of this host's address and the slot.
    pub protocol_and_local: u32,
    /// Both ports.
    pub ports: Ports,
}

impl FlowKey6 {
    /// The key of a conversation.
    #[must_use]
    #[inline(always)]
    pub const fn new(remote: [u32; 4], local: [u32; 4], ports: Ports, protocol: u8) -> Self {
        // Two of the host's own addresses that share a digest would have to talk to the same port of the same host from the same
        // port, to be in each other's way; and then one of the flows is not found, which errs on the closed side.
        let [a, b, c, d] = local;
        let digest = (a ^ b.rotate_left(9) ^ c.rotate_left(18) ^ d).wrapping_mul(0x9e37_79b1) >> 8;
        Self { remote, protocol_and_local: (protocol as u32) << 24 | digest, ports }
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        (self.protocol_and_local >> 24) as u8
    }
}

/// Both ports of a conversation, in host byte order, as one word: a word that is written in halves and then read whole waits for
/// both.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(transparent)]
pub struct Ports(u32);

impl Ports {
    /// The remote port, 0 where the server answers from any port (echo: 0), and the local one (echo: the identifier).
    #[must_use]
    #[inline(always)]
    pub const fn new(remote: u16, local: u16) -> Self {
        Self((remote as u32) << 16 | local as u32)
    }

    /// Both, in one word.
    #[must_use]
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The remote port.
    #[must_use]
    pub const fn remote(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The local port.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the local port is the low half of the word")]
    pub const fn local(self) -> u16 {
        self.0 as u16
    }
}

/// What is known of a conversation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct FlowState {
    /// Jiffies of the last packet that refreshed it, at most once a second.
    pub last: u64,
    /// Jiffies without a packet after which it is over.
    pub timeout: u32,
    /// [`FlowState::FIN_IN`], [`FlowState::FIN_OUT`].
    pub flags: u32,
}

/// What is known of a conversation over IPv6, and the address that its key has only a digest of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct FlowState6 {
    /// The same as of any.
    pub state: FlowState,
    /// This host.
    pub local: [u32; 4],
}

impl FlowState {
    /// The remote side has sent a FIN.
    pub const FIN_IN: u32 = 1;
    /// This host has sent a FIN.
    pub const FIN_OUT: u32 = 2;
}

impl From<FlowState6> for FlowState {
    fn from(of_ipv6: FlowState6) -> Self {
        of_ipv6.state
    }
}

/// A flow over IPv4 that one CPU found in the flow table, in front of which this stands: the busy conversations of a second are
/// few, and found here without hashing and comparing keys by calls into the kernel.
///
/// It says no more than the flow table said at [`HotFlow4::last`], and is believed for a second, for which the table would not be
/// written either. A flow that is evicted in that second counts until its end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct HotFlow4 {
    /// The conversation.
    pub key: FlowKey4,
    /// Jiffies of the last packet that refreshed the flow; 0: nothing is here.
    pub last: u64,
    /// Always 0.
    pub zero: u64,
}

impl HotFlow4 {
    /// Where a conversation stands, if it stands anywhere.
    #[must_use]
    #[inline(always)]
    pub const fn index(key: &FlowKey4) -> u32 {
        (key.remote ^ key.ports.0 ^ key.protocol).wrapping_mul(0x9e37_79b1) >> (32 - HOT_FLOWS.trailing_zeros())
    }
}

/// The same for IPv6.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct HotFlow6 {
    /// The conversation.
    pub key: FlowKey6,
    /// The local address, of which the key has a digest.
    pub local: [u32; 4],
    /// Jiffies of the last packet that refreshed the flow; 0: nothing is here.
    pub last: u64,
    /// Always 0.
    pub zero: [u64; 2],
}

impl HotFlow6 {
    /// Where a conversation stands, if it stands anywhere.
    #[must_use]
    #[inline(always)]
    pub const fn index(key: &FlowKey6) -> u32 {
        let word = key.remote[2].rotate_left(16) ^ key.remote[3] ^ key.ports.0;
        word.wrapping_mul(0x9e37_79b1) >> (32 - HOT_FLOWS.trailing_zeros())
    }
}

/// A datagram in fragments, IPv4 (RFC 791: source, destination, protocol, identification).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct FragmentKey4 {
    /// Source address as it stands in the packet.
    pub source: u32,
    /// Destination address, likewise.
    pub destination: u32,
    /// Identification.
    pub id: u32,
    /// IP protocol in the low byte, slot above it.
    pub protocol: u32,
}

/// The same for IPv6 (RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct FragmentKey6 {
    /// Source address as it stands in the packet.
    pub source: [u32; 4],
    /// Destination address, likewise.
    pub destination: [u32; 4],
    /// Identification.
    pub id: u32,
    /// Next header of the fragment header in the low byte, slot above it.
    pub protocol: u32,
}

/// What became of the first fragment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct FragmentState {
    /// Jiffies when it was seen.
    pub last: u64,
    /// [`FragmentState::REFUSED`], [`FragmentState::PASSED`] or [`FragmentState::AUDITED`].
    pub verdict: u64,
}

impl FragmentState {
    /// Refused: later fragments are refused.
    pub const REFUSED: u64 = 0;
    /// Permitted: later fragments pass.
    pub const PASSED: u64 = 1;
    /// Refused by a rule that is in audit by itself: later fragments are counted, not dropped.
    pub const AUDITED: u64 = 2;
    /// Seconds for which a first fragment is remembered: Linux keeps fragments for 30 (`ipfrag_time`).
    pub const SECONDS: u32 = 30;
}
