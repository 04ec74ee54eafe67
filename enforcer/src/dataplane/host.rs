//! What the programs know of the host itself: its addresses, its listeners, its ephemeral ports.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use aya::Ebpf;
use aya::maps::HashMap;
use enforcer_common::layout::{OWN_FILTER_WORDS, map, mapped, own_bit};
use enforcer_common::tables::port_bit;
use procfs::net::{TcpState, UdpState};

use super::error::{DataplaneError, Doing as _};
use super::fill::{array, write_words};
use crate::links::{Addresses, addresses};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Entries of the table of own addresses: more than a host has, so that adding never fails half-way.
pub(super) const OWN_ENTRIES: u32 = 4096;

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
        IpAddr::V4(address) => mapped(u32::from_ne_bytes(address.octets())),
        IpAddr::V6(address) => words(address),
    }
}

/// Writes the addresses of this namespace, and takes out those that are gone.
pub(super) fn write_own_addresses(object: &mut Ebpf) -> Result<(), DataplaneError> {
    let doing = || "cannot write the host's own addresses".to_owned();
    let Addresses { own, broadcasts } = addresses().doing(doing)?;
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
    write_words(array(object, map::OWN_FILTER)?, |words| words.copy_from_slice(&filter))
}

/// Writes the ports that have a listener.
pub(super) fn write_listeners(object: &Ebpf) -> Result<(), DataplaneError> {
    let listeners = listeners()?;
    write_words(array(object, map::LISTENERS)?, |words| {
        words.fill(0);
        for (protocol, port) in listeners {
            if let Some(bit) = port_bit(protocol, port) {
                words[bit as usize / 64] |= 1 << (bit % 64);
            }
        }
    })
}

/// First and last port of `net.ipv4.ip_local_port_range`, which counts for IPv6 as well.
pub(super) fn ephemeral_range() -> (u32, u32) {
    // The kernel's own default, where /proc does not tell.
    const DEFAULT: (u32, u32) = (32768, 60999);
    let Ok(text) = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") else { return DEFAULT };
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).unwrap_or(DEFAULT)
}

/// Local ports that something listens on: TCP in state LISTEN, UDP that is not connected.
fn listeners() -> Result<Vec<(u8, u16)>, DataplaneError> {
    let doing = |error: procfs::ProcError| DataplaneError::system("cannot read the sockets from /proc/net", error);
    let mut found = Vec::new();
    let tcp = [procfs::net::tcp(), procfs::net::tcp6()];
    for entries in tcp {
        let entries = missing_is_empty(entries).map_err(doing)?;
        found.extend(
            entries
                .iter()
                .filter(|entry| entry.state == TcpState::Listen)
                .map(|entry| (TCP, entry.local_address.port())),
        );
    }
    let udp = [procfs::net::udp(), procfs::net::udp6()];
    for entries in udp {
        let entries = missing_is_empty(entries).map_err(doing)?;
        found.extend(
            entries
                .iter()
                .filter(|entry| entry.state != UdpState::Established)
                .map(|entry| (UDP, entry.local_address.port())),
        );
    }
    Ok(found)
}

/// A kernel without IPv6 has no such file.
fn missing_is_empty<T>(entries: Result<Vec<T>, procfs::ProcError>) -> Result<Vec<T>, procfs::ProcError> {
    match entries {
        Err(procfs::ProcError::NotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}
