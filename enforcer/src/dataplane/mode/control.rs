//! The modes in force, and until when: single stores into the control map of an interface.
//!
//! A packet that is about to be dropped reads the deadline first and then one of the two modes. So what a packet may see between
//! two stores is always one of what was in force before and what comes into force: the order of the stores below is the reason.

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

/// The modes in force on a protected interface.
///
/// # Errors
/// When its control map cannot be read.
pub fn modes_in_force(protected: &Protected) -> Result<Modes, DataplaneError> {
    modes(&protected.pins)
}

/// The modes in force on an interface: past the deadline, those that count then.
pub(in crate::dataplane) fn modes(pins: &InterfacePins) -> Result<Modes, DataplaneError> {
    Ok(in_force(&read(pins)?, clock::since_boot()))
}

/// The modes that a control entry stands for at a moment of the boot clock, as the programs read it.
pub(in crate::dataplane) const fn in_force(control: &Control, now: u64) -> Modes {
    let past = control.deadline != 0 && now >= control.deadline;
    Modes::from_bits(if past { control.modes_after } else { control.modes })
}

/// Pins the control map again where its pin is gone: the programs in force judge by it still.
pub(in crate::dataplane) fn pin_again(pins: &InterfacePins, record: &InterfaceRecord) -> Result<(), DataplaneError> {
    let path = pins.map(map::CONTROL);
    if path.exists() {
        return Ok(());
    }
    let folder = pins.generation(record.generation);
    for direction in Direction::ALL {
        // Where this is gone, too, whoever reads the modes says what is missing.
        let Ok(program) = ProgramInfo::from_pin(folder.join(direction.name())) else { continue };
        for id in program.map_ids().with_context(|| context(pins))?.unwrap_or_default() {
            if MapInfo::from_id(id).with_context(|| context(pins))?.name_as_str() == Some(map::CONTROL) {
                return MapData::from_id(id).with_context(|| context(pins))?.pin(&path).with_context(|| context(pins));
            }
        }
    }
    Ok(())
}

/// The control entry as it is.
pub(in crate::dataplane) fn read(pins: &InterfacePins) -> Result<Control, DataplaneError> {
    open(pins)?.get(&0, 0).with_context(|| context(pins))
}

/// Puts modes in force for good: a deadline is lifted.
pub(in crate::dataplane) fn write(pins: &InterfacePins, modes: Modes) -> Result<(), DataplaneError> {
    // Before the deadline the first store counts at once, past it the second.
    store(pins, &[Store::Modes(modes), Store::Deadline(0)])
}

/// Changes the modes that count until the deadline, where there is one.
pub(in crate::dataplane) fn write_until(pins: &InterfacePins, modes: Modes) -> Result<(), DataplaneError> {
    store(pins, &[Store::Modes(modes)])
}

/// Lifts a deadline that has not passed.
pub(in crate::dataplane) fn lift(pins: &InterfacePins) -> Result<(), DataplaneError> {
    store(pins, &[Store::Deadline(0)])
}

/// Puts modes in force until a deadline, and others from then on.
pub(in crate::dataplane) fn arm(
    pins: &InterfacePins,
    modes: Modes,
    deadline: u64,
    after: Modes,
) -> Result<(), DataplaneError> {
    let now = in_force(&read(pins)?, clock::since_boot());
    if read(pins)?.deadline != 0 {
        // What counts now must not change when the old deadline goes.
        store(pins, &[Store::Modes(now), Store::Deadline(0)])?;
    }
    store(pins, &[Store::After(after), Store::Deadline(deadline), Store::Modes(modes)])
}

/// Puts an entry back as it was.
pub(in crate::dataplane) fn put_back(pins: &InterfacePins, control: &Control) -> Result<(), DataplaneError> {
    open(pins)?.set(0, *control, 0).with_context(|| context(pins))
}

/// Lets conversations end that the policy before let pass, for so many seconds from now on.
pub(in crate::dataplane) fn end_for(pins: &InterfacePins, clock: &Clock, seconds: u32) -> Result<(), DataplaneError> {
    store(pins, &[Store::Ended(later(clock, seconds))])
}

/// Has the programs look at the memory of denials for so many seconds from now on, at least.
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

/// Changes one field after the other. The kernel copies the whole entry each time, and the other fields onto themselves.
fn store(pins: &InterfacePins, stores: &[Store]) -> Result<(), DataplaneError> {
    let mut map = open(pins)?;
    let mut control = map.get(&0, 0).with_context(|| context(pins))?;
    // Before anything is enforced: answers to what was let through may be on their way.
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

/// Until when the memory of denials has to be looked at because of these stores: where inbound begins to enforce, now or at the
/// deadline, answers to what was refused and let through before may still be on their way.
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
    // Without a record nothing was protected here, so nothing was refused.
    let Some(record) = pins.record()? else { return Ok(None) };
    let clock = record.clock;
    let ticks = u128::from(begins - now) * u128::from(clock.hz) / 1_000_000_000;
    let grace = u64::from(clock.hz / DenialState::ON_THE_WAY);
    Ok(Some(clock.jiffies_now().saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX)).saturating_add(grace)))
}

/// When inbound begins to enforce, on the boot clock, if it does: now, or at the deadline.
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
