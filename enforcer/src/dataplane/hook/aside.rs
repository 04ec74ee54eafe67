//! Sets the link of the old program aside while another hook takes its place, and restores it if the change fails.

use std::fs;
use std::path::PathBuf;

use enforcer_common::Direction;

use crate::dataplane::error::{Context as _, DataplaneError, at};
use crate::dataplane::hook::attach::{rename_link, take_off};
use crate::dataplane::hook::programs::{TC_BESIDE, program_id, show};
use crate::dataplane::kinds::{AttachMode, DirectionRecord, Hook};
use crate::dataplane::load::ways;
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
    name_as_recorded(pins, record)?;
    for direction in Direction::ALL {
        let Some(DirectionRecord { attach_mode, .. }) = record.direction(direction) else { continue };
        let aside = aside(pins, direction);
        let folder = pins.generation(record.generation);
        // The program that was on the hook: the dispatcher, if a change waits.
        let recorded =
            [folder.join(direction.name()), ways::dispatcher(&folder, direction)].map(|path| program_id(&path));
        let context = || format!("cannot finish what a killed command has left on {}", record.interface);
        match held(&aside) {
            Some(held) if recorded.contains(&Some(held.program)) => {
                // The killed command had already attached a new link here.
                end(&pins.link(direction)).with_context(context)?;
                put_back_aside(pins, direction)?;
            }
            // Only this last step of the change was missing.
            Some(_) => {
                show(pins, record.generation)?;
                end(&aside).with_context(context)?;
            }
            None => {}
        }
        let left = if attach_mode == AttachMode::Clsact { AttachMode::Tcx } else { AttachMode::Clsact };
        take_off(&record.interface, pins, direction, record.protects, left)?;
    }
    Ok(())
}

/// Gives the tc program that was loaded beside a native one its place, if the record says that inbound is judged at tc.
pub(in crate::dataplane) fn name_as_recorded(
    pins: &InterfacePins,
    record: &InterfaceRecord,
) -> Result<(), DataplaneError> {
    let folder = pins.generation(record.generation);
    let beside = folder.join(TC_BESIDE);
    if record.inbound.hook == Hook::Tc && beside.exists() {
        fs::rename(&beside, folder.join(Direction::Inbound.name())).map_err(at(beside))?;
    }
    Ok(())
}
