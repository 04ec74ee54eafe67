//! The deadline of a change that is to be confirmed: what the kernel does by itself when it passes, and arming it.

use std::time::Duration;

use enforcer_common::layout::Control;
use enforcer_common::{Direction, Mode};

use super::applied::{AtDeadline, OTHER_HOOK};
use super::restorer;
use super::switch::{Old, Staged};
use crate::dataplane::error::DataplaneError;
use crate::dataplane::kinds::Attached;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::{Before, DeadlineKind, Pending};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::plan::Plan;
use crate::dataplane::sys::clock::{self, Clock};
use crate::policy::modes::Modes;

/// A deadline for a confirmation, and its restoring process.
pub(in crate::dataplane) struct Deadline {
    token: u64,
    at: u64,
    restorer: u32,
}

impl Deadline {
    /// Starts the restoring process. The deadline is not armed yet.
    pub(in crate::dataplane) fn start(within: Duration) -> Result<Self, DataplaneError> {
        let now = clock::since_boot();
        // Commands that arm deadlines hold the lock: no two read the same nanosecond.
        let token = now;
        let at = now.saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
        Ok(Self { token, at, restorer: restorer::start(token, at)? })
    }

    /// When it passes, in nanoseconds of the boot clock.
    pub(in crate::dataplane) const fn at(&self) -> u64 {
        self.at
    }

    /// The record of the deadline. What was confirmed last stays so through any number of unconfirmed changes.
    fn pending(&self, old: Option<&Old>) -> Pending {
        Pending {
            kind: DeadlineKind::Unconfirmed,
            deadline: self.at,
            token: self.token,
            restorer: Some(self.restorer),
            before: old.and_then(last_good),
            outcome: None,
            trouble: None,
            dispatched: None,
            is_back: false,
        }
    }

    /// The control entry of programs that judge until the deadline.
    fn of(&self, control: Control, at_deadline: &AtDeadline, clock: &Clock) -> Control {
        match at_deadline {
            AtDeadline::Confirmed { .. } => Control { way_back: clock.jiffies_at(self.at), ..control },
            AtDeadline::Nothing | AtDeadline::Audit(_) => {
                Control { deadline: self.at, modes_after: Modes::both(Mode::Audit).bits(), ..control }
            }
        }
    }

    /// Arms it for a change of modes.
    pub(super) fn arm(&self, pins: &InterfacePins, old: &Old, modes: Modes) -> Result<(), DataplaneError> {
        let pending = self.pending(Some(old));
        let waits = old.pending.as_ref().filter(|pending| pending.is_armed() && pending.is_dispatched());
        if let (Some(Pending { dispatched, .. }), Some(before)) = (waits, &pending.before) {
            // The new policy waits as well. In the kernel first: there the way back may come later than recorded, and never earlier.
            let (clock, confirmed) = (&old.record.clock, before.record.generation);
            let way_back = clock.jiffies_at(self.at);
            control::await_way_back(pins, confirmed, way_back, self.at, clock)?;
            control::arm_way_back(pins, old.record.generation, modes, way_back)?;
            return Pending { dispatched: *dispatched, ..pending }.write(pins);
        }
        let after = match &pending.before {
            Some(before) if before.record.generation == old.record.generation => before.modes,
            _ => Modes::both(Mode::Audit),
        };
        pending.write(pins)?;
        control::arm(pins, old.record.generation, modes, self.at, after)
    }
}

/// The last confirmed policy, before any number of unconfirmed changes.
pub(super) fn last_good(old: &Old) -> Option<Before> {
    match &old.pending {
        Some(pending) if pending.is_armed() || pending.is_of_unconfirmed() => pending.before.clone(),
        _ => Some(Before { record: old.record.clone(), modes: old.modes }),
    }
}

/// Sets the modes of the new programs, and arms the deadline. Each program judges in the modes of its own policy, so the old ones go on in
/// theirs until they are replaced.
/// `window` are the modes to which an open change window returns.
pub(super) fn before_switch(
    staged: &mut Staged,
    modes: Modes,
    window: Option<Modes>,
    deadline: Option<&Deadline>,
    clock: &Clock,
    ends_for: u32,
) -> Result<(), DataplaneError> {
    staged.is_touched = true;
    let Staged { pins, generation, old, at_deadline, .. } = staged;
    let plain = Control { modes: modes.bits(), ended_until: control::later(clock, ends_for), ..Control::default() };
    let next = match (deadline, window, &old) {
        (Some(deadline), ..) => deadline.of(plain, at_deadline, clock),
        // It goes on, and ends when it would have ended.
        (None, Some(_), Some(Old { control, .. })) => {
            Control { deadline: control.deadline, modes_after: control.modes_after, ..plain }
        }
        (None, ..) => plain,
    };
    control::begin(pins, *generation, old.as_ref().map(|old| &old.control), next)?;
    let Some(deadline) = deadline else { return Ok(()) };
    let pending = deadline.pending(old.as_ref());
    let AtDeadline::Confirmed { .. } = at_deadline else { return pending.write(pins) };
    if let Some(before) = &pending.before {
        control::await_way_back(pins, before.record.generation, next.way_back, deadline.at(), clock)?;
    }
    Pending { dispatched: Some(*generation), ..pending }.write(pins)
}

/// Sets what depends on the moment at which all hooks have the new policy, and removes a deadline that was armed before.
pub(super) fn after_switch(
    staged: &Staged,
    is_for_good: bool,
    clock: &Clock,
    ends_for: u32,
) -> Result<(), DataplaneError> {
    let Staged { pins, generation, old, .. } = staged;
    let before = old.as_ref().map(|old| &old.control);
    control::count_from_now(pins, *generation, before, control::later(clock, ends_for))?;
    if is_for_good {
        return Pending::remove(pins);
    }
    Ok(())
}

/// What the kernel can do by itself at the deadline of a change.
pub(super) fn at_deadline(plan: &Plan<'_>, next: &Staged, is_taken_over: bool) -> AtDeadline {
    if plan.confirm_within.is_none() {
        return AtDeadline::Nothing;
    }
    let audit = |why: &str| AtDeadline::Audit(why.to_owned());
    let Some(Before { record, .. }) = next.old.as_ref().and_then(last_good) else {
        return audit(if is_taken_over {
            "the policy before is of another version of enforcer"
        } else {
            "no confirmed policy was in force before"
        });
    };
    let is_same = |direction: Direction, now: &Attached| {
        record.direction(direction).is_some_and(|before| before.attach_mode == now.attach_mode)
    };
    if !is_same(Direction::Inbound, &next.inbound) || !is_same(Direction::Outbound, &next.outbound) {
        return audit(OTHER_HOOK);
    }
    AtDeadline::Confirmed { policy_hash: record.policy_hash, at: 0 }
}
