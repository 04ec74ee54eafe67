//! Confirming a change before its deadline.

use jiff::Timestamp;

use crate::dataplane::change::straighten::straighten_all;
use crate::dataplane::change::switch::sweep_unused;
use crate::dataplane::change::way_back::finish;
use crate::dataplane::error::DataplaneError;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::{DeadlineKind, DeadlineOutcome, Pending};
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::state::last_good::State;

/// The result of `confirm` on one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Confirmation {
    /// The change is now permanent.
    Confirmed {
        /// Why the policy could not be saved for the next boot.
        not_kept: Option<String>,
    },
    /// No change waits for confirmation.
    Nothing,
    /// A change window is open until this time; it needs no confirmation.
    Window(Timestamp),
    /// The deadline has already passed.
    TooLate(Timestamp, Option<DeadlineOutcome>),
    /// The confirmation failed, with the reason.
    Failed(String),
}

/// Confirms the changes that wait for confirmation. A failure on one interface does not stop the others.
///
/// # Errors
/// When the lock cannot be taken.
pub fn confirm(interfaces: &[Protected]) -> Result<Vec<Confirmation>, DataplaneError> {
    let _lock = lock()?;
    finish(Pending::is_overdue)?;
    let failed = |error| Confirmation::Failed(format!("{:#}", anyhow::Error::from(error)));
    let found = interfaces.iter().map(|one| confirm_one(&one.pins).unwrap_or_else(failed)).collect();
    straighten_all(interfaces);
    sweep_unused(interfaces);
    Ok(found)
}

/// Said of a change that waits, and has not reached every hook.
const UNFINISHED: &str = "the command that applied this change was killed before it was finished; run `enforcer apply` again, or wait for the \
                          deadline, at which the last confirmed policy judges again";

pub(super) fn confirm_one(pins: &InterfacePins) -> Result<Confirmation, DataplaneError> {
    let Some(pending) = Pending::read(pins)? else { return Ok(Confirmation::Nothing) };
    Ok(match (pending.kind, pending.is_armed()) {
        (DeadlineKind::Window, true) => Confirmation::Window(pending.at()),
        (DeadlineKind::Window, false) => Confirmation::Nothing,
        (DeadlineKind::Unconfirmed, true) => {
            let record = pins.record()?;
            let generation = record.as_ref().map(|record| record.generation);
            if pending.dispatched.is_some() && pending.dispatched != generation {
                return Ok(Confirmation::Failed(UNFINISHED.to_owned()));
            }
            if let Some(generation) = generation {
                control::lift(pins, generation)?;
            }
            Pending::remove(pins)?;
            let kept = State::of(pins.name()).keep();
            Confirmation::Confirmed { not_kept: kept.err().map(|error| format!("{:#}", anyhow::Error::from(error))) }
        }
        (DeadlineKind::Unconfirmed, false) => Confirmation::TooLate(pending.at(), pending.outcome),
    })
}
