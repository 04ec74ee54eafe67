//! What an IP header says, whichever of the two it is.

use core::hint::cold_path;

use super::address::Address;
use crate::Reason;
use crate::frame::Frame;
use crate::outcome::Outcome;

/// What the IP header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network<A> {
    /// Source address.
    pub source: A,
    /// Where the IP header begins: the destination is read from there when somebody asks, which for most packets nobody does.
    pub header: usize,
    /// The protocol above, once they are walked behind all extension headers. Of a later fragment: what its fragment header says.
    pub protocol: u8,
    /// Where the protocol above begins.
    pub at: usize,
    /// Where the packet ends, by its own length.
    pub end: usize,
    /// Whether it is a fragment.
    pub fragment: Fragment,
}

impl<A: Address> Network<A> {
    /// Destination address.
    #[inline(always)]
    pub fn destination(&self, frame: &impl Frame) -> A {
        A::destination(frame, self.header)
    }
}

/// Whether a packet is whole. The fields of the header as they are: nothing branches on them before it must, so the paths
/// through the code behind do not multiply.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fragment {
    /// Identification as it stands in the packet.
    pub id: u32,
    /// Offset in units of eight bytes.
    pub offset: u16,
    /// Not 0: more fragments follow.
    pub more: u16,
    /// Protocol that the fragments are tracked by.
    pub protocol: u8,
}

impl Fragment {
    /// Whether nothing is missing. An atomic fragment (RFC 6946) is whole.
    #[must_use]
    #[inline(always)]
    pub const fn is_whole(self) -> bool {
        self.offset | self.more == 0
    }

    /// Whether it is the first part of a datagram.
    #[must_use]
    #[inline(always)]
    pub const fn is_first(self) -> bool {
        self.offset == 0 && self.more != 0
    }

    /// Whether it is another part.
    #[must_use]
    #[inline(always)]
    pub const fn is_later(self) -> bool {
        self.offset != 0
    }

    /// The outcome when a header does not fit: in a first fragment it is a trick (RFC 1858, RFC 7112), elsewhere an error.
    #[must_use]
    #[inline(always)]
    pub const fn does_not_fit(self) -> Outcome {
        cold_path();
        if self.is_first() { Outcome::new(Reason::TinyFragment) } else { MALFORMED }
    }

    /// See [`Frame::blur`].
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "each number goes back to where it came from")]
    pub(super) fn blurred(self, frame: &impl Frame) -> Self {
        Self {
            id: frame.blur(self.id),
            offset: frame.blur(u32::from(self.offset)) as u16,
            more: frame.blur(u32::from(self.more)) as u16,
            protocol: frame.blur(u32::from(self.protocol)) as u8,
        }
    }
}

/// An offset of which the verifier knows no more than that it is at most `mask` (all ones).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "offsets are below 2^16")]
pub(super) fn blur_offset(frame: &impl Frame, offset: usize, mask: usize) -> usize {
    frame.blur(offset as u32) as usize & mask
}

/// Truncated, or at odds with its own length.
pub const MALFORMED: Outcome = Outcome::new(Reason::Malformed);
