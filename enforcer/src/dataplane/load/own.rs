//! The tables about the host itself: its addresses, listening ports and ephemeral ports.

use std::borrow::BorrowMut;
use std::collections::BTreeSet;
use std::net::IpAddr;

use aya::maps::{HashMap, MapData};
use enforcer_common::layout::{Direct, OWN_ENTRIES, OWN_FILTER_BYTES, PORT_BITMAP_WORDS, hardware, map, own_slot};
use enforcer_common::tables::port_bit;

use super::fill::write_words;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::load::object::Object;
use crate::dataplane::sys::batch::hash_entries;
use crate::dataplane::sys::words::{address6, mapped_words};
use crate::host::links::{Addresses, addresses, delivered_by_bridges, links, with_those_above};
use crate::host::sockets::Sockets;

/// A snapshot of the host's own addresses.
#[derive(Debug, Default)]
pub(in crate::dataplane) struct Own {
    /// Unicast and broadcast addresses.
    addresses: BTreeSet<IpAddr>,
    /// Addresses that may become the host's own.
    tentative: BTreeSet<IpAddr>,
    /// Hardware addresses for which its bridges deliver frames to it.
    hardware: BTreeSet<[u8; 6]>,
}

/// Differences between the table of own addresses and the addresses that the kernel has.
#[derive(Debug, Default)]
pub(in crate::dataplane) struct Differences {
    /// Own addresses that are missing in the table.
    pub(in crate::dataplane) missing: Vec<String>,
    /// Addresses in the table that are not the host's own.
    pub(in crate::dataplane) stale: Vec<String>,
    /// Link-local addresses that are missing in the table; a forwarded packet cannot have them.
    pub(in crate::dataplane) new_on_link: Vec<String>,
}

impl Own {
    /// Reads the addresses of this namespace. A link-local address (`fe80::`) is only unique on its link, so only those of protected
    /// interfaces, given by index, and of interfaces above them count as the host's own.
    ///
    /// # Errors
    /// When netlink cannot be asked.
    pub(in crate::dataplane) fn read(protected: &BTreeSet<u32>) -> Result<Self, DataplaneError> {
        let Addresses { own, broadcasts, interfaces, tentative } = addresses().with_context(context_own)?;
        let links = links().with_context(context_own)?;
        let here = with_those_above(&links, protected.clone());
        let is_here = |address: &IpAddr| interfaces.get(address).is_some_and(|indices| !indices.is_disjoint(&here));
        let own = own.into_iter().filter(|address| !is_of_link(*address) || is_here(address));
        let addresses = own.chain(broadcasts.into_iter().map(IpAddr::V4)).collect();
        Ok(Self { addresses, tentative, hardware: delivered_by_bridges(&links) })
    }

    /// Addresses and broadcast addresses.
    pub(in crate::dataplane) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied()
    }

    /// The keys of the table. Hardware addresses are left out if there is no room: what a bridge delivers is also found by its IP address.
    ///
    /// # Errors
    /// When there are more than the table has room for.
    pub(in crate::dataplane) fn keys(&self) -> Result<BTreeSet<[u32; 4]>, DataplaneError> {
        let mut keys: BTreeSet<[u32; 4]> = self.addresses.iter().copied().map(mapped_words).collect();
        if keys.len() > OWN_ENTRIES as usize {
            return Err(DataplaneError::NotAllowed(format!(
                "this host has {} addresses, those of broadcasts included, and the programs can tell no more than {OWN_ENTRIES} from those \
                 of others; remove some of them",
                keys.len()
            )));
        }
        let room = (OWN_ENTRIES as usize).saturating_sub(keys.len());
        keys.extend(self.hardware.iter().take(room).map(|mac| hardware(mac_word(*mac))));
        Ok(keys)
    }
}

