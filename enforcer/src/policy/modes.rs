//! Modes by direction, changes of them, and whom an interface protects.

use std::fmt::{self, Display, Formatter};

use enforcer_common::{Direction, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// On which side of an interface the role runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protects {
    /// This host.
    #[default]
    Host,
    /// A guest behind a tap, veth or bridge port.
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

/// A value for each direction.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Written<T>")]
pub struct PerDirection<T> {
    /// Of packets towards the host.
    pub inbound: T,
    /// Of packets from the host.
    pub outbound: T,
}

/// The mode of each direction.
pub type Modes = PerDirection<Mode>;

/// The modes that a site file or an option names; `None`: it says nothing about this direction.
pub type SaidModes = PerDirection<Option<Mode>>;

impl<T: Copy> PerDirection<T> {
    /// The same value for both.
    #[must_use]
    pub const fn both(value: T) -> Self {
        Self { inbound: value, outbound: value }
    }

    /// The value of a direction.
    #[must_use]
    pub const fn of(self, direction: Direction) -> T {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }

    /// The value of a direction, to be changed.
    pub const fn of_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }
}

/// What files contain: names since layout 7, before that a pair, inbound first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Named { inbound: T, outbound: T },
    Pair([T; 2]),
}

impl<T> From<Written<T>> for PerDirection<T> {
    fn from(written: Written<T>) -> Self {
        match written {
            Written::Named { inbound, outbound } | Written::Pair([inbound, outbound]) => Self { inbound, outbound },
        }
    }
}

impl Modes {
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

/// A mode for some directions; the others keep theirs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ModeChange {
    /// The new mode.
    pub mode: Mode,
    /// Whether inbound changes.
    pub inbound: bool,
    /// Whether outbound changes.
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

#[cfg(test)]
mod tests {
    use enforcer_common::Mode::{Audit, Enforce};

    use super::*;

    #[test]
    fn modes_are_written_as_names_and_read_from_earlier_files_too() {
        let modes = Modes { inbound: Enforce, outbound: Audit };
        let written = r#"{"inbound":"enforce","outbound":"audit"}"#;
        assert_eq!(serde_json::to_string(&modes).unwrap(), written);
        for text in [written, r#"["enforce","audit"]"#] {
            assert_eq!(serde_json::from_str::<Modes>(text).unwrap(), modes, "{text}");
        }
        let said = SaidModes { inbound: None, outbound: Some(Enforce) };
        let written = r#"{"inbound":null,"outbound":"enforce"}"#;
        assert_eq!(serde_json::to_string(&said).unwrap(), written);
        for text in [written, r#"[null,"enforce"]"#] {
            assert_eq!(serde_json::from_str::<SaidModes>(text).unwrap(), said, "{text}");
        }
        for wrong in [r#"["enforce"]"#, r#"["Enforce","audit"]"#, r#"{"inbound":"enforce"}"#, "3"] {
            serde_json::from_str::<Modes>(wrong).unwrap_err();
        }
    }

    #[test]
    fn whom_an_interface_protects_is_written_as_in_a_site_file() {
        for protects in [Protects::Host, Protects::Guest] {
            assert_eq!(serde_json::to_value(protects).unwrap(), protects.name());
        }
    }
}
