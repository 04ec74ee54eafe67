//! What is remembered of conversations and of fragments.

/// Flows of each family in slot 0, unless the site says another number.
pub const FLOWS: u32 = 131_072;

/// IPv4 flows in the slot of a guest, unless the site says another number.
pub const GUEST_FLOWS4: u32 = 4096;

/// IPv6 flows in the slot of a guest, unless the site says another number.
pub const GUEST_FLOWS6: u32 = 1024;

/// Flows of each family that a CPU finds again without the flow table: 32 kB a CPU for IPv4, 64 kB for IPv6.
pub const HOT_FLOWS: u32 = 1024;

/// Words of a port bitmap: TCP, UDP and SCTP, 64 ports a word; and as many as make it a power of two, to which a mask bounds an index.
pub const PORT_BITMAP_WORDS: u32 = 4 * 1024;

/// Bytes of a map with a byte for each port, of the same protocols. The programs write it, and Linux 5.10 has no atomic instruction
/// that sets a bit; a byte is one plain store.
pub const PORT_BYTES: u32 = PORT_BITMAP_WORDS * 64;

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
    /// Jiffies of the last packet that refreshed it, at most once a second: one that left, or for UDP and SCTP one that came in.
    pub last: u64,
    /// The same of the last packet that left: the low half of the jiffies, which begins anew after 49 days at the least.
    pub last_out: u32,
    /// When it was made, in units of [`FlowState::MADE_UNIT`] jiffies.
    pub made: u32,
    /// Jiffies without a packet after which it expires.
    pub timeout: u32,
    /// [`FlowState::FIN_IN`] and so on in the low half; the high half is for the slot (0: this host).
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
    /// The peer may have opened it: it was refused and let through before. Only what comes soon after a packet that left answers it.
    pub const IN_DOUBT: u32 = 4;
    /// Jiffies a second, divided by this: the time within which a flow in doubt is answered.
    pub const ANSWERED: u32 = 2;
    /// Jiffies in the unit of [`FlowState::made`].
    pub const MADE_UNIT: u64 = 256;

    /// A flow that a packet makes at `now`.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is kept")]
    pub const fn new(now: u64, timeout: u32, flags: u32) -> Self {
        Self { last: now, last_out: now as u32, made: (now / Self::MADE_UNIT) as u32, timeout, flags }
    }

    /// Jiffies since a packet left. True while the flow is alive; later the low half of them.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "compared with the low half")]
    pub const fn silence(&self, now: u64) -> u32 {
        (now as u32).wrapping_sub(self.last_out)
    }

    /// Whether it has not expired: a packet has left within its timeout, or, where what comes in prolongs it, within `one_way`
    /// jiffies and one has come within the timeout.
    #[must_use]
    #[inline(always)]
    pub const fn is_alive(&self, now: u64, one_way: u32) -> bool {
        // The first question also tells an old `last_out` from one that looks young because its clock went round.
        now.wrapping_sub(self.last) <= self.timeout as u64
            && (self.silence(now) <= self.timeout || self.silence(now) <= one_way)
    }
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
    /// [`FlowState::last`] as it was found; 0: nothing is here.
    pub last: u64,
    /// [`FlowState::last_out`] as it was found.
    pub last_out: u32,
    /// Always 0.
    pub zero: u32,
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
    /// [`FlowState::last`] as it was found; 0: nothing is here.
    pub last: u64,
    /// [`FlowState::last_out`] as it was found.
    pub last_out: u32,
    /// Always 0.
    pub zero: [u32; 3],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_prolongs_a_flow_for_one_way_and_no_longer() {
        let flow = FlowState::new(1000, 100, 0);
        assert!(flow.is_alive(1100, 500) && !flow.is_alive(1101, 500));
        let heard = FlowState { last: 1450, ..flow };
        assert!(heard.is_alive(1500, 500));
        assert!(!heard.is_alive(1501, 500), "nothing has left for longer than `one_way`");
        assert!(!FlowState { last: 1390, ..flow }.is_alive(1491, 500), "nothing has come within the timeout");
        // A `one_way` that is shorter than the timeout does not shorten it.
        assert!(flow.is_alive(1100, 10));
    }

    #[test]
    fn a_flow_does_not_come_back_to_life_when_the_low_half_of_the_clock_goes_round() {
        let now = u64::from(u32::MAX) - 10;
        let flow = FlowState::new(now, 100, 0);
        assert!(flow.is_alive(now + 100, 0), "across the end of the low half");
        assert!(!flow.is_alive(now + (1 << 32) + 5, u32::MAX));
    }
}