/// Compares the table of own addresses with the kernel's; hardware addresses only if an interface is judged by them.
pub(in crate::dataplane) fn differences(
    data: &MapData,
    own: &Own,
    with_hardware: bool,
) -> Result<Differences, DataplaneError> {
    let context = || "cannot read the table of the host's own addresses".to_owned();
    let table: BTreeSet<[u32; 4]> =
        hash_entries::<[u32; 4], u32>(data).with_context(context)?.into_iter().map(|(key, _)| key).collect();
    let now = own.keys()?;
    let mut found = Differences::default();
    for key in now.difference(&table) {
        match named(*key) {
            Named::Hardware(mac) if with_hardware => found.missing.push(mac),
            Named::Hardware(_) => {}
            Named::Address(address) if is_of_link(address) => found.new_on_link.push(address.to_string()),
            Named::Address(address) => found.missing.push(address.to_string()),
        }
    }
    for key in table.difference(&now) {
        match named(*key) {
            Named::Hardware(mac) if with_hardware => found.stale.push(mac),
            // Duplicate address detection runs again after the link was down.
            Named::Address(address) if !own.tentative.contains(&address) => found.stale.push(address.to_string()),
            Named::Hardware(_) | Named::Address(_) => {}
        }
    }
    Ok(found)
}

/// A key of the table.
enum Named {
    Address(IpAddr),
    Hardware(String),
}

fn named(key: [u32; 4]) -> Named {
    let [_, _, low, high] = key;
    if key == hardware(u64::from(low) | u64::from(high) << 32) {
        let ([a, b, c, d], [e, f, ..]) = (low.to_ne_bytes(), high.to_ne_bytes());
        return Named::Hardware(format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
    }
    Named::Address(IpAddr::from(address6(key)).to_canonical())
}

const fn is_of_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The key of a hardware address, in the byte order in which the programs read it.
const fn mac_word([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_ne_bytes([a, b, c, d, e, f, 0, 0])
}

/// Writes the addresses of this namespace into the maps of an object; `protected` lists the interfaces that are or will be protected.
pub(in crate::dataplane) fn write_own_addresses(
    object: &mut Object,
    protected: &BTreeSet<u32>,
) -> Result<(), DataplaneError> {
    let missing = || DataplaneError::NotAllowed("the BPF object has no table of own addresses".to_owned());
    let now = Own::read(protected)?.keys()?;
    let table = object.ebpf.map_mut(map::OWN).ok_or_else(missing)?;
    write_own(HashMap::try_from(table).with_context(context_own)?, &now)?;
    write_own_filter(object.direct.map(Direct::OwnFilter), &now)
}

pub(in crate::dataplane) fn context_own() -> String {
    "cannot write the host's own addresses".to_owned()
}

/// Adds the current addresses to the table and removes the others.
pub(in crate::dataplane) fn write_own<T: BorrowMut<MapData>>(
    mut table: HashMap<T, [u32; 4], u32>,
    now: &BTreeSet<[u32; 4]>,
) -> Result<(), DataplaneError> {
    // Remove old addresses first, to make room.
    let gone: Vec<[u32; 4]> = table.keys().filter_map(Result::ok).filter(|key| !now.contains(key)).collect();
    for address in gone {
        table.remove(&address).with_context(context_own)?;
    }
    for address in now {
        table.insert(address, 1, 0).with_context(context_own)?;
    }
    Ok(())
}

pub(in crate::dataplane) fn write_own_filter(filter: &MapData, now: &BTreeSet<[u32; 4]>) -> Result<(), DataplaneError> {
    let mut words = vec![[0_u8; 8]; OWN_FILTER_BYTES as usize / 8];
    for address in now {
        words.as_flattened_mut()[own_slot(*address) as usize] = 1;
    }
    write_words(filter, &words.into_iter().map(u64::from_ne_bytes).collect::<Vec<_>>())
}

/// Writes the bitmap of ports that have a listener.
pub(in crate::dataplane) fn write_listeners(listeners: &MapData, sockets: &Sockets) -> Result<(), DataplaneError> {
    let mut words = vec![0; PORT_BITMAP_WORDS as usize];
    for bit in sockets.listeners().filter_map(|socket| port_bit(socket.protocol, socket.local.port())) {
        words[bit as usize / 64] |= 1 << (bit % 64);
    }
    write_words(listeners, &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_no_address() {
        let mac = [2, 0, 0, 0xab, 0, 0xfe];
        assert!(matches!(named(hardware(mac_word(mac))), Named::Hardware(text) if text == "02:00:00:ab:00:fe"));
        let address: IpAddr = "198.18.0.1".parse().unwrap();
        assert!(matches!(named(mapped_words(address)), Named::Address(found) if found == address));
    }

    #[test]
    fn an_address_survives_the_way_through_a_map() {
        for text in ["10.1.2.3", "2001:db8::5", "255.255.255.255"] {
            let before: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(address6(mapped_words(before))).to_canonical(), before);
        }
    }
}
