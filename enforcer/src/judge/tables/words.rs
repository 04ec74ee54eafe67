//! Addresses as the decision code has them, and what prefixes say of them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// What the longest prefix says that covers an address; 0: none does.
pub(super) fn longest<'t>(table: impl Iterator<Item = (&'t IpNet, &'t u32)>, address: [u32; 4]) -> u32 {
    let address = canonical(address);
    let covers = table.filter(|(net, _)| net.contains(&address));
    covers.max_by_key(|(net, _)| net.prefix_len()).map_or(0, |(_, said)| *said)
}

/// The host's own view of an address: IPv4 in IPv6 is IPv4.
pub(super) fn canonical(address: [u32; 4]) -> IpAddr {
    IpAddr::V6(address6(address)).to_canonical()
}

/// A hardware address as the decision code has it: the six bytes in the low 48 bits, as they stand in the frame.
pub(super) fn mac_word(mac: &[u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = *mac;
    u64::from(u32::from_ne_bytes([a, b, c, d])) | u64::from(u16::from_ne_bytes([e, f])) << 32
}

pub(super) fn address6(words: [u32; 4]) -> Ipv6Addr {
    let mut octets = [0; 16];
    for (bytes, word) in octets.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from_octets(octets)
}
