//! Replaces the programs of an interface by those of another generation, and restores the old ones if a step fails.

use std::fs;
use std::path::PathBuf;

use enforcer_common::Direction;
use enforcer_common::layout::Control;

use super::applied::{AtDeadline, OTHER_HOOK};
use super::straighten::take_off;
use super::takeover::{Predecessor, remove_left_over};
use crate::dataplane::error::{DataplaneError, at};
use crate::dataplane::hook::aside::{drop_aside, put_back_aside, set_aside};
use crate::dataplane::hook::attach::{self, MADE_CLSACT, Undo, put_in_force};
use crate::dataplane::hook::programs::{TC_BESIDE, show};
use crate::dataplane::kinds::{AttachMode, Attached, DirectionRecord, hook_of};
use crate::dataplane::load::ways;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::pin::document::write_record;
use crate::dataplane::pin::folder::{names_in, remove_dir};
use crate::dataplane::pin::host_slot::THIS_MACHINE;
use crate::dataplane::pin::pins::{HostPins, InterfacePins};
use crate::dataplane::pin::protected::{Protected, all_protected};
use crate::dataplane::pin::record::InterfaceRecord;
use crate::host::links::Link;
use crate::policy::modes::{Modes, Protects};
use crate::state::last_good;

/// Outbound first: the new program makes the flows that the new inbound program will ask for, and the old one has no use for
/// less of them. The other way round, answers to what the host has just asked could be refused.
pub(in crate::dataplane) const ORDER: [Direction; 2] = [Direction::Outbound, Direction::Inbound];

/// The active policy of an interface before the change.
pub(in crate::dataplane) struct Old {
    pub(in crate::dataplane) record: InterfaceRecord,
    /// The generation that judges: that of the record, unless the kernel has gone back to the one before it.
    pub(in crate::dataplane) judging: u64,
    /// The control entry of that generation.
    pub(in crate::dataplane) control: Control,
    /// The modes that the control entry stood for.
    pub(in crate::dataplane) modes: Modes,
    pub(in crate::dataplane) pending: Option<Pending>,
}

/// An interface whose new programs are loaded and pinned, but not attached yet.
pub(in crate::dataplane) struct Staged {
    pub(in crate::dataplane) interface: String,
    pub(in crate::dataplane) link: Link,
    pub(in crate::dataplane) protects: Protects,
    pub(in crate::dataplane) pins: InterfacePins,
    pub(in crate::dataplane) generation: u64,
    pub(in crate::dataplane) inbound: Attached,
    pub(in crate::dataplane) outbound: Attached,
    pub(in crate::dataplane) fallback: Option<AttachMode>,
    /// What the kernel does at the deadline by itself, where there is one.
    pub(in crate::dataplane) at_deadline: AtDeadline,
    /// `None`: it was not protected, or by another version.
    pub(in crate::dataplane) old: Option<Old>,
    /// Another version that has protected it until now.
    predecessor: Option<Predecessor>,
    /// What was kept for the next boot, once we have written there.
    pub(in crate::dataplane) kept: Option<last_good::Before>,
    /// Whether the clsact qdisc was made for us before.
    had_clsact: bool,
    /// Whether anything but the new generation was written.
    pub(in crate::dataplane) is_touched: bool,
    undo: Vec<(Direction, Undo)>,
    /// Hooks of the old programs that were left for others.
    moved: Vec<(Direction, AttachMode)>,
}

impl Old {
    /// Reads the active policy.
    pub(in crate::dataplane) fn read(pins: &InterfacePins, record: InterfaceRecord) -> Result<Self, DataplaneError> {
        let pending = Pending::read(pins)?;
        let before = pending.as_ref().and_then(Pending::judged_by);
        let judging = before.map_or(record.generation, |before| before.record.generation);
        let control = match (control::read(pins, judging), before) {
            // Its programs judge even if their pins are gone.
            (Err(_), Some(before)) => Control { modes: before.modes.bits(), ..Control::default() },
            (control, _) => control?,
        };
        let modes = control::in_force(&control, crate::dataplane::sys::clock::since_boot());
        Ok(Self { record, judging, control, modes, pending })
    }

    /// The program that is on the hook: the dispatcher while a change waits.
    pub(in crate::dataplane) fn on_hook(&self, pins: &InterfacePins, direction: Direction) -> PathBuf {
        ways::for_hook(&pins.generation(self.record.generation), direction)
    }
}

