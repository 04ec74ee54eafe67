//! Updates the tables of own addresses and of ports with listeners, which change while a policy is active.

use aya::maps::{Map, MapData};
use enforcer_common::layout::map;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::load::holders::write_holders;
use crate::dataplane::load::own::{Own, context_own, write_listeners, write_own, write_own_filter};
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::{all_protected, of_this_machine};
use crate::host::netns;
use crate::host::snapshot::LiveError;
use crate::host::sockets::Sockets;

/// Updates the tables of own addresses of this network namespace. Does nothing if no interface is protected.
///
/// # Errors
/// When the addresses cannot be read, or a map cannot be written.
pub fn refresh_addresses() -> Result<(), DataplaneError> {
    // Under the lock, so that older addresses do not overwrite newer ones.
    let _lock = lock()?;
    write_addresses(&HostPins::of(netns::own()?))
}

/// Writes the own addresses that belong to the interfaces protected now. The caller holds the lock.
pub(super) fn write_addresses(host: &HostPins) -> Result<(), DataplaneError> {
    if !host.map(map::OWN).exists() && !host.map(map::HOLDERS).exists() {
        return Ok(());
    }
    let protected = all_protected()?;
    let own = Own::read(&of_this_machine(&protected))?;
    write_holders(host, &own, &protected)?;
    if !host.map(map::OWN).exists() {
        return Ok(());
    }
    let now = own.keys()?;
    let own = MapData::from_pin(host.map(map::OWN)).with_context(context_own)?;
    let filter = MapData::from_pin(host.map(map::OWN_FILTER)).with_context(context_own)?;
    write_own(Map::from_map_data(own).and_then(TryInto::try_into).with_context(context_own)?, &now)?;
    write_own_filter(&filter, &now)
}

/// Updates the table of ports that have a listener.
///
/// # Errors
/// When the sockets cannot be read, or the map cannot be written.
pub fn refresh_listeners() -> Result<(), DataplaneError> {
    let _lock = lock()?;
    let path = HostPins::of(netns::own()?).map(map::LISTENERS);
    if !path.exists() {
        return Ok(());
    }
    let context = || "cannot update the table of listeners".to_owned();
    let sockets = Sockets::read().map_err(LiveError::from).with_context(context)?;
    write_listeners(&MapData::from_pin(path).with_context(context)?, &sockets)
}
