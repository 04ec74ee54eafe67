//! Switches an interface from native XDP to tc while its policy stays active, because the driver does not run the program. The programs
//! of both hooks use the same maps, so counters, flows, modes and deadlines stay.

use std::path::Path;

use enforcer_common::Direction;

use super::straighten::finish_confirmation;
use super::way_back::finish;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::aside::{drop_aside, finish_interrupted, name_as_recorded, put_back_aside, set_aside};
use crate::dataplane::hook::attach::{put_in_force, take_off};
use crate::dataplane::hook::choose::choose;
use crate::dataplane::hook::programs::{TC_BESIDE, load, missing, pin_program, program_name, show};
use crate::dataplane::kinds::{AttachMode, DirectionRecord, Hook, hook_of};
use crate::dataplane::load::object::again;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::pin::document::write_record;
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::protected::{Protected, all_protected};
use crate::dataplane::pin::record::InterfaceRecord;
use crate::host::links::links;
use crate::policy::modes::Protects;
use crate::policy::source::HookChoice;

/// Attaches the tc program of inbound in place of the native one, and records why. Returns the new attach mode; `None`: the interface is
/// not protected by native XDP.
///
/// # Errors
/// The native program is then still attached, unless only its removal failed.
pub fn leave_native(interface: &str, why: &str) -> Result<Option<AttachMode>, DataplaneError> {
    let _lock = lock()?;
    finish(Pending::is_overdue)?;
    let Some(protected) = all_protected()?.into_iter().find(|one| one.interface == interface) else { return Ok(None) };
    let Protected { pins, record, .. } = &protected;
    if record.inbound.attach_mode != AttachMode::Native {
        return Ok(None);
    }
    let links = links().with_context(|| "cannot look at the interfaces".to_owned())?;
    let Some(link) = links.iter().find(|link| link.index == record.index) else { return Ok(None) };
    finish_interrupted(pins, record)?;
    give_up_way_back(&protected)?;
    let (mode, _, _) = choose(link, Protects::Host, HookChoice::Tc, None)?;
    let folder = pins.generation(record.generation);
    let program = folder.join(TC_BESIDE);
    // `auto` has loaded and pinned it in advance.
    if !program.exists() {
        load_tc(&protected, &program)?;
    }
    set_aside(pins, Direction::Inbound)?;
    let inbound = DirectionRecord { hook: hook_of(mode), attach_mode: mode };
    let new = InterfaceRecord { inbound, left_native: Some(why.to_owned()), ..record.clone() };
    // The record is written before the programs get their names, so that after a kill it is known which of the two links stays.
    let switched = put_in_force(link, pins, Direction::Inbound, Protects::Host, mode, &program).and_then(|_| {
        write_record(&pins.map("record"), &new).inspect_err(|_| {
            let _ = take_off(&link.name, pins, Direction::Inbound, Protects::Host, mode);
        })
    });
    if let Err(error) = switched {
        put_back_aside(pins, Direction::Inbound)?;
        return Err(error);
    }
    name_as_recorded(pins, &new)?;
    show(pins, new.generation)?;
    drop_aside(interface, pins, Direction::Inbound, Protects::Host, AttachMode::Native)?;
    Ok(Some(mode))
}

/// Ends the kernel's own way back where a change waits: the programs of the last confirmed policy are for the hook that is left. Past the
/// deadline the new policy is in audit.
fn give_up_way_back(protected: &Protected) -> Result<(), DataplaneError> {
    let Protected { pins, record, .. } = protected;
    let Some(pending) = Pending::read(pins)?.filter(Pending::is_dispatched) else { return Ok(()) };
    control::audit_at(pins, record.generation, pending.deadline)?;
    Pending { dispatched: None, ..pending }.write(pins)?;
    control::lift_way_back(pins, record.generation)?;
    finish_confirmation(protected)
}

/// Loads and pins the tc program with the maps of the active policy.
fn load_tc(protected: &Protected, pin: &Path) -> Result<(), DataplaneError> {
    let mut object = again(protected)?;
    load(&mut object, Direction::Inbound, Hook::Tc)?;
    let name = program_name(Direction::Inbound, Hook::Tc);
    let program = object.ebpf.program_mut(name);
    pin_program(program.ok_or_else(|| missing(name))?, Hook::Tc, pin)
}
