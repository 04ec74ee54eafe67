//! Takes dispatchers off the hooks when no change waits any more: after a confirmation, and after commands that were killed.

use std::path::{Path, PathBuf};

use enforcer_common::Direction;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::attach::put_in_force;
use crate::dataplane::hook::programs::{program_id, show_itself};
use crate::dataplane::kinds::AttachMode;
use crate::dataplane::load::ways;
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::pinned_link::held;
use crate::host::links::links;
use crate::state::last_good::State;

/// Whether a confirmed change has not reached its hooks yet.
pub(super) fn is_crooked(protected: &Protected) -> Result<bool, DataplaneError> {
    let Protected { pins, record, .. } = protected;
    let waits = Pending::read(pins)?.is_some_and(|pending| pending.is_dispatched());
    Ok(!waits && (ways::has_dispatcher(&pins.generation(record.generation)) || is_confirmed_by_the_kernel_alone(pins)?))
}

/// Puts the programs of the record themselves on the hooks, and finishes a confirmation that was killed. Does nothing while a change waits.
///
/// # Errors
/// When a hook cannot be changed. Its dispatcher then judges by the same programs.
pub(super) fn finish_confirmation(protected: &Protected) -> Result<(), DataplaneError> {
    if !is_crooked(protected)? {
        return Ok(());
    }
    let Protected { pins, record, .. } = protected;
    let folder = pins.generation(record.generation);
    if ways::has_dispatcher(&folder) {
        take_off(pins, record, &folder, |direction| folder.join(direction.name()))?;
        show_itself(pins, record.generation)?;
        // Last, as the sign that all of this has to be done.
        ways::remove(&folder)?;
    }
    if is_confirmed_by_the_kernel_alone(pins)? {
        State::of(pins.name()).keep().with_context(|| "the policy cannot be kept".to_owned())?;
        Pending::remove(pins)?;
    }
    Ok(())
}

/// The same for all of these. A confirmed change judges whether its dispatcher is still on the hook or not, and the next command tries again.
pub(super) fn straighten_all(interfaces: &[Protected]) {
    for one in interfaces {
        // It may have been applied anew before we held the lock.
        let record = one.pins.record().ok().flatten().unwrap_or_else(|| one.record.clone());
        let _ = finish_confirmation(&Protected { record, ..one.clone() });
    }
}

/// Whether the deadline was lifted and its record was not removed.
fn is_confirmed_by_the_kernel_alone(pins: &InterfacePins) -> Result<bool, DataplaneError> {
    Ok(Pending::read(pins)?.is_none() && Pending::recorded(pins)?.is_some())
}

/// Takes the dispatchers of a generation off the hooks that the record of the interface speaks of: those get these programs. Outbound first,
/// as always.
pub(super) fn take_off(
    pins: &InterfacePins,
    record: &InterfaceRecord,
    folder: &Path,
    program: impl Fn(Direction) -> PathBuf,
) -> Result<(), DataplaneError> {
    let links = links().with_context(|| "cannot look at the interfaces".to_owned())?;
    // An interface that is gone has no hook.
    let Some(link) = links.iter().find(|link| link.index == record.index) else { return Ok(()) };
    for direction in [Direction::Outbound, Direction::Inbound] {
        let Some(attached) = record.direction(direction) else { continue };
        let dispatcher = program_id(&ways::dispatcher(folder, direction));
        // Which program a filter has is not asked: the same one may be put there again.
        let is_elsewhere = attached.attach_mode != AttachMode::Clsact
            && held(&pins.link(direction)).is_none_or(|held| held.interface == 0 || Some(held.program) != dispatcher);
        if dispatcher.is_none() || is_elsewhere {
            continue;
        }
        put_in_force(link, pins, direction, record.protects, attached.attach_mode, &program(direction))?;
    }
    Ok(())
}
