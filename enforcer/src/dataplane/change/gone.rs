//! Pins of network namespaces that no longer exist: tens of megabytes of unused maps each.

use std::collections::BTreeSet;

use enforcer_common::Direction;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::attach::remove_pins;
use crate::dataplane::kinds::AttachMode;
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::{self, HostPins, InterfacePins};
use crate::dataplane::read::map_use::folder_bytes;
use crate::dataplane::sys::pinned_link::held;
use crate::host::netns::{is_alive, own};
use crate::state::last_good::State;

/// Removes what network namespaces have left that are certainly gone, and says so in sentences; and names what may be of one that
/// is gone, and is left to a plain `detach`.
///
/// # Errors
/// When something of it cannot be removed.
pub fn remove_gone() -> Result<Vec<String>, DataplaneError> {
    // Without the lock: most often there is nothing to do.
    if gone(own()?).is_empty() {
        return Ok(Vec::new());
    }
    let _lock = lock()?;
    let all = pins::all();
    gone(own()?).into_iter().map(|inode| remove(inode, &all)).collect()
}

/// Network namespaces that have pins and that no visible process or mount keeps alive.
fn gone(netns: u64) -> BTreeSet<u64> {
    let owners = pins::all().into_iter().filter_map(|pins| Some(pins.owner().ok()??.netns));
    let found: BTreeSet<u64> = owners.chain(HostPins::all()).filter(|inode| *inode != netns).collect();
    found.into_iter().filter(|inode| !is_alive(*inode)).collect()
}

/// Removes the pins of such a namespace, unless one of its programs may still be attached.
fn remove(inode: u64, all: &[InterfacePins]) -> Result<String, DataplaneError> {
    let its = all.iter().filter(|pins| matches!(pins.owner(), Ok(Some(owner)) if owner.netns == inode));
    let its: Vec<&InterfacePins> = its.collect();
    let names: Vec<String> = its.iter().map(|pins| pins.interface_by_name()).collect();
    let of = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
    let host = HostPins::of(inode);
    let bytes = its.iter().map(|pins| folder_bytes(pins.dir())).sum::<u64>() + folder_bytes(host.dir());
    let size = format!("{} MiB", bytes.div_ceil(1 << 20));
    if let Some(pins) = its.iter().find(|pins| !is_over(pins)) {
        return Ok(format!(
            "the network namespace {inode} seems to be gone, and its pins{of} use {size}; they are kept, because a program at \
             {} may still be attached; `enforcer detach` removes them",
            pins.dir().display()
        ));
    }
    for pins in its {
        remove_pins(pins.dir())?;
        let interface = pins.interface_by_name();
        State::of(pins.name()).forget().with_context(|| format!("cannot remove the saved policy of {interface}"))?;
    }
    host.remove()?;
    Ok(format!("the network namespace {inode} no longer exists; its pins{of} ({size}) are removed"))
}

/// Whether none of these programs can be on a hook: the kernel has severed each link from its interface, which is gone. Of a filter
/// nobody can tell, nor of what another version has made; and what cannot be opened may be one that is attached.
fn is_over(pins: &InterfacePins) -> bool {
    let record = match pins.record() {
        Ok(Some(record)) if pins.is_own_layout() => Some(record),
        Ok(None) if pins.is_own_layout() => None,
        _ => return false,
    };
    Direction::ALL.into_iter().all(|direction| {
        let is_filter = record
            .as_ref()
            .and_then(|record| record.direction(direction))
            .is_some_and(|record| record.attach_mode == AttachMode::Clsact);
        let may_be_filter = is_filter || pins.clsact_marker(direction).exists();
        let link = pins.link(direction);
        !may_be_filter && (!link.exists() || held(&link).is_some_and(|held| held.interface == 0))
    })
}
