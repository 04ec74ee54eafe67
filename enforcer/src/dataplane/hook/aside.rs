//! A program that makes room for another on the same hook is put aside, and comes back if the other cannot stay.

use std::path::PathBuf;

use enforcer_common::Direction;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::attach::{rename_link, take_off};
use crate::dataplane::hook::programs::program_id;
use crate::dataplane::kinds::{AttachMode, DirectionRecord};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::pinned_link::{end, held};
use crate::policy::modes::Protects;

/// Puts the link of the old policy aside, so that another hook can be taken in its place.
pub(in crate::dataplane) fn set_aside(pins: &InterfacePins, direction: Direction) -> Result<(), DataplaneError> {
    rename_link(&pins.link(direction), &aside(pins, direction))
}

/// Puts it back.
pub(in crate::dataplane) fn put_back_aside(pins: &InterfacePins, direction: Direction) -> Result<(), DataplaneError> {
    rename_link(&aside(pins, direction), &pins.link(direction))
}

/// Takes what was put aside off its hook.
pub(in crate::dataplane) fn drop_aside(
    interface: &str,
    pins: &InterfacePins,
    direction: Direction,
    protects: Protects,
    mode: AttachMode,
) -> Result<(), DataplaneError> {
    if mode == AttachMode::Clsact {
        return take_off(interface, pins, direction, protects, mode);
    }
    end(&aside(pins, direction)).with_context(|| format!("cannot take the old program off {interface}"))
}

pub(super) fn aside(pins: &InterfacePins, direction: Direction) -> PathBuf {
    pins.map(&format!("old_link_{}", direction.name()))
}

/// What a command that was killed in the middle of a change of hooks has left: its program goes, the recorded one stays.
pub(in crate::dataplane) fn finish_interrupted(
    pins: &InterfacePins,
    record: &InterfaceRecord,
) -> Result<(), DataplaneError> {
    for direction in Direction::ALL {
        let Some(DirectionRecord { attach_mode, .. }) = record.direction(direction) else { continue };
        let aside = aside(pins, direction);
        let recorded = program_id(&pins.generation(record.generation).join(direction.name()));
        let context = || format!("cannot finish what a killed command has left on {}", record.interface);
        match held(&aside) {
            Some(held) if Some(held.program) == recorded => {
                // One that it had made in the place of the old one.
                end(&pins.link(direction)).with_context(context)?;
                put_back_aside(pins, direction)?;
            }
            // The change was done but for this.
            Some(_) => end(&aside).with_context(context)?,
            None => {}
        }
        let left = if attach_mode == AttachMode::Clsact { AttachMode::Tcx } else { AttachMode::Clsact };
        take_off(&record.interface, pins, direction, record.protects, left)?;
    }
    Ok(())
}
