//! Taking over an interface from another version of enforcer, whose maps have another layout. Its links do not depend on that: they
//! go to the new version's folder and get the new programs by one update each, so no packet passes unjudged in between. Flows and
//! counters begin anew; what the host had opened before is looked up, as when it is protected for the first time.

use std::path::PathBuf;

use enforcer_common::Direction;
use serde::Deserialize;

use crate::dataplane::error::{DataplaneError, at};
use crate::dataplane::hook::attach::{MADE_CLSACT, remove_clsact, rename_link, take_off};
use crate::dataplane::kinds::{AttachMode, DirectionRecord};
use crate::dataplane::load::ways;
use crate::dataplane::pin::document::read_record;
use crate::dataplane::pin::folder::remove_dir;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::sys::clock;
use crate::policy::modes::Protects;

/// The programs and pins of another version on an interface.
pub(in crate::dataplane) struct Predecessor {
    interface: String,
    pins: InterfacePins,
    record: Record,
}

/// The fields of its record that are needed; every version writes them.
#[derive(Deserialize)]
struct Record {
    interface: String,
    protects: Protects,
    generation: u64,
    inbound: DirectionRecord,
    outbound: Option<DirectionRecord>,
}

/// The fields of its deadline that are needed.
#[derive(Deserialize)]
struct Deadline {
    deadline: u64,
    outcome: Option<serde_json::Value>,
}

impl Predecessor {
    /// What another version has in force beside these pins, where they have nothing in force themselves.
    ///
    /// # Errors
    /// When it cannot be taken over: its record says nothing to us, or a change of it waits to be confirmed.
    pub(in crate::dataplane) fn of(pins: &InterfacePins) -> Result<Option<Self>, DataplaneError> {
        if pins.map("record").exists() {
            return Ok(None);
        }
        let Some(other) = pins.of_other_version() else { return Ok(None) };
        let record: Option<Record> = read_record(&other.map("record")).ok().flatten();
        let Some(record) = record else {
            let interface = other.interface_by_name();
            return Err(DataplaneError::Refused(format!(
                "{interface} was protected by another version of enforcer (layout {}) that says too little to take over from; \
                 run `enforcer detach --interface {interface}`, then apply again",
                other.layout()
            )));
        };
        let interface = record.interface.clone();
        let predecessor = Self { interface, pins: other, record };
        predecessor.refuse_deadline()?;
        // Left by a command that was killed during a takeover.
        predecessor.give_back(pins);
        Ok(Some(predecessor))
    }

    /// The process that waits for its deadline knows nothing of us.
    fn refuse_deadline(&self) -> Result<(), DataplaneError> {
        let pending: Option<Deadline> = read_record(&self.pins.map("pending"))?;
        let is_armed = |pending: &Deadline| pending.outcome.is_none() && clock::since_boot() < pending.deadline;
        if pending.as_ref().is_some_and(is_armed) {
            return Err(DataplaneError::Refused(format!(
                "a change of {} by another version of enforcer (layout {}) waits to be confirmed, or a change window is open; \
                 confirm it with that version, wait for its end, or run `enforcer detach --interface {}`",
                self.interface,
                self.pins.layout(),
                self.interface
            )));
        }
        Ok(())
    }

    /// Whether the interface protects this host or a guest.
    pub(in crate::dataplane) const fn protects(&self) -> Protects {
        self.record.protects
    }

    /// Its layout version.
    pub(in crate::dataplane) fn layout(&self) -> &str {
        self.pins.layout()
    }

    /// Whether it has made the clsact qdisc.
    pub(in crate::dataplane) fn made_clsact(&self) -> bool {
        self.pins.map(MADE_CLSACT).exists()
    }

    /// Its pins.
    pub(in crate::dataplane) const fn pins(&self) -> &InterfacePins {
        &self.pins
    }

    /// The number of its programs.
    pub(in crate::dataplane) const fn generation(&self) -> u64 {
        self.record.generation
    }

    /// Its program of a direction.
    pub(in crate::dataplane) fn program(&self, direction: Direction) -> PathBuf {
        ways::for_hook(&self.pins.generation(self.record.generation), direction)
    }

    fn mode(&self, direction: Direction) -> Option<AttachMode> {
        let record = match direction {
            Direction::Inbound => Some(self.record.inbound),
            Direction::Outbound => self.record.outbound,
        };
        record.map(|record| record.attach_mode)
    }

    /// Makes its place on a hook ours, where the hook is to be the same one. Its program stays there until it is replaced.
    pub(in crate::dataplane) fn hand_over(
        &self,
        pins: &InterfacePins,
        direction: Direction,
        mode: AttachMode,
    ) -> Result<(), DataplaneError> {
        if self.mode(direction) == Some(mode) {
            rename_link(&self.pins.link(direction), &pins.link(direction))?;
            rename_link(&self.pins.clsact_marker(direction), &pins.clsact_marker(direction))?;
            rename_link(&self.pins.map(MADE_CLSACT), &pins.map(MADE_CLSACT))?;
        }
        Ok(())
    }

    /// Undoes the handover. Errors are ignored, because nothing more can be done.
    pub(in crate::dataplane) fn give_back(&self, pins: &InterfacePins) {
        let mut places = vec![(pins.map(MADE_CLSACT), self.pins.map(MADE_CLSACT))];
        for direction in Direction::ALL {
            places.push((pins.link(direction), self.pins.link(direction)));
            places.push((pins.clsact_marker(direction), self.pins.clsact_marker(direction)));
        }
        for (from, to) in places.into_iter().filter(|(_, to)| !to.exists()) {
            let _ = rename_link(&from, &to);
        }
    }

    /// Removes what is left of it: programs on hooks that ours do not use, and its pins.
    pub(in crate::dataplane) fn remove(&self) -> Result<(), DataplaneError> {
        let pins = &self.pins;
        for direction in Direction::ALL {
            for mode in [AttachMode::Tcx, AttachMode::Clsact] {
                take_off(&self.interface, pins, direction, self.record.protects, mode)?;
            }
        }
        if self.made_clsact() {
            // Filters of others may be on it by now, and then it stays.
            let _ = remove_clsact(&self.interface);
        }
        remove_dir(&pins.state()).map_err(at(pins.state()))
    }
}

/// Removes what a takeover that was killed at its end has left beside pins that are in force.
pub(in crate::dataplane) fn remove_left_over(pins: &InterfacePins) -> Result<(), DataplaneError> {
    while let Some(other) = pins.of_other_version() {
        match read_record::<Record>(&other.map("record")) {
            Ok(Some(record)) => {
                Predecessor { interface: record.interface.clone(), pins: other, record }.remove()?;
            }
            _ => remove_dir(&other.state()).map_err(at(other.state()))?,
        }
    }
    Ok(())
}

/// Who is behind an interface that another version has protected, by these pins of its layout.
pub(in crate::dataplane) fn protects(pins: &InterfacePins) -> Option<Protects> {
    let record: Option<Record> = read_record(&pins.map("record")).ok().flatten();
    record.map(|record| record.protects)
}