impl Staged {
    /// Another generation for an interface.
    pub(in crate::dataplane) fn new(
        link: &Link,
        protects: Protects,
        pins: &InterfacePins,
        generation: u64,
        [inbound, outbound]: [Attached; 2],
        old: Option<Old>,
    ) -> Self {
        Self {
            interface: link.name.clone(),
            link: link.clone(),
            protects,
            pins: pins.clone(),
            generation,
            inbound,
            outbound,
            fallback: None,
            at_deadline: AtDeadline::default(),
            old,
            kept: None,
            predecessor: None,
            had_clsact: pins.map(MADE_CLSACT).exists(),
            is_touched: false,
            undo: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// What another version has in force is to be replaced.
    pub(in crate::dataplane) fn take_over(&mut self, predecessor: Predecessor) {
        self.had_clsact |= predecessor.made_clsact();
        self.predecessor = Some(predecessor);
    }

    /// Attaches the new program of a direction.
    pub(in crate::dataplane) fn switch(&mut self, direction: Direction) -> Result<(), DataplaneError> {
        self.is_touched = true;
        let program = ways::for_hook(&self.pins.generation(self.generation), direction);
        let mode = match direction {
            Direction::Inbound => self.inbound.attach_mode,
            Direction::Outbound => self.outbound.attach_mode,
        };
        if let Some(predecessor) = &self.predecessor {
            predecessor.hand_over(&self.pins, direction, mode)?;
        }
        // A program of the old policy on another hook goes only when the new one is in force.
        let old_mode =
            self.old.as_ref().and_then(|old| old.record.direction(direction)).map(|record| record.attach_mode);
        if let Some(old) = old_mode
            && old != mode
        {
            set_aside(&self.pins, direction)?;
            self.moved.push((direction, old));
        }
        let undo = match put_in_force(&self.link, &self.pins, direction, self.protects, mode, &program) {
            Err(DataplaneError::NoNative(why)) if self.fallback.is_some() => self.fall_back(direction, &why)?,
            other => other?,
        };
        self.undo.push((direction, undo));
        Ok(())
    }

    /// Attaches to another hook, if the first choice is not available.
    fn fall_back(&mut self, direction: Direction, why: &str) -> Result<Undo, DataplaneError> {
        let Some(mode) = self.fallback else { return Err(DataplaneError::NoNative(why.to_owned())) };
        // The old program may be where the driver takes no new one any more: it goes when the new one is in force.
        if self.pins.link(direction).exists() {
            set_aside(&self.pins, direction)?;
            self.moved.push((direction, AttachMode::Native));
        }
        let folder = self.pins.generation(self.generation);
        let attached = match direction {
            Direction::Inbound => {
                if self.inbound.attach_mode == AttachMode::Native {
                    let (tc, name) = (folder.join(TC_BESIDE), folder.join(Direction::Inbound.name()));
                    fs::rename(&tc, &name).map_err(at(tc))?;
                }
                &mut self.inbound
            }
            Direction::Outbound => &mut self.outbound,
        };
        *attached = Attached { attach_mode: mode, why: format!("tc: {why}") };
        if let AtDeadline::Confirmed { at, .. } = self.at_deadline {
            self.give_up_way_back(at)?;
        }
        put_in_force(&self.link, &self.pins, direction, self.protects, mode, &folder.join(direction.name()))
    }

    /// Puts the new program itself on the hooks that have its dispatcher: past the deadline it is in audit.
    fn give_up_way_back(&mut self, deadline: u64) -> Result<(), DataplaneError> {
        control::audit_at(&self.pins, self.generation, deadline)?;
        if let Some(pending) = Pending::recorded(&self.pins)? {
            Pending { dispatched: None, ..pending }.write(&self.pins)?;
        }
        control::lift_way_back(&self.pins, self.generation)?;
        let folder = self.pins.generation(self.generation);
        for (direction, undo) in &self.undo {
            let (Undo::Remove(record) | Undo::PutBack(record)) = undo;
            let program = folder.join(direction.name());
            put_in_force(&self.link, &self.pins, *direction, self.protects, record.attach_mode, &program)?;
        }
        self.at_deadline = AtDeadline::Audit(OTHER_HOOK.to_owned());
        ways::remove(&folder)
    }

    /// Detaches the old programs from hooks that the new ones do not use.
    pub(in crate::dataplane) fn drop_moved(&self) -> Result<(), DataplaneError> {
        for (direction, mode) in &self.moved {
            drop_aside(&self.interface, &self.pins, *direction, self.protects, *mode)?;
        }
        Ok(())
    }

    /// Removes the pins of another version, and returns a sentence about it.
    pub(in crate::dataplane) fn drop_predecessor(&mut self) -> Option<String> {
        let predecessor = self.predecessor.take()?;
        // The next command tries again to remove what cannot be removed now.
        let _ = predecessor.remove();
        Some(format!(
            "taken over from another version of enforcer (layout {}): flows and counters begin anew, totals go on from what was \
             saved last",
            predecessor.layout()
        ))
    }

    /// Puts back what was in force, and removes what was made. Nothing more can be done about an error here than is tried: the
    /// first one is the one that is told.
    pub(in crate::dataplane) fn discard(&mut self) {
        for (direction, undo) in self.undo.iter().rev() {
            match (undo, &self.old) {
                (Undo::Remove(record), _) => {
                    let mode = record.attach_mode;
                    let _ = attach::take_off(&self.interface, &self.pins, *direction, self.protects, mode);
                }
                (Undo::PutBack(record), Some(old)) => {
                    let program = old.on_hook(&self.pins, *direction);
                    let mode = record.attach_mode;
                    let _ = put_in_force(&self.link, &self.pins, *direction, self.protects, mode, &program);
                }
                (Undo::PutBack(record), None) => {
                    if let Some(predecessor) = &self.predecessor {
                        let (program, mode) = (predecessor.program(*direction), record.attach_mode);
                        let _ = put_in_force(&self.link, &self.pins, *direction, self.protects, mode, &program);
                    }
                }
            }
        }
        for (direction, _) in &self.moved {
            let _ = put_back_aside(&self.pins, *direction);
        }
        if let Some(kept) = self.kept.take() {
            kept.put_back();
        }
        let made = self.pins.map(MADE_CLSACT);
        if !self.had_clsact && made.exists() {
            let _ = attach::remove_clsact(&self.interface);
            let _ = fs::remove_dir(made);
        }
        if let Some(predecessor) = &self.predecessor {
            predecessor.give_back(&self.pins);
            let _ = show(predecessor.pins(), predecessor.generation());
            let _ = remove_dir(&self.pins.state());
            return;
        }
        let Some(old) = &self.old else {
            let _ = attach::remove_pins(self.pins.dir());
            let _ = remove_dir(self.pins.dir());
            return;
        };
        if self.is_touched {
            let _ = control::put_back(&self.pins, old.judging, &old.control);
            let _ = match &old.pending {
                Some(pending) => pending.write(&self.pins),
                None => Pending::remove(&self.pins),
            };
            let _ = publish(&self.pins, &old.record);
        }
        let is_needed = old.pending.as_ref().and_then(Pending::needs_generation) == Some(self.generation);
        if self.generation != old.record.generation && !is_needed {
            let _ = remove_generation(&self.pins, &old.record, self.generation);
        }
    }
}

/// Writes the record of the new policy, and pins the programs under their public names.
pub(in crate::dataplane) fn publish(pins: &InterfacePins, record: &InterfaceRecord) -> Result<(), DataplaneError> {
    write_record(&pins.map("record"), record)?;
    show(pins, record.generation)
}

/// Removes generations that no interface uses and that no deadline may restore.
pub(in crate::dataplane) fn sweep(host: &HostPins) -> Result<(), DataplaneError> {
    let (mut used, mut is_about_this_machine) = (Vec::new(), false);
    for Protected { pins, record, .. } in all_protected()? {
        remove_left_over(&pins)?;
        is_about_this_machine |= record.slot() == THIS_MACHINE;
        let mut kept = vec![record.generation];
        kept.extend(Pending::read(&pins)?.and_then(|pending| pending.needs_generation()));
        for name in names_in(&pins.state()) {
            let number = name.strip_prefix('g').and_then(|number| number.parse().ok());
            if let Some(number) = number.filter(|number: &u64| !kept.contains(number)) {
                remove_generation(&pins, &record, number)?;
            }
        }
        used.extend(kept);
    }
    for number in host.generations().into_iter().filter(|number| !used.contains(number)) {
        let folder = host.generation(number);
        remove_dir(&folder).map_err(at(folder))?;
    }
    if !is_about_this_machine {
        host.remove_slot_of_this_machine()?;
    }
    host.remove_unused_layouts()
}

/// Removes the folder of a generation that is not in force. Its dispatcher must not be on a hook then: without its arrays it drops everything.
fn remove_generation(pins: &InterfacePins, record: &InterfaceRecord, number: u64) -> Result<(), DataplaneError> {
    let folder = pins.generation(number);
    if ways::has_dispatcher(&folder) {
        let in_force = pins.generation(record.generation);
        take_off(pins, record, &folder, |direction| ways::for_hook(&in_force, direction))?;
    }
    remove_dir(&folder).map_err(at(folder))
}

/// The record of a direction.
pub(in crate::dataplane) const fn direction_record(attached: &Attached) -> DirectionRecord {
    DirectionRecord { hook: hook_of(attached.attach_mode), attach_mode: attached.attach_mode }
}

/// The change is done: what cannot be removed is tried again by the next command.
pub(super) fn sweep_unused(interfaces: &[Protected]) {
    if let Some(one) = interfaces.first() {
        let _ = sweep(&HostPins::of(one.record.netns));
    }
}
