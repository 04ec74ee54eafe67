//! What was seen of a packet: for the report, the memory of denials and the flows.

use crate::frame::Frame;
use crate::numbers::TCP;

/// What is to be seen of a packet: as much as its headers give away.
///
/// Aligned to the words in which the verifier keeps track of the stack: it has a little less to walk through.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C, align(8))]
pub struct Seen {
    /// Remote address, IPv4 mapped into IPv6.
    pub remote: [u32; 4],
    /// Local address, likewise.
    pub local: [u32; 4],
    /// Remote port in host byte order. Echo: 0.
    pub remote_port: u16,
    /// Local port in host byte order. Echo: the identifier.
    pub local_port: u16,
    /// What the packet asked for: the destination port, the ICMP type, or the ethertype.
    pub asked: u16,
    /// 4 or 6; 0 without an IP header that could be read.
    pub family: u8,
    /// IP protocol.
    pub protocol: u8,
    /// [`Seen::SYN`] and so on.
    pub flags: u32,
}

impl Seen {
    /// TCP FIN, as in the header.
    pub const FIN: u32 = 0x01;
    /// TCP SYN.
    pub const SYN: u32 = 0x02;
    /// TCP RST.
    pub const RST: u32 = 0x04;
    /// TCP ACK.
    pub const ACK: u32 = 0x10;
    /// The packet belongs to a conversation that a flow can stand for: it has ports, or is an echo request or reply.
    pub const CONVERSATION: u32 = 0x100;
    /// It is an echo request.
    pub const ECHO_REQUEST: u32 = 0x200;
    /// It is a later fragment.
    pub const LATER_FRAGMENT: u32 = 0x400;

    /// Nothing yet. The compiler does not know that the words are zeros: it would write them by a call, byte by byte.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it is zero")]
    pub fn nothing(frame: &impl Frame) -> Self {
        let zero = frame.blur(0);
        Self {
            remote: [zero; 4],
            local: [zero; 4],
            remote_port: zero as u16,
            local_port: zero as u16,
            asked: zero as u16,
            family: zero as u8,
            protocol: zero as u8,
            flags: zero,
        }
    }

    /// A SYN without ACK: the first segment of a TCP conversation.
    #[must_use]
    #[inline(always)]
    pub const fn is_bare_syn(&self) -> bool {
        self.protocol == TCP && self.flags & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// Whether all of these flags are set.
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }
}
