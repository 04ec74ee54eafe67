//! What is not for good: a change that waits to be confirmed, or a change window. The data plane keeps the deadline itself; this
//! is what has to be known to put back what was in force before.

use std::fs;
use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock;
use super::control::Modes;
use super::error::{DataplaneError, at};
use super::pins::{InterfacePins, Protected};
use super::record::{InterfaceRecord, read_record, write_record};

/// Why there is a deadline.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Kind {
    /// `--confirm-within`: past the deadline what was confirmed last comes back.
    Unconfirmed,
    /// `mode audit --for`: past the deadline enforcement comes back, by itself.
    Window,
}

/// A deadline on an interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Pending {
    /// Why.
    pub(super) kind: Kind,
    /// When, in nanoseconds of the boot clock.
    pub(super) deadline: u64,
    /// Which command armed it: a restoring process acts for its own alone.
    pub(super) token: u64,
    /// The process that puts back what was in force before.
    pub(super) restorer: Option<u32>,
    /// What was confirmed last; `None`: the interface was not protected.
    pub(super) before: Option<Before>,
    /// What was done when the deadline had passed.
    pub(super) outcome: Option<Outcome>,
}

/// What was confirmed last.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Before {
    pub(super) record: InterfaceRecord,
    pub(super) modes: Modes,
}

/// What the restoring process did.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// The previous policy and its modes are in force again.
    Restored(Timestamp),
    /// There was none: the policy stays, in audit.
    LeftInAudit(Timestamp),
}

/// The deadline of a protected interface, or what became of one.
///
/// # Errors
/// When its record cannot be read.
pub fn pending(protected: &Protected) -> Result<Option<Pending>, DataplaneError> {
    Pending::read(&protected.pins)
}

impl Pending {
    /// Why there is a deadline.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What was done when it had passed.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// When it is, or was.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        clock::wall_time(self.deadline)
    }

    /// Whether it is still to come.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.outcome.is_none() && clock::since_boot() < self.deadline
    }

    /// Whether somebody will put back what was in force before.
    #[must_use]
    pub fn has_restorer(&self) -> bool {
        let Some(pid) = self.restorer else { return false };
        // A process id is used again some day; the token is in the command line of the right one alone.
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).split('\0').any(|word| word == self.token.to_string()))
    }

    /// The generation that must stay, to be put back.
    pub(super) fn needs_generation(&self) -> Option<u64> {
        if self.outcome.is_some() || self.kind == Kind::Window {
            return None;
        }
        self.before.as_ref().map(|before| before.record.generation)
    }

    /// Reads it.
    pub(super) fn read(pins: &InterfacePins) -> Result<Option<Self>, DataplaneError> {
        read_record(&pins.map("pending"))
    }

    /// Writes it.
    pub(super) fn write(&self, pins: &InterfacePins) -> Result<(), DataplaneError> {
        write_record(&pins.map("pending"), self)
    }

    /// Removes it.
    pub(super) fn remove(pins: &InterfacePins) -> Result<(), DataplaneError> {
        match fs::remove_file(pins.map("pending")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(pins.map("pending"))(error)),
            _ => Ok(()),
        }
    }
}
