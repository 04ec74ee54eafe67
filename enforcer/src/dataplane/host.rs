//! What the programs know of the host itself: its addresses, its listeners, its ephemeral ports.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use enforcer_common::layout::{OWN_FILTER_WORDS, PORT_BITMAP_WORDS, map, mapped, own_bit};
use enforcer_common::tables::port_bit;

use super::error::{DataplaneError, Doing as _};
use super::fill::{array, write_words};
use crate::links::{Addresses, addresses};
use crate::sockets::Sockets;

/// Entries of the table of own addresses: more than a host has, so that adding never fails half-way.
pub(super) const OWN_ENTRIES: u32 = 4096;

/// An IPv4 address as it stands in a packet.
pub(super) fn address_word(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// An IPv6 address as words as they stand in a packet.
pub(super) fn words(address: Ipv6Addr) -> [u32; 4] {
    let octets = address.octets();
    std::array::from_fn(|i| {
        u32::from_ne_bytes([octets[4 * i], octets[4 * i + 1], octets[4 * i + 2], octets[4 * i + 3]])
    })
}

/// An address as it stands in a packet, IPv4 mapped into IPv6.
pub(super) fn mapped_words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => mapped(address_word(address)),
        IpAddr::V6(address) => words(address),
    }
}

/// An address out of a map, back from [`words`].
pub(super) fn address6(words: [u32; 4]) -> Ipv6Addr {
    let mut octets = [0; 16];
    for (chunk, word) in octets.chunks_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(octets)
}

/// Writes the addresses of this namespace, and takes out those that are gone.
pub(super) fn write_own_addresses(object: &mut Ebpf) -> Result<(), DataplaneError> {
    let doing = || "cannot write the host's own addresses".to_owned();
    let Addresses { own, broadcasts, .. } = addresses().doing(doing)?;
    let now: BTreeSet<[u32; 4]> =
        own.into_iter().chain(broadcasts.into_iter().map(IpAddr::V4)).map(mapped_words).collect();
    let missing = || DataplaneError::NotAllowed("the BPF object has no table of own addresses".to_owned());
    {
        let mut table: HashMap<_, [u32; 4], u32> =
            object.map_mut(map::OWN).ok_or_else(missing)?.try_into().doing(doing)?;
        for address in &now {
            table.insert(address, 1, 0).doing(doing)?;
        }
        let gone: Vec<[u32; 4]> = table.keys().filter_map(Result::ok).filter(|key| !now.contains(key)).collect();
        for address in gone {
            table.remove(&address).doing(doing)?;
        }
    }
    let mut filter = vec![0_u64; OWN_FILTER_WORDS as usize];
    for address in &now {
        let bit = own_bit(*address);
        filter[bit as usize / 64] |= 1 << (bit % 64);
    }
    write_words(array(object, map::OWN_FILTER)?, &filter)
}

/// Writes the ports that have a listener.
pub(super) fn write_listeners(listeners: &MapData, sockets: &Sockets) -> Result<(), DataplaneError> {
    let mut words = vec![0; PORT_BITMAP_WORDS as usize];
    for bit in sockets.listeners().filter_map(|socket| port_bit(socket.protocol, socket.local.port())) {
        words[bit as usize / 64] |= 1 << (bit % 64);
    }
    write_words(listeners, &words)
}

/// First and last port of `net.ipv4.ip_local_port_range`, which counts for IPv6 as well.
pub(super) fn ephemeral_range() -> (u32, u32) {
    // The kernel's own default, where /proc does not tell.
    const DEFAULT: (u32, u32) = (32768, 60999);
    let Ok(text) = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") else { return DEFAULT };
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).unwrap_or(DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_way_through_a_map() {
        for text in ["10.1.2.3", "2001:db8::5", "255.255.255.255"] {
            let before: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(address6(mapped_words(before))).to_canonical(), before);
        }
    }
}
