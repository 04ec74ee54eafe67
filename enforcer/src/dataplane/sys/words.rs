//! Addresses as the words that maps hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::layout::mapped;

/// An IPv4 address as it stands in a packet.
pub(in crate::dataplane) fn address_word(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// An IPv6 address as words as they stand in a packet.
pub(in crate::dataplane) fn words(address: Ipv6Addr) -> [u32; 4] {
    let octets = address.octets();
    std::array::from_fn(|i| {
        u32::from_ne_bytes([octets[4 * i], octets[4 * i + 1], octets[4 * i + 2], octets[4 * i + 3]])
    })
}

/// An address as it stands in a packet, IPv4 mapped into IPv6.
pub(in crate::dataplane) fn mapped_words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => mapped(address_word(address)),
        IpAddr::V6(address) => words(address),
    }
}

/// An address out of a map, back from [`words`].
pub(in crate::dataplane) fn address6(words: [u32; 4]) -> Ipv6Addr {
    let mut octets = [0; 16];
    for (chunk, word) in octets.chunks_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(octets)
}
