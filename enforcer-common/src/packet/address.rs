//! IPv4 and IPv6 addresses, as words in network order, behind one trait.

use crate::Direction;
use crate::frame::{Frame, Header};
use crate::layout::{Config, FragmentKey4, FragmentKey6, FragmentState, load, mapped};
use crate::tables::Tables;

/// An address as it stands in the packet.
pub trait Address: Copy + Eq {
    /// 4 or 6.
    const FAMILY: u8;

    /// The destination address of a header that has been read before.
    fn destination<F: Frame>(frame: &F, header: usize) -> Self;
    /// The time to live (hop limit) of it.
    fn hop_limit<F: Frame>(frame: &F, header: usize) -> u8;
    /// Mapped into IPv6.
    fn mapped(self) -> [u32; 4];
    /// `0.0.0.0`, `::`.
    fn is_unspecified(self) -> bool;
    /// `fe80::/10`; no address of IPv4.
    fn is_link_local(self) -> bool;
    /// Whether it is the address of the guest that the programs know by heart.
    fn is_known_by_heart(self, config: &Config) -> bool;
    /// `127.0.0.0/8`, `::1`.
    fn is_loopback(self) -> bool;
    /// `224.0.0.0/4`, `ff00::/8`; and the limited broadcast `255.255.255.255`.
    fn is_multicast(self) -> bool;
    /// Whether it may be one of those two: one comparison, which most addresses do not pass.
    fn may_be_special(self) -> bool;
    /// The column of the class matrix.
    fn column<T: Tables>(self, tables: &T, direction: Direction) -> u32;
    /// What became of the first fragment.
    fn fragment<T: Tables>(tables: &T, source: Self, destination: Self, id: u32, protocol: u8)
    -> Option<FragmentState>;
    /// Remembers what became of a first fragment.
    fn remember_fragment<T: Tables>(
        tables: &T,
        source: Self,
        destination: Self,
        id: u32,
        protocol: u8,
        state: FragmentState,
    );
}

impl Address for u32 {
    const FAMILY: u8 = 4;

    #[inline(always)]
    fn destination<F: Frame>(frame: &F, header: usize) -> u32 {
        frame.header::<20>(header).map_or(0, |header| header.word::<16>())
    }

    #[inline(always)]
    fn hop_limit<F: Frame>(frame: &F, header: usize) -> u8 {
        frame.header::<20>(header).map_or(0, |header| header.u8::<8>())
    }

    #[inline(always)]
    fn mapped(self) -> [u32; 4] {
        mapped(self)
    }

    #[inline(always)]
    fn is_unspecified(self) -> bool {
        self == 0
    }

    #[inline(always)]
    fn is_link_local(self) -> bool {
        false
    }

    #[inline(always)]
    fn is_known_by_heart(self, config: &Config) -> bool {
        self == load(&config.address4)
    }

    #[inline(always)]
    fn is_loopback(self) -> bool {
        self.to_ne_bytes()[0] == 127
    }

    #[inline(always)]
    fn is_multicast(self) -> bool {
        self.to_ne_bytes()[0] & 0xf0 == 0xe0 || self == u32::MAX
    }

    #[inline(always)]
    fn may_be_special(self) -> bool {
        // 96.0.0.0/3 and 224.0.0.0/3.
        self.to_ne_bytes()[0] & 0x60 == 0x60
    }

    #[inline(always)]
    fn column<T: Tables>(self, tables: &T, direction: Direction) -> u32 {
        tables.column4(direction, self)
    }

    #[inline(always)]
    fn fragment<T: Tables>(tables: &T, source: u32, destination: u32, id: u32, protocol: u8) -> Option<FragmentState> {
        tables.fragment4(&FragmentKey4 { source, destination, id, protocol: u32::from(protocol) })
    }

    #[inline(always)]
    fn remember_fragment<T: Tables>(
        tables: &T,
        source: u32,
        destination: u32,
        id: u32,
        protocol: u8,
        state: FragmentState,
    ) {
        tables.remember_fragment4(&FragmentKey4 { source, destination, id, protocol: u32::from(protocol) }, &state);
    }
}

impl Address for [u32; 4] {
    const FAMILY: u8 = 6;

    #[inline(always)]
    fn destination<F: Frame>(frame: &F, header: usize) -> [u32; 4] {
        frame.header::<40>(header).map_or([0; 4], |header| {
            [header.word::<24>(), header.word::<28>(), header.word::<32>(), header.word::<36>()]
        })
    }

    #[inline(always)]
    fn hop_limit<F: Frame>(frame: &F, header: usize) -> u8 {
        frame.header::<40>(header).map_or(0, |header| header.u8::<7>())
    }

    #[inline(always)]
    fn mapped(self) -> [u32; 4] {
        self
    }

    #[inline(always)]
    fn is_unspecified(self) -> bool {
        self[0] | self[1] | self[2] | self[3] == 0
    }

    #[inline(always)]
    fn is_link_local(self) -> bool {
        let [first, second, ..] = self[0].to_ne_bytes();
        first == 0xfe && second & 0xc0 == 0x80
    }

    #[inline(always)]
    fn is_known_by_heart(self, config: &Config) -> bool {
        // Word by word: an array would be copied byte by byte.
        let differs = |word: usize| self[word] ^ load(&config.address6[word]);
        differs(0) | differs(1) | differs(2) | differs(3) == 0
    }

    #[inline(always)]
    fn is_loopback(self) -> bool {
        self[0] | self[1] | self[2] == 0 && self[3] == 1_u32.to_be()
    }

    #[inline(always)]
    fn is_multicast(self) -> bool {
        self[0].to_ne_bytes()[0] == 0xff
    }

    #[inline(always)]
    fn may_be_special(self) -> bool {
        // ::/8 and ff00::/8.
        self[0].to_ne_bytes()[0].wrapping_add(1) < 2
    }

    #[inline(always)]
    fn column<T: Tables>(self, tables: &T, direction: Direction) -> u32 {
        tables.column6(direction, self)
    }

    #[inline(always)]
    fn fragment<T: Tables>(
        tables: &T,
        source: Self,
        destination: Self,
        id: u32,
        protocol: u8,
    ) -> Option<FragmentState> {
        tables.fragment6(&FragmentKey6 { source, destination, id, protocol: u32::from(protocol) })
    }

    #[inline(always)]
    fn remember_fragment<T: Tables>(
        tables: &T,
        source: Self,
        destination: Self,
        id: u32,
        protocol: u8,
        state: FragmentState,
    ) {
        tables.remember_fragment6(&FragmentKey6 { source, destination, id, protocol: u32::from(protocol) }, &state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loopback_and_multicast_address_may_be_special() {
        for first in 0..=u8::MAX {
            for rest in [0, 1, 0xff] {
                let v4 = u32::from_ne_bytes([first, rest, rest, rest]);
                assert!(v4.may_be_special() || !(v4.is_loopback() || v4.is_multicast()), "{first}");
                let v6 = |last: u8| [u32::from_ne_bytes([first, rest, rest, rest]), 0, 0, u32::from(last).to_be()];
                for v6 in [v6(0), v6(1)] {
                    assert!(v6.may_be_special() || !(v6.is_loopback() || v6.is_multicast()), "{first}");
                }
            }
        }
    }
}
