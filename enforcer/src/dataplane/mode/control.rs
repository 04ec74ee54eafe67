//! The modes in force, and until when: single stores into the control map of an interface.
//!
//! A packet that is about to be dropped reads the deadline first and then one of the two modes. So what a packet may see between
//! two stores is always one of what was in force before and what comes into force: the order of the stores below is the reason.

use aya::maps::{Array, Map, MapData, MapInfo};
use aya::programs::ProgramInfo;
use enforcer_common::Direction;
use enforcer_common::layout::{Control, map};

use crate::dataplane::error::{DataplaneError, Doing as _};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::clock;
use crate::policy::ruleset::Modes;

impl From<Modes> for u64 {
    fn from(modes: Modes) -> Self {
        modes.bits()
    }
}

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
        for id in program.map_ids().doing(|| doing(pins))?.unwrap_or_default() {
            if MapInfo::from_id(id).doing(|| doing(pins))?.name_as_str() == Some(map::CONTROL) {
                return MapData::from_id(id).doing(|| doing(pins))?.pin(&path).doing(|| doing(pins));
            }
        }
    }
    Ok(())
}

/// The control entry as it is.
pub(in crate::dataplane) fn read(pins: &InterfacePins) -> Result<Control, DataplaneError> {
    open(pins)?.get(&0, 0).doing(|| doing(pins))
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
    open(pins)?.set(0, *control, 0).doing(|| doing(pins))
}

enum Store {
    Modes(Modes),
    Deadline(u64),
    After(Modes),
}

/// Changes one field after the other. The kernel copies the whole entry each time, and the other fields onto themselves.
fn store(pins: &InterfacePins, stores: &[Store]) -> Result<(), DataplaneError> {
    let mut map = open(pins)?;
    let mut control = map.get(&0, 0).doing(|| doing(pins))?;
    for one in stores {
        match one {
            Store::Modes(modes) => control.modes = modes.bits(),
            Store::Deadline(deadline) => control.deadline = *deadline,
            Store::After(modes) => control.modes_after = modes.bits(),
        }
        map.set(0, control, 0).doing(|| doing(pins))?;
    }
    Ok(())
}

fn open(pins: &InterfacePins) -> Result<Array<MapData, Control>, DataplaneError> {
    let data = MapData::from_pin(pins.map(map::CONTROL)).doing(|| doing(pins))?;
    Map::from_map_data(data).and_then(TryInto::try_into).doing(|| doing(pins))
}

fn doing(pins: &InterfacePins) -> String {
    format!("cannot use the control map of {}", pins.dir().display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use enforcer_common::Mode;

    #[test]
    fn past_the_deadline_other_modes_count() {
        let (audit, enforce) = (Modes::both(Mode::Audit), Modes::both(Mode::Enforce));
        let control = Control { modes: enforce.bits(), deadline: 10, modes_after: audit.bits() };
        assert_eq!(in_force(&control, 9), enforce);
        assert_eq!(in_force(&control, 10), audit);
        assert_eq!(in_force(&Control { deadline: 0, ..control }, 10), enforce);
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
