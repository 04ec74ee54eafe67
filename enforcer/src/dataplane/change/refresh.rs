//! What changes under a policy in force without a new one: own addresses and ports with listeners.

use aya::maps::{Map, MapData};
use enforcer_common::layout::map;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::load::own::{Own, context_own, write_listeners, write_own, write_own_filter};
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::all_protected;
use crate::host::netns;
use crate::host::snapshot::LiveError;
use crate::host::sockets::Sockets;

/// Brings the tables of own addresses that the programs of this network namespace judge by up to date. Where nothing is
/// protected, there is nothing to do.
///
/// # Errors
/// When the addresses cannot be read, or a map cannot be written.
pub fn refresh_addresses() -> Result<(), DataplaneError> {
    // An older look at the addresses must not come after a newer one.
    let _lock = lock()?;
    write_addresses(&HostPins::of(netns::own()?))
}

/// Writes the own addresses that belong to the interfaces protected now. The caller holds the lock.
pub(super) fn write_addresses(host: &HostPins) -> Result<(), DataplaneError> {
    if !host.map(map::OWN).exists() {
        return Ok(());
    }
    let own = MapData::from_pin(host.map(map::OWN)).with_context(context_own)?;
    let filter = MapData::from_pin(host.map(map::OWN_FILTER)).with_context(context_own)?;
    let protected = all_protected()?.into_iter().map(|one| one.record.index).collect();
    let now = Own::read(&protected)?.keys()?;
    write_own(Map::from_map_data(own).and_then(TryInto::try_into).with_context(context_own)?, &now)?;
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
    let context = || "cannot bring the table of listeners up to date".to_owned();
    let sockets = Sockets::read().map_err(LiveError::from).with_context(context)?;
    write_listeners(&MapData::from_pin(path).with_context(context)?, &sockets)
}
