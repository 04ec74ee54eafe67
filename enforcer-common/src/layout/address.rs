//! Addresses: which are this host's own, and the ranges of remote ones.

/// Entries of the table of own addresses: more than a host has, so that adding never fails half-way. They take memory only when
/// they are there.
pub const OWN_ENTRIES: u32 = 16_384;

/// Bytes of the filter over the host's own addresses, each 0 or 1: a bit of a word takes twice as long to find.
pub const OWN_FILTER_BYTES: u32 = 4096;

/// The byte of the own-address filter that stands for an address (as words in network order; IPv4 mapped into IPv6).
#[must_use]
#[inline(always)]
pub const fn own_slot(address: [u32; 4]) -> u32 {
    // Anybody can find an address that shares a byte with one of ours; it costs a look-up in the exact table, no more.
    (address[0] ^ address[1] ^ address[2] ^ address[3]).wrapping_mul(0x9e37_79b1)
        >> (32 - OWN_FILTER_BYTES.trailing_zeros())
}

/// An IPv4 address (as it stands in the packet) mapped into IPv6, `::ffff:a.b.c.d`.
#[must_use]
#[inline(always)]
pub const fn mapped(address: u32) -> [u32; 4] {
    [0, 0, 0xffff_u32.to_be(), address]
}

/// A hardware address, the six bytes in the low 48 bits as they stand in the frame, as it stands among the host's own addresses: an
/// IPv6 address that nobody has.
#[must_use]
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "each half goes into a word of its own")]
pub const fn hardware(address: u64) -> [u32; 4] {
    [u32::MAX, u32::MAX - 1, address as u32, (address >> 32) as u32]
}

/// What the table of claims says of an address that the guest may claim.
pub mod claim {
    /// It is the guest's own.
    pub const OWN: u32 = 1;
    /// Several hosts may claim it.
    pub const SHARED: u32 = 2;
    /// It is within a prefix of the guest, and its own unless somebody else is known to have it.
    pub const WITHIN: u32 = 3;
}

/// Who is known to have an address: the slot of a guest, or one of these.
pub mod holder {
    /// This machine.
    pub const MACHINE: u32 = 1 << 16;
    /// A router of this machine.
    pub const ROUTER: u32 = 2 << 16;
    /// Several guests.
    pub const SHARED: u32 = 3 << 16;
}

/// Entries of the table of known addresses. They take memory only when they are there.
pub const HOLDER_ENTRIES: u32 = 65_536;

/// A range of remote IPv4 addresses up to the next one, or to the last address of all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Range4 {
    /// The first address, in host byte order.
    pub first: u32,
    /// A [`SourceClass`](crate::SourceClass).
    pub class: u32,
}
