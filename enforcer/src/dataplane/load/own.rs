//! What the programs know of the host itself: its addresses, its listeners, its ephemeral ports.

use std::borrow::BorrowMut;
use std::collections::BTreeSet;
use std::net::IpAddr;

use aya::maps::{HashMap, MapData};
use enforcer_common::layout::{Direct, OWN_FILTER_BYTES, PORT_BITMAP_WORDS, map, own_slot};
use enforcer_common::tables::port_bit;

use super::fill::write_words;
use super::object::OWN_ENTRIES;
use crate::dataplane::error::{DataplaneError, Doing as _};
use crate::dataplane::load::object::Object;
use crate::dataplane::sys::words::mapped_words;
use crate::host::links::{Addresses, addresses};
use crate::host::sockets::Sockets;

/// Writes the addresses of this namespace into the maps of an object.
pub(in crate::dataplane) fn write_own_addresses(object: &mut Object) -> Result<(), DataplaneError> {
    let missing = || DataplaneError::NotAllowed("the BPF object has no table of own addresses".to_owned());
    let now = own_addresses()?;
    let table = object.ebpf.map_mut(map::OWN).ok_or_else(missing)?;
    write_own(HashMap::try_from(table).doing(doing_own)?, &now)?;
    write_own_filter(object.direct.map(Direct::OwnFilter), &now)
}

pub(in crate::dataplane) fn doing_own() -> String {
    "cannot write the host's own addresses".to_owned()
}

/// Unicast and broadcast addresses of this namespace.
pub(in crate::dataplane) fn own_addresses() -> Result<BTreeSet<[u32; 4]>, DataplaneError> {
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
pub(in crate::dataplane) fn write_own<T: BorrowMut<MapData>>(
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

pub(in crate::dataplane) fn write_own_filter(filter: &MapData, now: &BTreeSet<[u32; 4]>) -> Result<(), DataplaneError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::sys::words::address6;

    #[test]
    fn an_address_survives_the_way_through_a_map() {
        for text in ["10.1.2.3", "2001:db8::5", "255.255.255.255"] {
            let before: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(address6(mapped_words(before))).to_canonical(), before);
        }
    }
}
