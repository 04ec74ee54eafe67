//! What the programs know of the host itself: its addresses, its listeners, its ephemeral ports.

use std::borrow::BorrowMut;
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::{HashMap, Map, MapData};
use enforcer_common::layout::{Direct, OWN_FILTER_BYTES, PORT_BITMAP_WORDS, map, mapped, own_slot};
use enforcer_common::tables::port_bit;

use super::fill::write_words;
use crate::dataplane::error::{DataplaneError, Doing as _};
use crate::dataplane::load::object::Object;
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::HostPins;
use crate::host::links::{Addresses, addresses};
use crate::host::netns;
use crate::host::sockets::Sockets;
use crate::protect::live::LiveError;

/// Entries of the table of own addresses: more than a host has, so that adding never fails half-way. They take memory only when
/// they are there.
pub(in crate::dataplane) const OWN_ENTRIES: u32 = 16_384;

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

/// Writes the addresses of this namespace into the maps of an object.
pub(in crate::dataplane) fn write_own_addresses(object: &mut Object) -> Result<(), DataplaneError> {
    let missing = || DataplaneError::NotAllowed("the BPF object has no table of own addresses".to_owned());
    let now = own_addresses()?;
    let table = object.ebpf.map_mut(map::OWN).ok_or_else(missing)?;
    write_own(HashMap::try_from(table).doing(doing_own)?, &now)?;
    write_own_filter(object.direct.map(Direct::OwnFilter), &now)
}

/// Brings the tables of own addresses that the programs of this network namespace judge by up to date. Where nothing is
/// protected, there is nothing to do.
///
/// # Errors
/// When the addresses cannot be read, or a map cannot be written.
pub fn refresh_addresses() -> Result<(), DataplaneError> {
    // An older look at the addresses must not come after a newer one.
    let _lock = lock()?;
    let host = HostPins::of(netns::own()?);
    if !host.map(map::OWN).exists() {
        return Ok(());
    }
    let own = MapData::from_pin(host.map(map::OWN)).doing(doing_own)?;
    let filter = MapData::from_pin(host.map(map::OWN_FILTER)).doing(doing_own)?;
    let now = own_addresses()?;
    write_own(Map::from_map_data(own).and_then(TryInto::try_into).doing(doing_own)?, &now)?;
    write_own_filter(&filter, &now)
}

/// Likewise the table of ports that have a listener.
///
/// # Errors
/// When the sockets cannot be read, or the map cannot be written.
pub fn refresh_listeners() -> Result<(), DataplaneError> {
    let _lock = lock()?;
    let path = HostPins::of(netns::own()?).map(map::LISTENERS);
    if !path.exists() {
        return Ok(());
    }
    let doing = || "cannot bring the table of listeners up to date".to_owned();
    let sockets = Sockets::read().map_err(LiveError::from).doing(doing)?;
    write_listeners(&MapData::from_pin(path).doing(doing)?, &sockets)
}

fn doing_own() -> String {
    "cannot write the host's own addresses".to_owned()
}

/// Unicast and broadcast addresses of this namespace.
fn own_addresses() -> Result<BTreeSet<[u32; 4]>, DataplaneError> {
    let Addresses { own, broadcasts, .. } = addresses().doing(doing_own)?;
    let all: BTreeSet<_> = own.into_iter().chain(broadcasts.into_iter().map(IpAddr::V4)).map(mapped_words).collect();
    if all.len() > OWN_ENTRIES as usize {
        return Err(DataplaneError::NotAllowed(format!(
            "this host has {} addresses, those of broadcasts included, and the programs can tell no more than {OWN_ENTRIES} from those              of others; remove some of them",
            all.len()
        )));
    }
    Ok(all)
}

/// Writes the addresses that are there, and takes out those that are gone.
fn write_own<T: BorrowMut<MapData>>(
    mut table: HashMap<T, [u32; 4], u32>,
    now: &BTreeSet<[u32; 4]>,
) -> Result<(), DataplaneError> {
    // Those that are gone go first: they make room.
    let gone: Vec<[u32; 4]> = table.keys().filter_map(Result::ok).filter(|key| !now.contains(key)).collect();
    for address in gone {
        table.remove(&address).doing(doing_own)?;
    }
    for address in now {
        table.insert(address, 1, 0).doing(doing_own)?;
    }
    Ok(())
}

fn write_own_filter(filter: &MapData, now: &BTreeSet<[u32; 4]>) -> Result<(), DataplaneError> {
    let mut words = vec![[0_u8; 8]; OWN_FILTER_BYTES as usize / 8];
    for address in now {
        words.as_flattened_mut()[own_slot(*address) as usize] = 1;
    }
    write_words(filter, &words.into_iter().map(u64::from_ne_bytes).collect::<Vec<_>>())
}

/// Writes the ports that have a listener.
pub(in crate::dataplane) fn write_listeners(listeners: &MapData, sockets: &Sockets) -> Result<(), DataplaneError> {
    let mut words = vec![0; PORT_BITMAP_WORDS as usize];
    for bit in sockets.listeners().filter_map(|socket| port_bit(socket.protocol, socket.local.port())) {
        words[bit as usize / 64] |= 1 << (bit % 64);
    }
    write_words(listeners, &words)
}

/// First and last port of `net.ipv4.ip_local_port_range`, which counts for IPv6 as well.
pub(in crate::dataplane) fn ephemeral_range() -> (u32, u32) {
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
