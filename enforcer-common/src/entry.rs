//! What the port tables hold: one word an entry, so that a decision for any source is a single read.

use crate::numbers::{SCTP, TCP, UDP};
use crate::verdict::Direction;

/// What an [`Entry`] says.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum EntryKind {
    /// No rule names this port.
    None = 0,
    /// Permitted; the number is the rule.
    Permit = 1,
    /// Refused by a deny rule; the number is the rule.
    Deny = 2,
    /// The port is internal to the host; the number is the rule.
    Internal = 3,
    /// A rule names the port, but not for this source; the number is the rule.
    Peer = 4,
    /// It depends on the remote address; the number is the row of the class matrix.
    Scoped = 5,
}

/// A decision in one word: kind, flags and a number of 16 bits.
///
/// Bits 0 to 15 are the number, bits 16 to 18 the kind, bit 19 [`Entry::AUDIT`], bit 20 [`Entry::ANSWER_ANY`], bit 21
/// [`Entry::ENDED`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Entry(pub u32);

impl Entry {
    /// No rule: the content of an array that was never written.
    pub const NONE: Self = Self(0);
    /// The rule that refuses is in audit by itself: count, do not drop.
    pub const AUDIT: u32 = 1 << 19;
    /// Outbound only: the server answers from another port, the flow is keyed without the remote port.
    pub const ANSWER_ANY: u32 = 1 << 20;
    /// Inbound only: the policy before this one let it pass, and this one does not. For a while after the switch, what the host sends
    /// there makes no flow.
    pub const ENDED: u32 = 1 << 21;

    /// An entry of this kind with this number and no flags.
    #[must_use]
    #[inline(always)]
    pub const fn new(kind: EntryKind, number: u16) -> Self {
        Self(((kind as u32) << 16) | number as u32)
    }

    /// The same entry with these flags set too.
    #[must_use]
    #[inline(always)]
    pub const fn with(self, flags: u32) -> Self {
        Self(self.0 | flags)
    }

    /// What it says. A kind that does not exist reads as [`EntryKind::None`], which permits nothing.
    #[must_use]
    #[inline(always)]
    pub const fn kind(self) -> EntryKind {
        match (self.0 >> 16) & 7 {
            1 => EntryKind::Permit,
            2 => EntryKind::Deny,
            3 => EntryKind::Internal,
            4 => EntryKind::Peer,
            5 => EntryKind::Scoped,
            _ => EntryKind::None,
        }
    }

    /// The rule, or for [`EntryKind::Scoped`] the row of the class matrix.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the number is the low half of the word")]
    pub const fn number(self) -> u16 {
        self.0 as u16
    }

    /// Whether all of these flags are set.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, flags: u32) -> bool {
        self.0 & flags == flags
    }
}

/// Where a port, protocol or ethertype stands in the service table of a direction.
///
/// The table is one flat array: TCP ports, UDP ports, SCTP ports, ethertypes, IP protocols, and one entry for ping.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServiceIndex(pub u32);

impl ServiceIndex {
    /// How many entries a service table has.
    pub const COUNT: u32 = 4 * 65536 + 256 + 1;
    /// Echo requests (ping), v4 and v6.
    pub const ECHO: Self = Self(4 * 65536 + 256);

    /// A TCP port, in host byte order: the destination port of the packet's own direction.
    #[must_use]
    #[inline(always)]
    pub const fn tcp(port: u16) -> Self {
        Self(port as u32)
    }

    /// A UDP port, likewise.
    #[must_use]
    #[inline(always)]
    pub const fn udp(port: u16) -> Self {
        Self(65536 + port as u32)
    }

    /// An SCTP port, likewise.
    #[must_use]
    #[inline(always)]
    pub const fn sctp(port: u16) -> Self {
        Self(2 * 65536 + port as u32)
    }

    /// An ethertype (IEEE 802.3), in host byte order.
    #[must_use]
    #[inline(always)]
    pub const fn ethertype(ethertype: u16) -> Self {
        Self(3 * 65536 + ethertype as u32)
    }

    /// An IP protocol number.
    #[must_use]
    #[inline(always)]
    pub const fn protocol(protocol: u8) -> Self {
        Self(4 * 65536 + protocol as u32)
    }

    /// The table of ports of an IP protocol that has ports: TCP, UDP, SCTP.
    #[must_use]
    #[inline(always)]
    pub const fn port(protocol: u8, port: u16) -> Option<Self> {
        match protocol {
            TCP => Some(Self::tcp(port)),
            UDP => Some(Self::udp(port)),
            SCTP => Some(Self::sctp(port)),
            _ => None,
        }
    }
}

/// What the prefix tables hold: the column of the class matrix of each direction.
///
/// Column 0 is "no bound prefix covers this address".
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct SourceClass(pub u32);

impl SourceClass {
    /// The columns for both directions.
    #[must_use]
    #[inline(always)]
    pub const fn new(inbound: u16, outbound: u16) -> Self {
        Self(inbound as u32 | ((outbound as u32) << 16))
    }

    /// The column of one direction.
    #[must_use]
    #[inline(always)]
    pub const fn column(self, direction: Direction) -> u32 {
        match direction {
            Direction::Inbound => self.0 & 0xffff,
            Direction::Outbound => self.0 >> 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_gives_back_what_it_was_made_of() {
        let entry = Entry::new(EntryKind::Peer, 65535).with(Entry::AUDIT);
        assert_eq!(entry.kind(), EntryKind::Peer);
        assert_eq!(entry.number(), 65535);
        assert!(entry.has(Entry::AUDIT));
        assert!(!entry.has(Entry::ANSWER_ANY));
        assert_eq!(Entry::default().kind(), EntryKind::None);
    }

    #[test]
    fn no_two_services_share_an_index() {
        assert!(ServiceIndex::tcp(65535) < ServiceIndex::udp(0));
        assert!(ServiceIndex::udp(65535) < ServiceIndex::sctp(0));
        assert!(ServiceIndex::sctp(65535) < ServiceIndex::ethertype(0));
        assert!(ServiceIndex::ethertype(65535) < ServiceIndex::protocol(0));
        assert!(ServiceIndex::protocol(255) < ServiceIndex::ECHO);
        assert_eq!(ServiceIndex::ECHO.0 + 1, ServiceIndex::COUNT);
    }

    #[test]
    fn a_source_class_keeps_its_directions_apart() {
        let class = SourceClass::new(3, 7);
        assert_eq!(class.column(Direction::Inbound), 3);
        assert_eq!(class.column(Direction::Outbound), 7);
    }
}
