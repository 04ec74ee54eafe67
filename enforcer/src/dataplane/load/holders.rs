//! The table of known addresses: whose each of them is. A guest whose own addresses are not known may claim any address but these.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Map, MapData};
use enforcer_common::layout::{holder, map};
use ipnet::IpNet;

use super::fill::key_of;
use super::own::Own;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::pin::host_slot::THIS_MACHINE;
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::Protected;
use crate::host::links::routers;
use crate::policy::claims::Claims;

/// Writes whose addresses are whose, as these interfaces are protected now. Does nothing where there is no table.
pub(in crate::dataplane) fn write_holders(
    host: &HostPins,
    own: &Own,
    protected: &[Protected],
) -> Result<(), DataplaneError> {
    let guests = protected.iter().filter(|one| one.record.slot() != THIS_MACHINE);
    let guests: Vec<(u32, &Claims)> = guests.map(|one| (one.record.slot(), &one.record.claims)).collect();
    let Some(mut table) = open(host)? else { return Ok(()) };
    let now = holders(own, &guests)?;
    // Nobody is told of addresses that are not asked for.
    let keys: Vec<_> = table.keys().filter_map(Result::ok).filter(|key| !now.contains_key(&words(key))).collect();
    for key in keys {
        table.remove(&key).with_context(context)?;
    }
    insert(&mut table, &now)
}

/// Adds whose the addresses are that guests are about to have, and leaves those of others as they are; `protected` lists the interfaces
/// that protect this machine.
pub(in crate::dataplane) fn add_holders(
    host: &HostPins,
    protected: &BTreeSet<u32>,
    guests: &[(u32, &Claims)],
) -> Result<(), DataplaneError> {
    if guests.is_empty() {
        return Ok(());
    }
    let Some(mut table) = open(host)? else { return Ok(()) };
    insert(&mut table, &holders(&Own::read(protected)?, guests)?)
}

type Table = LpmTrie<MapData, [u32; 4], u32>;

/// The holder of each prefix, by the key of the prefix. Without guests nobody asks, so there are none.
fn holders(own: &Own, guests: &[(u32, &Claims)]) -> Result<BTreeMap<[u32; 5], u32>, DataplaneError> {
    if guests.is_empty() {
        return Ok(BTreeMap::new());
    }
    let routers = routers().with_context(context)?.into_iter().map(|address| (IpNet::from(address), holder::ROUTER));
    let of_guests = guests.iter().flat_map(|(slot, claims)| claims.addresses.iter().map(|net| (*net, *slot)));
    let shared = guests.iter().flat_map(|(_, claims)| claims.shared.iter().map(|net| (*net, holder::SHARED)));
    let of_machine = own.addresses().map(|address| (IpNet::from(address), holder::MACHINE));
    // What comes later replaces what comes before: a guest may be a router of this machine.
    Ok(routers.chain(of_guests).chain(shared).chain(of_machine).map(|(net, holder)| (key_of(net), holder)).collect())
}

fn open(host: &HostPins) -> Result<Option<Table>, DataplaneError> {
    let path = host.map(map::HOLDERS);
    if !path.exists() {
        return Ok(None);
    }
    let data = MapData::from_pin(path).with_context(context)?;
    Map::from_map_data(data).and_then(TryInto::try_into).map(Some).with_context(context)
}

fn insert(table: &mut Table, now: &BTreeMap<[u32; 5], u32>) -> Result<(), DataplaneError> {
    for ([length, a, b, c, d], holder) in now {
        table.insert(&Key::new(*length, [*a, *b, *c, *d]), *holder, 0).with_context(context)?;
    }
    Ok(())
}

fn words(key: &Key<[u32; 4]>) -> [u32; 5] {
    let [a, b, c, d] = key.data();
    [key.prefix_len(), a, b, c, d]
}

fn context() -> String {
    "cannot write the table of known addresses".to_owned()
}
