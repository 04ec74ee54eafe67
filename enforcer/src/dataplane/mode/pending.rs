//! What is not for good: a change that waits to be confirmed, or a change window. The data plane keeps the deadline itself; this
//! is what has to be known to put back what was in force before.

use std::{fs, io};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataplane::error::{DataplaneError, at};
use crate::dataplane::pin::document::{read_record, write_record};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::clock;
use crate::policy::modes::Modes;

/// Why there is a deadline.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DeadlineKind {
    /// `--confirm-within`: past the deadline what was confirmed last comes back.
    Unconfirmed,
    /// `mode audit --for`: past the deadline enforcement comes back, by itself.
    Window,
}

/// A deadline on an interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Pending {
    /// Why.
    pub(in crate::dataplane) kind: DeadlineKind,
    /// When, in nanoseconds of the boot clock.
    pub(in crate::dataplane) deadline: u64,
    /// Which command armed it: a restoring process acts for its own alone.
    pub(in crate::dataplane) token: u64,
    /// The process that puts back what was in force before.
    pub(in crate::dataplane) restorer: Option<u32>,
    /// What was confirmed last; `None`: the interface was not protected.
    pub(in crate::dataplane) before: Option<Before>,
    /// What was done when the deadline had passed.
    pub(in crate::dataplane) outcome: Option<DeadlineOutcome>,
    /// Why that could not be done, when it was tried last.
    #[serde(default)]
    pub(in crate::dataplane) trouble: Option<String>,
}

/// What was confirmed last.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::dataplane) struct Before {
    pub(in crate::dataplane) record: InterfaceRecord,
    pub(in crate::dataplane) modes: Modes,
}

/// What the restoring process did.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DeadlineOutcome {
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
    pub const fn kind(&self) -> DeadlineKind {
        self.kind
    }

    /// What was done when it had passed.
    #[must_use]
    pub const fn outcome(&self) -> Option<DeadlineOutcome> {
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

    /// Whether it has passed without a confirmation, and nobody has restored what was in force before.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.kind == DeadlineKind::Unconfirmed && self.outcome.is_none() && !self.is_armed()
    }

    /// Whether the policy in force was never confirmed: its deadline is still to come, or has passed and nothing could be restored.
    #[must_use]
    pub const fn is_of_unconfirmed(&self) -> bool {
        matches!((self.kind, self.outcome), (DeadlineKind::Unconfirmed, None | Some(DeadlineOutcome::LeftInAudit(_))))
    }

    /// Why what was in force before could not be restored.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
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
    pub(in crate::dataplane) fn needs_generation(&self) -> Option<u64> {
        if self.outcome.is_some() || self.kind == DeadlineKind::Window {
            return None;
        }
        self.before.as_ref().map(|before| before.record.generation)
    }

    /// Reads it.
    pub(in crate::dataplane) fn read(pins: &InterfacePins) -> Result<Option<Self>, DataplaneError> {
        read_record(&pins.map("pending"))
    }

    /// Writes it.
    pub(in crate::dataplane) fn write(&self, pins: &InterfacePins) -> Result<(), DataplaneError> {
        write_record(&pins.map("pending"), self)
    }

    /// Removes it.
    pub(in crate::dataplane) fn remove(pins: &InterfacePins) -> Result<(), DataplaneError> {
        match fs::remove_file(pins.map("pending")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(pins.map("pending"))(error)),
            _ => Ok(()),
        }
    }
}
