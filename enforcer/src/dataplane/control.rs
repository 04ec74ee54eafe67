//! The modes in force: one store into the control map of an interface.

use aya::maps::{Array, Map, MapData};
use enforcer_common::layout::{Control, map};
use enforcer_common::{Direction, Mode};

use super::error::{DataplaneError, Doing as _};
use super::pins::{InterfacePins, Protected};

/// The mode of each direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Modes {
    /// Towards the host.
    pub inbound: Mode,
    /// From the host.
    pub outbound: Mode,
}

impl Modes {
    /// The same mode for both.
    #[must_use]
    pub const fn both(mode: Mode) -> Self {
        Self { inbound: mode, outbound: mode }
    }

    /// The mode of a direction.
    #[must_use]
    pub const fn of(self, direction: Direction) -> Mode {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }

    const fn bits(self) -> u64 {
        self.inbound as u64 | ((self.outbound as u64) << 1)
    }

    fn from_bits(bits: u64) -> Self {
        let mode = |bit: u64| if bits & bit == 0 { Mode::Audit } else { Mode::Enforce };
        Self { inbound: mode(1), outbound: mode(2) }
    }
}

/// What to change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ModeChange {
    /// The new mode.
    pub mode: Mode,
    /// Which directions.
    pub inbound: bool,
    /// Likewise.
    pub outbound: bool,
}

impl ModeChange {
    /// The modes after it, from those before it.
    #[must_use]
    pub const fn of(self, mut modes: Modes) -> Modes {
        if self.inbound {
            modes.inbound = self.mode;
        }
        if self.outbound {
            modes.outbound = self.mode;
        }
        modes
    }
}

/// Changes the mode of protected interfaces; gives back what was in force on each before.
///
/// # Errors
/// When a control map cannot be read or written; then none is changed.
pub fn set_modes(interfaces: &[Protected], change: ModeChange) -> Result<Vec<Modes>, DataplaneError> {
    let before = interfaces.iter().map(|one| modes(&one.pins)).collect::<Result<Vec<_>, _>>()?;
    for (one, old) in interfaces.iter().zip(&before) {
        write(&one.pins, change.of(*old))?;
    }
    Ok(before)
}

/// The modes in force on a protected interface.
///
/// # Errors
/// When its control map cannot be read.
pub fn modes_in_force(protected: &Protected) -> Result<Modes, DataplaneError> {
    modes(&protected.pins)
}

/// The modes in force on an interface.
pub(super) fn modes(pins: &InterfacePins) -> Result<Modes, DataplaneError> {
    let control = open(pins)?.get(&0, 0).doing(|| doing(pins))?;
    Ok(Modes::from_bits(control.modes))
}

/// Puts modes in force.
pub(super) fn write(pins: &InterfacePins, modes: Modes) -> Result<(), DataplaneError> {
    let mut map = open(pins)?;
    let control = map.get(&0, 0).doing(|| doing(pins))?;
    map.set(0, Control { modes: modes.bits(), ..control }, 0).doing(|| doing(pins))
}

fn open(pins: &InterfacePins) -> Result<Array<MapData, Control>, DataplaneError> {
    let data = MapData::from_pin(pins.map(map::CONTROL)).doing(|| doing(pins))?;
    Map::from_map_data(data).and_then(TryInto::try_into).doing(|| doing(pins))
}

fn doing(pins: &InterfacePins) -> String {
    format!("cannot use the control map of {}", pins.dir().display())
}
