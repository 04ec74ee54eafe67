//! The control map of an interface: the active modes and the deadline.
//!
//! A packet that is about to be dropped reads the deadline first and then one of the two modes. Because of the order of the stores
//! below, a packet between two stores sees either the old state or the new one, never a mixture.

use aya::maps::{Array, Map, MapData, MapInfo};
use aya::programs::ProgramInfo;
use enforcer_common::layout::{Control, DenialState, map};
use enforcer_common::{Direction, Mode};

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::clock::{self, Clock};
use crate::policy::modes::Modes;

/// The active modes of a protected interface.
///
/// # Errors
/// When its control map cannot be read.
pub fn modes_in_force(protected: &Protected) -> Result<Modes, DataplaneError> {
    modes(&protected.pins)
}

/// The active modes of an interface; after the deadline, the modes for that time.
pub(in crate::dataplane) fn modes(pins: &InterfacePins) -> Result<Modes, DataplaneError> {
    Ok(in_force(&read(pins)?, clock::since_boot()))
}

/// The modes of a control entry at a time of the boot clock in nanoseconds, as the programs compute them.
pub(in crate::dataplane) const fn in_force(control: &Control, now: u64) -> Modes {
    let past = control.deadline != 0 && now >= control.deadline;
    Modes::from_bits(if past { control.modes_after } else { control.modes })
}

/// Pins the control map again if its pin was removed: the attached programs still use the map.
pub(in crate::dataplane) fn pin_again(pins: &InterfacePins, record: &InterfaceRecord) -> Result<(), DataplaneError> {
    let path = pins.map(map::CONTROL);
    if path.exists() {
        return Ok(());
    }
    let folder = pins.generation(record.generation);
    for direction in Direction::ALL {
        // If this is missing too, reading the modes reports it.
        let Ok(program) = ProgramInfo::from_pin(folder.join(direction.name())) else { continue };
        for id in program.map_ids().with_context(|| context(pins))?.unwrap_or_default() {
            if MapInfo::from_id(id).with_context(|| context(pins))?.name_as_str() == Some(map::CONTROL) {
                return MapData::from_id(id).with_context(|| context(pins))?.pin(&path).with_context(|| context(pins));
            }
        }
    }
    Ok(())
}

/// Reads the control entry.
pub(in crate::dataplane) fn read(pins: &InterfacePins) -> Result<Control, DataplaneError> {
    open(pins)?.get(&0, 0).with_context(|| context(pins))
}

/// Sets permanent modes, and removes a deadline.
pub(in crate::dataplane) fn write(pins: &InterfacePins, modes: Modes) -> Result<(), DataplaneError> {
    // Before a deadline, the first store takes effect; after it, the second.
    store(pins, &[Store::Modes(modes), Store::Deadline(0)])
}

/// Changes the modes that apply until the deadline, or always if there is none.
pub(in crate::dataplane) fn write_until(pins: &InterfacePins, modes: Modes) -> Result<(), DataplaneError> {
    store(pins, &[Store::Modes(modes)])
}

/// Removes a deadline that has not passed.
pub(in crate::dataplane) fn lift(pins: &InterfacePins) -> Result<(), DataplaneError> {
    store(pins, &[Store::Deadline(0)])
}

/// Sets the modes until a deadline, and the modes after it.
pub(in crate::dataplane) fn arm(
    pins: &InterfacePins,
    modes: Modes,
    deadline: u64,
    after: Modes,
) -> Result<(), DataplaneError> {
    let now = in_force(&read(pins)?, clock::since_boot());
    if read(pins)?.deadline != 0 {
        // Removing the old deadline must not change the active modes.
        store(pins, &[Store::Modes(now), Store::Deadline(0)])?;
    }
    store(pins, &[Store::After(after), Store::Deadline(deadline), Store::Modes(modes)])
}

/// Restores an earlier entry.
pub(in crate::dataplane) fn put_back(pins: &InterfacePins, control: &Control) -> Result<(), DataplaneError> {
    open(pins)?.set(0, *control, 0).with_context(|| context(pins))
}

/// Makes conversations end that only the previous policy permitted, for this number of seconds from now.
pub(in crate::dataplane) fn end_for(pins: &InterfacePins, clock: &Clock, seconds: u32) -> Result<(), DataplaneError> {
    store(pins, &[Store::Ended(later(clock, seconds))])
}

/// Makes the programs look up remembered denials for at least this number of seconds from now.
pub(in crate::dataplane) fn look_at_memory_for(
    pins: &InterfacePins,
    clock: &Clock,
    seconds: u32,
) -> Result<(), DataplaneError> {
    let until = later(clock, seconds).max(read(pins)?.memory_until);
    store(pins, &[Store::Memory(until)])
}

fn later(clock: &Clock, seconds: u32) -> u64 {
    clock.jiffies_now().saturating_add(u64::from(seconds) * u64::from(clock.hz))
}

