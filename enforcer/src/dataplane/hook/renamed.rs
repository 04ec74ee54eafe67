//! Interfaces that got another name: found by what their programs judge.

use enforcer_common::Direction;

use crate::dataplane::hook::attach::has_filter;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::pinned_link::held;
use crate::host::links::Link;

/// What the interface is called now that a record speaks of, where that is another name and what was applied judges it still.
pub(in crate::dataplane) fn new_name(pins: &InterfacePins, record: &InterfaceRecord) -> Option<String> {
    let name = nix::net::if_::if_indextoname(record.index).ok()?.into_string().ok()?;
    // The number may have been given to another interface.
    (name != record.interface && judges(pins, record)).then_some(name)
}

/// The protected interface among these that is now called so, and was called otherwise.
#[must_use]
pub fn once_called<'a>(all: &'a [Protected], link: &Link) -> Option<&'a Protected> {
    let mut others = all.iter().filter(|one| one.record.index == link.index && one.interface != link.name);
    others.find(|one| judges(&one.pins, &one.record))
}

pub(crate) fn judges(pins: &InterfacePins, record: &InterfaceRecord) -> bool {
    Direction::ALL.into_iter().any(|direction| {
        held(&pins.link(direction)).is_some_and(|held| held.interface == record.index)
            || has_filter(record.index, direction, record.protects) && pins.clsact_marker(direction).exists()
    })
}
