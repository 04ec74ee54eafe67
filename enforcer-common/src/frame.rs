//! How bytes of a packet are reached. The decision code asks a [`Frame`] for headers; the kernel answers with checked packet
//! pointers, the host with slices. Offsets within a header are constants, checked when the code is compiled.

/// A frame as a hook sees it, from the destination hardware address on.
pub trait Frame: Sized {
    /// A header of `N` bytes that is inside the frame.
    type Header<const N: usize>: Header<N>;

    /// The `N` bytes at `at`, if the frame holds them.
    fn header<const N: usize>(&self, at: usize) -> Option<Self::Header<N>>;

    /// Length of the frame in bytes, as far as it is known without asking: of a frame of several buffers, the first one's until
    /// [`Self::whole_length`] was asked for.
    fn length(&self) -> usize;

    /// Length of the whole frame in bytes, all buffers included.
    fn whole_length(&self) -> usize {
        self.length()
    }

    /// Whether the outermost VLAN tag has been taken out of the bytes (tc ingress, hardware acceleration).
    fn tag_taken_out(&self) -> bool;

    /// Whether this is a super-packet of several segments (GRO, TSO), whose length fields may be 0 (BIG TCP).
    fn is_super_packet(&self) -> bool;

    /// Whether the packet came in through another interface and is being forwarded.
    fn is_forwarded(&self) -> bool;

    /// Whether a packet that is being forwarded was not addressed to this machine's hardware: a bridge passes it on. What is routed,
    /// and so what the kernel translates, was.
    fn is_bridged(&self) -> bool;

    /// Whether this machine sent the packet to itself by multicast or broadcast: it comes back without a link header.
    fn is_looped(&self) -> bool;

    /// Whom this machine got the packet from inside IPsec, if it decrypted it here. That is a call into the kernel: to be asked only
    /// before a drop, and only where the features say that the kernel knows.
    fn decrypted_from(&self) -> Option<Outer>;

    /// The same frame, of which the verifier knows nothing yet. Where many paths meet it would otherwise go on with each of them,
    /// because each has proved another length of the packet.
    #[must_use]
    fn afresh(&self) -> Self;

    /// Keeps a value in memory. Otherwise the compiler takes it apart into variables, and every early way out of the judgement
    /// has to set each of them (a third of the instructions of the fast path).
    #[inline(always)]
    fn keep_in_memory<V>(&self, _: &mut V) {}

    /// The same number, of which the verifier no longer knows what it is. Where several paths meet that differ only in
    /// constants, it then follows one of them instead of each (without this it gives up after a million instructions).
    #[must_use]
    #[inline(always)]
    fn blur(&self, number: u32) -> u32 {
        number
    }
}

/// The other end of an IPsec tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outer {
    /// 4 or 6.
    pub family: u8,
    /// Its address; of IPv4 the last word alone.
    pub remote: [u32; 4],
}

/// `N` bytes of a frame.
pub trait Header<const N: usize> {
    /// The byte at `AT`.
    fn u8<const AT: usize>(&self) -> u8;

    /// The big-endian 16-bit number at `AT`.
    fn be16<const AT: usize>(&self) -> u16;

    /// The four bytes at `AT` as they stand in the packet (an address word: compare it, do not calculate with it).
    fn word<const AT: usize>(&self) -> u32;
}

/// A frame in memory, with what a hook knows beside the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// See [`Frame::tag_taken_out`].
    pub tag_taken_out: bool,
    /// See [`Frame::is_super_packet`].
    pub is_super_packet: bool,
    /// See [`Frame::is_forwarded`].
    pub is_forwarded: bool,
    /// See [`Frame::is_bridged`].
    pub is_bridged: bool,
    /// See [`Frame::is_looped`].
    pub is_looped: bool,
    /// See [`Frame::decrypted_from`].
    pub decrypted_from: Option<Outer>,
}

impl<'a> Bytes<'a> {
    /// A plain frame, as it is on the wire.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            tag_taken_out: false,
            is_super_packet: false,
            is_forwarded: false,
            is_bridged: false,
            is_looped: false,
            decrypted_from: None,
        }
    }
}

impl<'a> Frame for Bytes<'a> {
    type Header<const N: usize> = &'a [u8; N];

    fn header<const N: usize>(&self, at: usize) -> Option<&'a [u8; N]> {
        self.bytes.get(at..)?.first_chunk()
    }

    fn length(&self) -> usize {
        self.bytes.len()
    }

    fn tag_taken_out(&self) -> bool {
        self.tag_taken_out
    }

    fn is_super_packet(&self) -> bool {
        self.is_super_packet
    }

    fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }

    fn is_bridged(&self) -> bool {
        self.is_bridged
    }

    fn is_looped(&self) -> bool {
        self.is_looped
    }

    fn decrypted_from(&self) -> Option<Outer> {
        self.decrypted_from
    }

    fn afresh(&self) -> Self {
        *self
    }
}

impl<const N: usize> Header<N> for &[u8; N] {
    fn u8<const AT: usize>(&self) -> u8 {
        const { assert!(AT < N) };
        self[AT]
    }

    fn be16<const AT: usize>(&self) -> u16 {
        const { assert!(AT + 2 <= N) };
        u16::from_be_bytes([self[AT], self[AT + 1]])
    }

    fn word<const AT: usize>(&self) -> u32 {
        const { assert!(AT + 4 <= N) };
        u32::from_ne_bytes([self[AT], self[AT + 1], self[AT + 2], self[AT + 3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_sticks_out_is_not_there() {
        let frame = Bytes::new(&[1, 2, 3, 4]);
        assert!(frame.header::<4>(0).is_some());
        assert!(frame.header::<4>(1).is_none());
        assert!(frame.header::<1>(usize::MAX).is_none());
        assert_eq!(frame.header::<2>(2).map(|h| h.be16::<0>()), Some(0x0304));
    }
}
