//! Changes of mode: permanent, or until a deadline.
//!
//! A change without a deadline is permanent. It removes an armed deadline, because an operator who can run the command is not locked
//! out. Only permanent changes are saved for the next boot.

use std::time::Duration;

use super::confirm_within::Deadline;
use super::straighten::straighten_all;
use super::switch::Old;
use super::way_back::refuse_overdue;
use crate::dataplane::change::switch::sweep_unused;
use crate::dataplane::error::DataplaneError;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::{Before, DeadlineKind, Pending};
use crate::dataplane::mode::resulting::settled_by;
use crate::dataplane::pin::document::write_record;
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::clock;
use crate::policy::modes::{ModeChange, Modes};
use crate::state::last_good::{self, LastGood, State};

/// How long a change of mode lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Until {
    /// Permanent.
    Good,
    /// Until the deadline, unless it is confirmed before.
    Confirmed(Duration),
    /// Until the deadline, at which the programs enforce again.
    Window(Duration),
}

/// The result of a change of mode on one interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Name of the interface.
    pub interface: String,
    /// The modes before.
    pub before: Modes,
    /// The active modes.
    pub now: Modes,
    /// The armed deadline; `None`: there is none.
    pub deadline: Option<Pending>,
    /// The deadline that this change removed; `None`: there was none.
    pub lifted: Option<Pending>,
    /// Why the modes could not be saved for the next boot; `None`: they were saved.
    pub not_kept: Option<String>,
    /// Whether the active policy is unconfirmed, so that the next boot does not apply it.
    pub never_confirmed: bool,
}

/// Changes the mode of protected interfaces.
///
/// # Errors
/// When a deadline that is armed forbids it, or something cannot be read or written; then none is changed.
pub fn set_modes(interfaces: &[Protected], change: ModeChange, until: Until) -> Result<Vec<Changed>, DataplaneError> {
    let _lock = lock()?;
    refuse_overdue()?;
    let olds = olds(interfaces)?;
    // The mode is changed even if it cannot be saved, for example on a read-only disk.
    let kept: Vec<_> = interfaces.iter().map(|one| State::of(one.pins.name()).before().ok()).collect();
    let mut changed = Vec::new();
    let result = match until {
        Until::Good => change_for_good(interfaces, &olds, change, &mut changed),
        Until::Confirmed(within) => change_unconfirmed(interfaces, &olds, change, within, &mut changed),
        Until::Window(length) => open_window(interfaces, &olds, change, length, &mut changed),
    };
    if let Err(error) = result {
        for (one, old) in interfaces.iter().zip(&olds).take(changed.len() + 1) {
            // Report the first error.
            let _ = control::put_back(&one.pins, old.judging, &old.control);
            let _ = match &old.pending {
                Some(pending) => pending.write(&one.pins),
                None => Pending::remove(&one.pins),
            };
        }
        kept.into_iter().flatten().for_each(last_good::Before::put_back);
        return Err(error);
    }
    kept.into_iter().flatten().for_each(last_good::Before::forget);
    straighten_all(interfaces);
    sweep_unused(interfaces);
    Ok(changed)
}

fn olds(interfaces: &[Protected]) -> Result<Vec<Old>, DataplaneError> {
    interfaces
        .iter()
        .map(|one| {
            // It may have been applied anew before we held the lock.
            let record = one.pins.record()?.unwrap_or_else(|| one.record.clone());
            control::pin_again(&one.pins, &record)?;
            Old::read(&one.pins, record)
        })
        .collect()
}

/// Refuses a deadline on a policy that judges by itself only because its programs could not be put on the hooks.
fn refuse_held(interfaces: &[Protected], olds: &[Old]) -> Result<(), DataplaneError> {
    let Some((one, _)) = interfaces.iter().zip(olds).find(|(_, old)| old.judging != old.record.generation) else {
        return Ok(());
    };
    Err(DataplaneError::Refused(format!(
        "the last change of {} was not confirmed, and the last confirmed policy could not be put back on its hooks, although it judges; run \
         `enforcer apply` first",
        one.interface
    )))
}

fn armed(old: &Old, kind: DeadlineKind) -> Option<&Pending> {
    old.pending.as_ref().filter(|pending| pending.kind == kind && pending.is_armed())
}

