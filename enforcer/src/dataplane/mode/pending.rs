//! The record of a deadline: an unconfirmed change, or a change window. The programs keep the deadline themselves; this record has
//! what is needed to restore the last confirmed policy.

use std::{fs, io};

use enforcer_common::way_back::is_past;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataplane::error::{DataplaneError, at};
use crate::dataplane::mode::control;
use crate::dataplane::pin::document::{read_record, write_record};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::clock;
use crate::policy::modes::Modes;

/// Why there is a deadline.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DeadlineKind {
    /// `--confirm-within`: after the deadline the last confirmed policy is restored.
    Unconfirmed,
    /// `mode audit --for`: after the deadline the programs enforce again.
    Window,
}

/// A deadline on an interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Pending {
    /// The reason for the deadline.
    pub(in crate::dataplane) kind: DeadlineKind,
    /// When, in nanoseconds of the boot clock.
    pub(in crate::dataplane) deadline: u64,
    /// Identifies the command that armed the deadline. A restoring process acts only on the deadlines of its own command.
    pub(in crate::dataplane) token: u64,
    /// Process id of the restoring process.
    pub(in crate::dataplane) restorer: Option<u32>,
    /// The last confirmed policy; `None`: the interface was not protected.
    pub(in crate::dataplane) before: Option<Before>,
    /// What was done after the deadline; `None`: nothing yet.
    pub(in crate::dataplane) outcome: Option<DeadlineOutcome>,
    /// The error of the last attempt to restore.
    #[serde(default)]
    pub(in crate::dataplane) trouble: Option<String>,
    /// The generation whose dispatcher is on the hooks: past the deadline the kernel itself judges by the last confirmed policy. `None`: the
    /// unconfirmed policy judges in audit then.
    #[serde(default)]
    pub(in crate::dataplane) dispatched: Option<u64>,
    /// Whether it does so already.
    #[serde(skip)]
    pub(in crate::dataplane) is_back: bool,
}

/// The last confirmed policy of an interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::dataplane) struct Before {
    pub(in crate::dataplane) record: InterfaceRecord,
    pub(in crate::dataplane) modes: Modes,
}

/// What was done after a deadline.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DeadlineOutcome {
    /// The previous policy and its modes were restored.
    Restored(Timestamp),
    /// There was no previous policy: the unconfirmed one stays, in audit.
    LeftInAudit(Timestamp),
}

/// The record of the deadline of a protected interface, armed or passed; `None`: there is none.
///
/// # Errors
/// When its record cannot be read.
pub fn pending(protected: &Protected) -> Result<Option<Pending>, DataplaneError> {
    Pending::read(&protected.pins)
}

impl Pending {
    /// The reason for the deadline.
    #[must_use]
    pub const fn kind(&self) -> DeadlineKind {
        self.kind
    }

    /// What was done when it had passed.
    #[must_use]
    pub const fn outcome(&self) -> Option<DeadlineOutcome> {
        self.outcome
    }

    /// The time of the deadline, past or future.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        clock::wall_time(self.deadline)
    }

    /// Whether the deadline is in the future and nothing was done about it.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.outcome.is_none() && !self.is_back && clock::since_boot() < self.deadline
    }

    /// Whether the kernel itself judges by the last confirmed policy past the deadline.
    #[must_use]
    pub const fn is_dispatched(&self) -> bool {
        self.dispatched.is_some() && self.outcome.is_none()
    }

    /// Hash of the last confirmed policy, to which this deadline leads back; `None`: there is none, or the policy in force is confirmed.
    #[must_use]
    pub fn confirmed_hash(&self) -> Option<&str> {
        let before =
            self.before.as_ref().filter(|_| self.kind == DeadlineKind::Unconfirmed && self.outcome.is_none())?;
        Some(before.record.policy_hash.as_str())
    }

    /// The last confirmed policy, if the kernel has gone back to it by itself and nothing else was done yet.
    pub(in crate::dataplane) fn judged_by(&self) -> Option<&Before> {
        self.before.as_ref().filter(|_| self.is_back)
    }

    /// Whether the deadline has passed without a confirmation, and the previous policy is not restored yet.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.kind == DeadlineKind::Unconfirmed && self.outcome.is_none() && !self.is_armed()
    }

    /// Whether the active policy is unconfirmed: before its deadline, or after it if nothing could be restored.
    #[must_use]
    pub const fn is_of_unconfirmed(&self) -> bool {
        matches!((self.kind, self.outcome), (DeadlineKind::Unconfirmed, None | Some(DeadlineOutcome::LeftInAudit(_))))
    }

    /// Why the previous policy could not be restored.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether the restoring process still runs.
    #[must_use]
    pub fn has_restorer(&self) -> bool {
        let Some(pid) = self.restorer else { return false };
        // Process ids are reused, so also look for the token in the command line.
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).split('\0').any(|word| word == self.token.to_string()))
    }

    /// The generation that must be kept, because it may be restored.
    pub(in crate::dataplane) fn needs_generation(&self) -> Option<u64> {
        if self.outcome.is_some() || self.kind == DeadlineKind::Window {
            return None;
        }
        self.before.as_ref().map(|before| before.record.generation)
    }

    /// Reads the record, with what the kernel has made of it. A change whose deadline was lifted in the kernel is confirmed, even if the
    /// command that did so was killed before it could remove the record.
    pub(in crate::dataplane) fn read(pins: &InterfacePins) -> Result<Option<Self>, DataplaneError> {
        let Some(mut pending) = Self::recorded(pins)? else { return Ok(None) };
        let Some(generation) = pending.dispatched.filter(|_| pending.outcome.is_none()) else {
            return Ok(Some(pending));
        };
        // Where the entry is gone, the record counts.
        let (Ok(control), Some(before)) = (control::read(pins, generation), &pending.before) else {
            return Ok(Some(pending));
        };
        if control.way_back == 0 {
            return Ok(None);
        }
        pending.is_back = is_past(before.record.clock.jiffies_now(), control.way_back);
        Ok(Some(pending))
    }

    /// Reads the record alone.
    pub(in crate::dataplane) fn recorded(pins: &InterfacePins) -> Result<Option<Self>, DataplaneError> {
        read_record(&pins.map("pending"))
    }

    /// Writes the record.
    pub(in crate::dataplane) fn write(&self, pins: &InterfacePins) -> Result<(), DataplaneError> {
        write_record(&pins.map("pending"), self)
    }

    /// Removes the record.
    pub(in crate::dataplane) fn remove(pins: &InterfacePins) -> Result<(), DataplaneError> {
        match fs::remove_file(pins.map("pending")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(pins.map("pending"))(error)),
            _ => Ok(()),
        }
    }
}
