//! Modes by direction, changes of them, and whom an interface protects.

use std::fmt::{self, Display, Formatter};

use enforcer_common::{Direction, Mode};
use serde::{Deserialize, Serialize};

/// Where the protected host is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protects {
    /// It is this one.
    #[default]
    Host,
    /// It is behind this interface.
    Guest,
}

impl Protects {
    /// The word used in the site file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Guest => "guest",
        }
    }
}

/// The mode of each direction.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "u64", into = "u64")]
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

    /// Modes that enforce only where both do.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self::from_bits(self.bits() & other.bits())
    }

    /// Whether any direction enforces.
    #[must_use]
    pub const fn enforces(self) -> bool {
        self.bits() != 0
    }

    pub(crate) const fn bits(self) -> u64 {
        self.inbound as u64 | ((self.outbound as u64) << 1)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self {
            inbound: if bits & 1 == 0 { Mode::Audit } else { Mode::Enforce },
            outbound: if bits & 2 == 0 { Mode::Audit } else { Mode::Enforce },
        }
    }
}

/// "enforce", or "inbound enforce, outbound audit".
impl Display for Modes {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.inbound == self.outbound {
            return formatter.write_str(self.inbound.name());
        }
        write!(formatter, "inbound {}, outbound {}", self.inbound.name(), self.outbound.name())
    }
}

impl From<u64> for Modes {
    fn from(bits: u64) -> Self {
        Self::from_bits(bits)
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
    /// The modes after the change.
    #[must_use]
    pub const fn of(self, before: Modes) -> Modes {
        Modes {
            inbound: if self.inbound { self.mode } else { before.inbound },
            outbound: if self.outbound { self.mode } else { before.outbound },
        }
    }
}