fn change_for_good(
    interfaces: &[Protected],
    olds: &[Old],
    change: ModeChange,
    changed: &mut Vec<Changed>,
) -> Result<(), DataplaneError> {
    for (one, old) in interfaces.iter().zip(olds) {
        let now = change.of(old.modes);
        if let Some(pending) = old.pending.as_ref().filter(|pending| pending.is_of_unconfirmed() && !pending.is_armed())
        {
            changed.push(change_never_confirmed(one, old, pending, change)?);
            continue;
        }
        let mut lifted = old.pending.clone().filter(Pending::is_armed);
        let mut good = now;
        if let Some((pending, before)) =
            armed(old, DeadlineKind::Window).and_then(|pending| Some((pending, pending.before.as_ref()?)))
        {
            // In a window the other direction keeps what it will return to.
            good = change.of(before.modes);
            if good == now {
                control::write(&one.pins, old.judging, now)?;
                Pending::remove(&one.pins)?;
            } else {
                let before = Before { modes: good, ..before.clone() };
                Pending { before: Some(before), ..pending.clone() }.write(&one.pins)?;
                control::arm(&one.pins, old.judging, now, pending.deadline, good)?;
                lifted = None;
            }
        } else {
            control::write(&one.pins, old.judging, now)?;
            Pending::remove(&one.pins)?;
        }
        settle(&one.pins, old, change)?;
        let not_kept = keep_modes(&one.pins, old, good, Some(change));
        let deadline = Pending::read(&one.pins)?.filter(Pending::is_armed);
        changed.push(Changed {
            interface: one.interface.clone(),
            before: old.modes,
            now,
            deadline,
            lifted,
            not_kept,
            never_confirmed: false,
        });
    }
    Ok(())
}

/// The policy in force was not confirmed by its deadline, and there was nothing to restore. It may enforce where an operator says
/// so, but it is not what the next boot protects by: only a confirmed policy is.
fn change_never_confirmed(
    one: &Protected,
    old: &Old,
    pending: &Pending,
    change: ModeChange,
) -> Result<Changed, DataplaneError> {
    let now = change.of(old.modes);
    if now.enforces()
        && !pending.is_dispatched()
        && let (Some(why), Some(_)) = (pending.trouble(), &pending.before)
    {
        return Err(DataplaneError::Refused(format!(
            "the active policy of {0} was not confirmed by {1}, and the last confirmed one cannot be restored ({why}); nothing was \
             changed; run `enforcer apply` with the policy that should enforce",
            one.interface,
            pending.at()
        )));
    }
    control::write(&one.pins, old.judging, now)?;
    settle(&one.pins, old, change)?;
    let mut not_kept = None;
    if let Some(before) = &pending.before {
        // Should it be possible to restore it later, then with this mode.
        let modes = change.of(before.modes);
        Pending { before: Some(Before { modes, ..before.clone() }), ..pending.clone() }.write(&one.pins)?;
        not_kept = keep_good_modes(&one.pins, modes, change);
    }
    Ok(Changed {
        interface: one.interface.clone(),
        before: old.modes,
        now,
        deadline: None,
        lifted: None,
        not_kept,
        never_confirmed: now.enforces() && !pending.is_dispatched(),
    })
}

/// Saves the modes of the last confirmed policy, if there is one.
fn keep_good_modes(pins: &InterfacePins, modes: Modes, change: ModeChange) -> Option<String> {
    let state = State::of(pins.name());
    let good = state.good()?;
    let settled_modes = settled_by(change, good.settled_modes, good.site_modes);
    state
        .replace_good(&LastGood { modes, settled_modes, ..good })
        .err()
        .map(|error| format!("{:#}", anyhow::Error::from(error)))
}