enum Store {
    Modes(Modes),
    Deadline(u64),
    After(Modes),
    Memory(u64),
    Ended(u64),
}

/// Changes one field after the other. The kernel copies the whole entry each time; the other fields keep their values.
fn store(pins: &InterfacePins, stores: &[Store]) -> Result<(), DataplaneError> {
    let mut map = open(pins)?;
    let mut control = map.get(&0, 0).with_context(|| context(pins))?;
    // Before enforcement begins: answers to packets that audit let through may still be on their way.
    let memory = memory_until(pins, &control, stores)?.map(Store::Memory);
    for one in memory.iter().chain(stores) {
        match one {
            Store::Memory(until) => control.memory_until = *until,
            Store::Ended(until) => control.ended_until = *until,
            Store::Modes(modes) => control.modes = modes.bits(),
            Store::Deadline(deadline) => control.deadline = *deadline,
            Store::After(modes) => control.modes_after = modes.bits(),
        }
        map.set(0, control, 0).with_context(|| context(pins))?;
    }
    Ok(())
}

/// Until when the programs must look up remembered denials because of these stores: when inbound enforcement begins, now or at the
/// deadline, answers to packets that audit let through may still be on their way.
fn memory_until(pins: &InterfacePins, control: &Control, stores: &[Store]) -> Result<Option<u64>, DataplaneError> {
    let now = clock::since_boot();
    let mut next = *control;
    for one in stores {
        match one {
            Store::Modes(modes) => next.modes = modes.bits(),
            Store::Deadline(deadline) => next.deadline = *deadline,
            Store::After(modes) => next.modes_after = modes.bits(),
            Store::Memory(_) | Store::Ended(_) => {}
        }
    }
    let Some(begins) = enforcement_begins(control, &next, now) else { return Ok(None) };
    // Without a record the interface was not protected, so no packet was refused.
    let Some(record) = pins.record()? else { return Ok(None) };
    let clock = record.clock;
    let ticks = u128::from(begins - now) * u128::from(clock.hz) / 1_000_000_000;
    let grace = u64::from(clock.hz / DenialState::ON_THE_WAY);
    Ok(Some(clock.jiffies_now().saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX)).saturating_add(grace)))
}

/// The time on the boot clock at which inbound enforcement begins (now, or at the deadline); `None`: it does not begin.
fn enforcement_begins(before: &Control, next: &Control, now: u64) -> Option<u64> {
    let enforces = |control| in_force(control, now).inbound == Mode::Enforce;
    if enforces(next) {
        return if enforces(before) { None } else { Some(now) };
    }
    let ends_audit = next.deadline > now && matches!(Modes::from_bits(next.modes_after).inbound, Mode::Enforce);
    if ends_audit { Some(next.deadline) } else { None }
}

fn open(pins: &InterfacePins) -> Result<Array<MapData, Control>, DataplaneError> {
    let data = MapData::from_pin(pins.map(map::CONTROL)).with_context(|| context(pins))?;
    Map::from_map_data(data).and_then(TryInto::try_into).with_context(|| context(pins))
}

fn context(pins: &InterfacePins) -> String {
    format!("cannot use the control map of {}", pins.dir().display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_deadline_other_modes_count() {
        let (audit, enforce) = (Modes::both(Mode::Audit), Modes::both(Mode::Enforce));
        let control = Control { modes: enforce.bits(), deadline: 10, modes_after: audit.bits(), ..Control::default() };
        assert_eq!(in_force(&control, 9), enforce);
        assert_eq!(in_force(&control, 10), audit);
        assert_eq!(in_force(&Control { deadline: 0, ..control }, 10), enforce);
    }

    #[test]
    fn enforcement_begins_now_or_at_the_end_of_a_window() {
        let [audit, enforce] =
            [Mode::Audit, Mode::Enforce].map(|mode| Control { modes: Modes::both(mode).bits(), ..Control::default() });
        assert_eq!(enforcement_begins(&audit, &enforce, 5), Some(5));
        assert_eq!(enforcement_begins(&enforce, &enforce, 5), None);
        assert_eq!(enforcement_begins(&enforce, &audit, 5), None);
        let window = Control { deadline: 100, modes_after: enforce.modes, ..audit };
        assert_eq!(enforcement_begins(&enforce, &window, 5), Some(100));
        assert_eq!(enforcement_begins(&window, &enforce, 200), None, "the window had ended by itself");
        let unconfirmed = Control { deadline: 100, modes_after: audit.modes, ..enforce };
        assert_eq!(enforcement_begins(&audit, &unconfirmed, 5), Some(5));
        assert_eq!(enforcement_begins(&unconfirmed, &audit, 200), None);
    }

    #[test]
    fn modes_survive_the_way_through_the_map() {
        for inbound in [Mode::Audit, Mode::Enforce] {
            for outbound in [Mode::Audit, Mode::Enforce] {
                let modes = Modes { inbound, outbound };
                assert_eq!(Modes::from_bits(modes.bits()), modes);
            }
        }
    }
}
