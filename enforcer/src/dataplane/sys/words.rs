//! Conversion of addresses to and from the words that maps hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::layout::mapped;

/// An IPv4 address in network byte order.
pub(in crate::dataplane) fn address_word(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// The four words of an IPv6 address, each in network byte order.
pub(in crate::dataplane) fn words(address: Ipv6Addr) -> [u32; 4] {
    let octets = address.octets();
    std::array::from_fn(|i| {
        u32::from_ne_bytes([octets[4 * i], octets[4 * i + 1], octets[4 * i + 2], octets[4 * i + 3]])
    })
}

/// The four words of an address in network byte order; IPv4 is mapped into IPv6.
pub(in crate::dataplane) fn mapped_words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => mapped(address_word(address)),
        IpAddr::V6(address) => words(address),
    }
}

/// The address of the words of a map: the inverse of [`words`].
pub(in crate::dataplane) fn address6(words: [u32; 4]) -> Ipv6Addr {
    let mut octets = [0; 16];
    for (chunk, word) in octets.chunks_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(octets)
}