fn change_unconfirmed(
    interfaces: &[Protected],
    olds: &[Old],
    change: ModeChange,
    within: Duration,
    changed: &mut Vec<Changed>,
) -> Result<(), DataplaneError> {
    for (one, old) in interfaces.iter().zip(olds) {
        if let Some(window) = armed(old, DeadlineKind::Window) {
            return Err(DataplaneError::Refused(format!(
                "a change window is open on {} until {}, and a deadline cannot stand inside it; end it first with \
                 `enforcer mode enforce` or `enforcer mode audit`",
                one.interface,
                window.at()
            )));
        }
    }
    refuse_held(interfaces, olds)?;
    let deadline = Deadline::start(within)?;
    for (one, old) in interfaces.iter().zip(olds) {
        let now = change.of(old.modes);
        // The modes do not change and no change waits, so no confirmation is needed.
        let is_needed = now != old.modes || armed(old, DeadlineKind::Unconfirmed).is_some();
        let mut not_kept = None;
        if is_needed {
            deadline.arm(&one.pins, old, now)?;
            not_kept = keep_modes(&one.pins, old, now, None);
        }
        changed.push(Changed {
            interface: one.interface.clone(),
            before: old.modes,
            now,
            deadline: Pending::read(&one.pins)?.filter(Pending::is_armed),
            lifted: None,
            not_kept,
            never_confirmed: false,
        });
    }
    Ok(())
}

fn open_window(
    interfaces: &[Protected],
    olds: &[Old],
    change: ModeChange,
    length: Duration,
    changed: &mut Vec<Changed>,
) -> Result<(), DataplaneError> {
    for (one, old) in interfaces.iter().zip(olds) {
        if let Some(pending) = armed(old, DeadlineKind::Unconfirmed) {
            return Err(DataplaneError::Refused(format!(
                "a change of {} waits for confirmation until {}, and a window would return to this unconfirmed change; run `enforcer \
                 confirm` first, or `enforcer mode audit`, which is permanent",
                one.interface,
                pending.at()
            )));
        }
    }
    refuse_held(interfaces, olds)?;
    let now = clock::since_boot();
    let deadline = now.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
    for (one, old) in interfaces.iter().zip(olds) {
        let after = match armed(old, DeadlineKind::Window).and_then(|pending| pending.before.as_ref()) {
            Some(before) => before.modes,
            None => old.modes,
        };
        let modes = change.of(old.modes);
        if modes != after {
            let before = Before { record: old.record.clone(), modes: after };
            let kind = DeadlineKind::Window;
            let (token, before) = (now, Some(before));
            let (outcome, trouble, dispatched) = (None, None, None);
            let window =
                Pending { kind, deadline, token, restorer: None, before, outcome, trouble, dispatched, is_back: false };
            window.write(&one.pins)?;
            control::arm(&one.pins, old.judging, modes, deadline, after)?;
        }
        changed.push(Changed {
            interface: one.interface.clone(),
            before: old.modes,
            now: modes,
            deadline: Pending::read(&one.pins)?.filter(Pending::is_armed),
            lifted: None,
            not_kept: None,
            never_confirmed: false,
        });
    }
    Ok(())
}

/// Records that a permanent mode set by an operator replaces the mode of the site file, so `mode held` ends.
fn settle(pins: &InterfacePins, old: &Old, change: ModeChange) -> Result<(), DataplaneError> {
    let record = &old.record;
    let settled_modes = settled_by(change, record.settled_modes, record.site_modes);
    if settled_modes == record.settled_modes {
        return Ok(());
    }
    write_record(&pins.map("record"), &InterfaceRecord { settled_modes, ..record.clone() })
}

/// Saves the modes for the next boot, together with their policy; with `change`, they are permanent. Returns the reason if this
/// fails.
fn keep_modes(pins: &InterfacePins, old: &Old, modes: Modes, change: Option<ModeChange>) -> Option<String> {
    let state = State::of(pins.name());
    // Until it is confirmed, the policy in force is the one that waits; unless the one before it was put back.
    let waits = old.pending.as_ref().is_some_and(Pending::is_of_unconfirmed);
    let waiting = if waits { state.staged() } else { None };
    let Some(known) = waiting.or_else(|| state.good()) else {
        return Some("the active policy is not saved for the next boot; `enforcer apply` saves it".to_owned());
    };
    let settled = |change: ModeChange| settled_by(change, known.settled_modes, known.site_modes);
    let settled_modes = change.map_or(known.settled_modes, settled);
    let result = state.stage(&LastGood { modes, settled_modes, ..known });
    let result = if change.is_some() { result.and_then(|()| state.keep()) } else { result };
    result.err().map(|error| format!("{:#}", anyhow::Error::from(error)))
}
