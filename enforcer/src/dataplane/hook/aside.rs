//! Sets the link of the old program aside while another hook takes its place, and restores it if the change fails.

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

/// Sets the link of the old policy aside, so that the new program can use another hook.
pub(in crate::dataplane) fn set_aside(pins: &InterfacePins, direction: Direction) -> Result<(), DataplaneError> {
    rename_link(&pins.link(direction), &aside(pins, direction))
}

/// Restores the link that was set aside.
pub(in crate::dataplane) fn put_back_aside(pins: &InterfacePins, direction: Direction) -> Result<(), DataplaneError> {
    rename_link(&aside(pins, direction), &pins.link(direction))
}

/// Detaches the program whose link was set aside.
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

/// Cleans up after a command that was killed during a change of hooks: detaches its program and keeps the recorded one.
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
                // The killed command had already attached a new link here.
                end(&pins.link(direction)).with_context(context)?;
                put_back_aside(pins, direction)?;
            }
            // Only this last step of the change was missing.
            Some(_) => end(&aside).with_context(context)?,
            None => {}
        }
        let left = if attach_mode == AttachMode::Clsact { AttachMode::Tcx } else { AttachMode::Clsact };
        take_off(&record.interface, pins, direction, record.protects, left)?;
    }
    Ok(())
}
