//! The control map of a generation on an interface: its modes and its deadline. Modes belong to the programs that they were set for, so a
//! policy that comes back is in the modes in which it was.
//!
//! A packet that is about to be dropped reads the deadline first and then one of the two modes. Because of the order of the stores
//! below, a packet between two stores sees either the old state or the new one, never a mixture.

use aya::maps::{Array, Map, MapData, MapInfo};
use aya::programs::ProgramInfo;
use enforcer_common::layout::{Control, DenialState, map};
use enforcer_common::{Direction, Mode};

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::clock::{self, Clock};
use crate::policy::modes::Modes;

/// The modes of a control entry at a time of the boot clock in nanoseconds, as the programs compute them.
pub(in crate::dataplane) const fn in_force(control: &Control, now: u64) -> Modes {
    let past = control.deadline != 0 && now >= control.deadline;
    Modes::from_bits(if past { control.modes_after } else { control.modes })
}

/// Pins the control map again if its pin was removed: the attached programs still use the map.
pub(in crate::dataplane) fn pin_again(pins: &InterfacePins, record: &InterfaceRecord) -> Result<(), DataplaneError> {
    let path = pins.control(record.generation);
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

/// Reads the control entry of a generation.
pub(in crate::dataplane) fn read(pins: &InterfacePins, generation: u64) -> Result<Control, DataplaneError> {
    open(pins, generation)?.get(&0, 0).with_context(|| context(pins))
}

/// Writes the entry of a generation before its programs judge. `before` is the entry of the programs that they replace.
pub(in crate::dataplane) fn begin(
    pins: &InterfacePins,
    generation: u64,
    before: Option<&Control>,
    next: Control,
) -> Result<(), DataplaneError> {
    let known = before.copied().unwrap_or_default();
    // Until all hooks are switched, the old programs let through what the new ones would drop, however long that takes.
    let memory_until = begun_memory(pins, &known, &next)?.map_or(known.memory_until, |_| u64::MAX);
    let next = Control { memory_until, ..next };
    put_back(pins, generation, &next)
}

/// The same again for what depends on the moment, now that the programs judge: until when answers to what the old programs let through
/// may still be on their way, and until when conversations end that only they permitted.
pub(in crate::dataplane) fn count_from_now(
    pins: &InterfacePins,
    generation: u64,
    before: Option<&Control>,
    ended_until: u64,
) -> Result<(), DataplaneError> {
    let known = before.copied().unwrap_or_default();
    let begun = begun_memory(pins, &known, &read(pins, generation)?)?.unwrap_or_default();
    store(pins, generation, &[Store::Memory(known.memory_until.max(begun)), Store::Ended(ended_until)])
}

/// Makes the entry of the last confirmed programs ready for the moment at which they judge again: a count of jiffies, and the same deadline
/// in nanoseconds of the boot clock.
pub(in crate::dataplane) fn await_way_back(
    pins: &InterfacePins,
    generation: u64,
    way_back: u64,
    deadline: u64,
    clock: &Clock,
) -> Result<(), DataplaneError> {
    let control = read(pins, generation)?;
    // They may judge in a mode that was not confirmed either.
    let own = if control.deadline == 0 { 0 } else { control.deadline.min(deadline) };
    // What the pending programs let through may be answered after that moment.
    let memory = control.memory_until.max(way_back.saturating_add(on_the_way(clock)));
    store(pins, generation, &[Store::Deadline(own), Store::Memory(memory)])
}

/// Sets permanent modes, and removes every deadline.
pub(in crate::dataplane) fn write(pins: &InterfacePins, generation: u64, modes: Modes) -> Result<(), DataplaneError> {
    // Before a deadline, the first store takes effect; after it, the second. The third confirms.
    store(pins, generation, &[Store::Modes(modes), Store::Deadline(0), Store::WayBack(0)])
}

/// Removes deadlines that have not passed. With a way back this is what confirms: one store, for both directions.
pub(in crate::dataplane) fn lift(pins: &InterfacePins, generation: u64) -> Result<(), DataplaneError> {
    store(pins, generation, &[Store::Deadline(0), Store::WayBack(0)])
}

/// Sets the modes until a deadline, and the modes after it.
pub(in crate::dataplane) fn arm(
    pins: &InterfacePins,
    generation: u64,
    modes: Modes,
    deadline: u64,
    after: Modes,
) -> Result<(), DataplaneError> {
    let control = read(pins, generation)?;
    let now = in_force(&control, clock::since_boot());
    if control.deadline != 0 {
        // Removing the old deadline must not change the active modes.
        store(pins, generation, &[Store::Modes(now), Store::Deadline(0)])?;
    }
    store(pins, generation, &[Store::After(after), Store::Deadline(deadline), Store::Modes(modes)])
}

/// Sets the modes until the programs that were confirmed last judge again, and when that is.
pub(in crate::dataplane) fn arm_way_back(
    pins: &InterfacePins,
    generation: u64,
    modes: Modes,
    way_back: u64,
) -> Result<(), DataplaneError> {
    store(pins, generation, &[Store::WayBack(way_back), Store::Modes(modes)])
}

/// Makes programs that have a way back audit at the same deadline. The way back is still there.
pub(in crate::dataplane) fn audit_at(
    pins: &InterfacePins,
    generation: u64,
    deadline: u64,
) -> Result<(), DataplaneError> {
    store(pins, generation, &[Store::After(Modes::both(Mode::Audit)), Store::Deadline(deadline)])
}

/// Removes the way back alone.
pub(in crate::dataplane) fn lift_way_back(pins: &InterfacePins, generation: u64) -> Result<(), DataplaneError> {
    store(pins, generation, &[Store::WayBack(0)])
}

/// Restores an earlier entry.
pub(in crate::dataplane) fn put_back(
    pins: &InterfacePins,
    generation: u64,
    control: &Control,
) -> Result<(), DataplaneError> {
    open(pins, generation)?.set(0, *control, 0).with_context(|| context(pins))
}

/// Makes the programs look up remembered denials for at least this number of seconds from now.
pub(in crate::dataplane) fn look_at_memory_for(
    pins: &InterfacePins,
    generation: u64,
    clock: &Clock,
    seconds: u32,
) -> Result<(), DataplaneError> {
    let until = later(clock, seconds).max(read(pins, generation)?.memory_until);
    store(pins, generation, &[Store::Memory(until)])
}

/// This number of seconds from now, in jiffies.
pub(in crate::dataplane) fn later(clock: &Clock, seconds: u32) -> u64 {
    clock.jiffies_now().saturating_add(u64::from(seconds) * u64::from(clock.hz))
}

/// Jiffies for which answers to packets that audit let through may be on their way.
fn on_the_way(clock: &Clock) -> u64 {
    u64::from(clock.hz / DenialState::ON_THE_WAY)
}

enum Store {
    Modes(Modes),
    Deadline(u64),
    After(Modes),
    Memory(u64),
    Ended(u64),
    WayBack(u64),
}

/// Changes one field after the other. The kernel copies the whole entry each time; the other fields keep their values.
fn store(pins: &InterfacePins, generation: u64, stores: &[Store]) -> Result<(), DataplaneError> {
    let mut map = open(pins, generation)?;
    let mut control = map.get(&0, 0).with_context(|| context(pins))?;
    // Before enforcement begins: answers to packets that audit let through may still be on their way.
    let mut next = control;
    for one in stores {
        change(&mut next, one);
    }
    let memory = begun_memory(pins, &control, &next)?.map(Store::Memory);
    for one in memory.iter().chain(stores) {
        change(&mut control, one);
        map.set(0, control, 0).with_context(|| context(pins))?;
    }
    Ok(())
}

fn change(control: &mut Control, store: &Store) {
    match store {
        Store::Memory(until) => control.memory_until = *until,
        Store::Ended(until) => control.ended_until = *until,
        Store::Modes(modes) => control.modes = modes.bits(),
        Store::Deadline(deadline) => control.deadline = *deadline,
        Store::After(modes) => control.modes_after = modes.bits(),
        Store::WayBack(way_back) => control.way_back = *way_back,
    }
}

/// Until when the programs must look up remembered denials because of a change of the entry: when inbound enforcement begins, now or at
/// the deadline, answers to packets that audit let through may still be on their way.
fn begun_memory(pins: &InterfacePins, before: &Control, next: &Control) -> Result<Option<u64>, DataplaneError> {
    let now = clock::since_boot();
    let Some(begins) = enforcement_begins(before, next, now) else { return Ok(None) };
    // Without a record the interface was not protected, so no packet was refused.
    let Some(record) = pins.record()? else { return Ok(None) };
    let clock = record.clock;
    let ticks = u128::from(begins - now) * u128::from(clock.hz) / 1_000_000_000;
    let until = clock.jiffies_now().saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX));
    Ok(Some(until.saturating_add(on_the_way(&clock))))
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

fn open(pins: &InterfacePins, generation: u64) -> Result<Array<MapData, Control>, DataplaneError> {
    let data = MapData::from_pin(pins.control(generation)).with_context(|| context(pins))?;
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
