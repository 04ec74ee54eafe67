//! Reading headers. Each function answers with what it found, or with the outcome of a packet that is judged by it already.
//!
//! Everything is checked against the length that the IP header claims, not only against the frame: Ethernet padding is not part
//! of the packet.

mod address;
mod ethernet;
mod ipv4;
mod ipv6;
mod transport;

pub use address::Address;
pub use ethernet::{ARP, IPV4, IPV6, Link, link, link_control};
pub use ipv4::ipv4;
pub use ipv6::{extensions, ipv6};
pub use transport::{ICMP, ICMPV6, IGMP, SCTP, TCP, UDP, transport};

use crate::Reason;
use crate::frame::Frame;
use crate::outcome::Outcome;

/// What the IP header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network<A> {
    /// Source address.
    pub source: A,
    /// Destination address.
    pub destination: A,
    /// The protocol above, once they are walked behind all extension headers. Of a later fragment: what its fragment header says.
    pub protocol: u8,
    /// Where the protocol above begins.
    pub at: usize,
    /// Where the packet ends, by its own length.
    pub end: usize,
    /// IPv6 hop limit, IPv4 time to live.
    pub hop_limit: u8,
    /// Whether it is a fragment.
    pub fragment: Fragment,
}

/// Whether a packet is whole. Numbers instead of variants, so that the paths through the code behind it can meet again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fragment {
    kind: u32,
    /// Identification as it stands in the packet.
    pub id: u32,
    /// Offset in units of eight bytes.
    pub offset: u16,
    /// Protocol that the fragments are tracked by.
    pub protocol: u8,
}

impl Fragment {
    const FIRST: u32 = 1;
    const LATER: u32 = 2;

    /// A whole packet; an atomic fragment (RFC 6946) is the same.
    pub const WHOLE: Self = Self { kind: 0, id: 0, offset: 0, protocol: 0 };

    /// From the fields of a header: offset in units of eight bytes, "more fragments", identification, protocol.
    #[must_use]
    #[inline(always)]
    pub fn new(offset: u16, more: bool, id: u32, protocol: u8) -> Self {
        let kind = if offset != 0 {
            Self::LATER
        } else if more {
            Self::FIRST
        } else {
            return Self::WHOLE;
        };
        Self { kind, id, offset, protocol }
    }

    /// Whether nothing is missing.
    #[must_use]
    #[inline(always)]
    pub const fn is_whole(self) -> bool {
        self.kind == 0
    }

    /// Whether it is the first part of a datagram.
    #[must_use]
    #[inline(always)]
    pub const fn is_first(self) -> bool {
        self.kind == Self::FIRST
    }

    /// Whether it is another part.
    #[must_use]
    #[inline(always)]
    pub const fn is_later(self) -> bool {
        self.kind == Self::LATER
    }

    /// The outcome when a header does not fit: in a first fragment it is a trick (RFC 1858, RFC 7112), elsewhere an error.
    #[must_use]
    #[inline(always)]
    pub const fn does_not_fit(self) -> Outcome {
        if self.is_first() { Outcome::new(Reason::TinyFragment) } else { MALFORMED }
    }

    /// See [`Frame::blur`].
    #[inline(always)]
    fn blurred(self, frame: &impl Frame) -> Self {
        Self {
            kind: frame.blur(self.kind),
            id: frame.blur(self.id),
            offset: low16(frame.blur(u32::from(self.offset))),
            protocol: low8(frame.blur(u32::from(self.protocol))),
        }
    }
}

/// An offset of which the verifier knows no more than that it is at most `mask` (all ones).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "offsets are below 2^16")]
fn blur_offset(frame: &impl Frame, offset: usize, mask: usize) -> usize {
    frame.blur(offset as u32) as usize & mask
}

/// The low 16 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn low16(number: u32) -> u16 {
    number as u16
}

/// The low 8 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn low8(number: u32) -> u8 {
    number as u8
}

/// Truncated, or at odds with its own length.
pub const MALFORMED: Outcome = Outcome::new(Reason::Malformed);
