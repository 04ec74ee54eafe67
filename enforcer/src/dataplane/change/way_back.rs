//! Reverts changes that were not confirmed in time. The restoring process does so at the deadline. If that process is gone, the next
//! command that changes something does so first.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use enforcer_common::{Direction, Mode};
use jiff::Timestamp;

use super::refresh::write_addresses;
use super::straighten::{finish_confirmation, is_crooked};
use super::switch::{ORDER, Old, Staged, publish, sweep};
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::aside::finish_interrupted;
use crate::dataplane::hook::programs::program_id;
use crate::dataplane::kinds::Attached;
use crate::dataplane::mode::active;
use crate::dataplane::mode::control;
use crate::dataplane::mode::pending::{Before, DeadlineOutcome, Pending};
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::HostPins;
use crate::dataplane::pin::protected::{Protected, all_protected, policy};
use crate::dataplane::read::drift;
use crate::dataplane::read::status::detached;
use crate::dataplane::sys::clock;
use crate::host::links::{Link, links};
use crate::policy::modes::Modes;
use crate::state::last_good::State;

/// A change that was not confirmed by its deadline, and the result of reverting it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WayBack {
    /// The interface.
    pub interface: String,
    /// The deadline.
    pub deadline: Timestamp,
    /// The result.
    pub end: End,
    /// The active modes.
    pub modes: Modes,
}

/// The result of reverting an unconfirmed change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// The last confirmed policy and its modes are restored.
    Restored,
    /// There was no confirmed policy: the unconfirmed one stays, in audit.
    LeftInAudit,
    /// The previous policy could not be restored, with the reason: the unconfirmed one stays, in audit.
    Failed(String),
    /// The same, but the kernel itself judges by the last confirmed policy.
    Held(String),
    /// Not reverted yet: the next command that changes something does so.
    Open,
    /// The same, but the kernel itself judges by the last confirmed policy.
    ByKernel,
}

impl End {
    /// Why an attempt failed, where the kernel has or has not gone back by itself.
    fn failed(why: String, pending: &Pending) -> Self {
        if pending.is_back { Self::Held(why) } else { Self::Failed(why) }
    }

    /// Whether an attempt failed.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Held(_))
    }
}

/// Reverts every change in this network namespace whose deadline has passed and that is not reverted yet.
///
/// # Errors
/// When the pins cannot be read. A failed restore is not an error here: it is [`End::Failed`].
pub fn finish_way_back() -> Result<Vec<WayBack>, DataplaneError> {
    if overdue()?.is_empty() && !any_crooked()? {
        return Ok(Vec::new());
    }
    let _lock = lock()?;
    finish(Pending::is_overdue)
}

/// Whether a confirmed change has not reached its hooks yet.
fn any_crooked() -> Result<bool, DataplaneError> {
    for one in all_protected()? {
        if is_crooked(&one)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Passed deadlines whose changes are not reverted, or could not be. Changes nothing.
///
/// # Errors
/// When the pins cannot be read.
pub fn overdue() -> Result<Vec<WayBack>, DataplaneError> {
    let mut found = Vec::new();
    for one in all_protected()? {
        let Some(pending) = Pending::read(&one.pins)?.filter(Pending::is_overdue) else { continue };
        let end = match (&pending.trouble, pending.is_back) {
            (Some(why), _) => End::failed(why.clone(), &pending),
            (None, true) => End::ByKernel,
            (None, false) => End::Open,
        };
        found.push(WayBack { deadline: pending.at(), end, modes: active::modes(&one.pins)?, interface: one.interface });
    }
    Ok(found)
}

/// Returns an error if a deadline has passed while the command was running, because its decisions were about another active policy.
/// The caller holds the lock.
pub(in crate::dataplane) fn refuse_overdue() -> Result<(), DataplaneError> {
    let late: Vec<WayBack> = finish(Pending::is_overdue)?.into_iter().filter(|one| !one.end.is_failure()).collect();
    let Some(first) = late.first() else { return Ok(()) };
    Err(DataplaneError::Refused(format!(
        "the deadline of {} passed while this command was running: {} {}; nothing else was changed, run the command again",
        first.interface, first.interface, first.end
    )))
}

/// Reverts the changes of the given deadlines. The caller holds the lock.
pub(in crate::dataplane) fn finish(is_meant: impl Fn(&Pending) -> bool) -> Result<Vec<WayBack>, DataplaneError> {
    let mut waiting = Vec::new();
    for one in all_protected()? {
        // A confirmation that was killed is finished. Its dispatcher judges by the same programs until that succeeds.
        let _ = finish_confirmation(&one);
        if let Some(pending) = Pending::read(&one.pins)?.filter(&is_meant) {
            waiting.push((one, pending));
        }
    }
    let Some(netns) = waiting.first().map(|(one, _)| one.record.netns) else { return Ok(Vec::new()) };
    let links = links().with_context(|| "cannot look at the interfaces".to_owned())?;
    // All of them together, so that no conversation of the host falls between two interfaces. Where that is not possible, one that
    // cannot be restored keeps no other from it.
    let mut failed = BTreeMap::new();
    if let Err(error) = put_back(&waiting, &links) {
        match waiting.as_slice() {
            [(one, _)] => drop(failed.insert(one.interface.clone(), sentence(error))),
            all => failed.extend(
                all.chunks(1)
                    .filter_map(|one| Some((one[0].0.interface.clone(), sentence(put_back(one, &links).err()?)))),
            ),
        }
    }
    let mut found = Vec::new();
    for (one, pending) in &waiting {
        let end = match (failed.remove(&one.interface), &pending.before) {
            (Some(why), _) => {
                // The kernel has acted by itself. That this cannot be noted changes nothing about it.
                let _ = Pending { trouble: Some(why.clone()), ..pending.clone() }.write(&one.pins);
                End::failed(why, pending)
            }
            (None, Some(_)) => End::Restored,
            (None, None) => End::LeftInAudit,
        };
        let modes = active::modes(&one.pins)?;
        found.push(WayBack { interface: one.interface.clone(), deadline: pending.at(), end, modes });
    }
    // What cannot be removed is tried again by the next command.
    let host = HostPins::of(netns);
    let _ = sweep(&host);
    // The guests have the addresses again that they had before.
    let _ = write_addresses(&host);
    Ok(found)
}

/// Restores the last confirmed policy on all of these interfaces, or on none.
fn put_back(waiting: &[(Protected, Pending)], links: &[Link]) -> Result<(), DataplaneError> {
    let mut staged = Vec::new();
    for (one, pending) in waiting {
        // Of a command or a restoring process that was killed in the middle of a change of hooks.
        finish_interrupted(&one.pins, &one.record)?;
        control::pin_again(&one.pins, &one.record)?;
        let Some(Before { record, .. }) = &pending.before else { continue };
        // A command that was killed before it could record what it had put on the hooks leaves the record of the policy before.
        if record.generation == one.record.generation && pending.dispatched.is_none() && detached(one).is_empty() {
            continue;
        }
        // An interface that is gone has no hook. What is recorded of it is put back all the same.
        let Some(link) = links.iter().find(|link| link.index == record.index) else { continue };
        check_kept(one, pending)?;
        let attached = |mode| Attached { attach_mode: mode, why: String::new() };
        let modes = [record.inbound, record.outbound.unwrap_or(record.inbound)].map(|one| attached(one.attach_mode));
        let old = Old::read(&one.pins, one.record.clone())?;
        staged.push(Staged::new(link, record.protects, &one.pins, record.generation, modes, Some(old)));
    }
    let result = switch_all(&mut staged);
    if let Err(error) = result {
        for one in &mut staged {
            one.discard();
        }
        return Err(error);
    }
    let now = clock::wall_time(clock::since_boot());
    for (one, pending) in waiting {
        let (generation, modes, outcome) = match &pending.before {
            Some(Before { record, modes }) => {
                if record.generation != one.record.generation {
                    publish(&one.pins, record)?;
                }
                if let Some(staged) = staged.iter().find(|staged| staged.interface == one.record.interface) {
                    let _ = staged.drop_moved();
                }
                (record.generation, *modes, DeadlineOutcome::Restored(now))
            }
            None => {
                let outcome = DeadlineOutcome::LeftInAudit(now);
                (one.record.generation, Modes::both(Mode::Audit), outcome)
            }
        };
        control::write(&one.pins, generation, modes)?;
        if matches!(outcome, DeadlineOutcome::Restored(_)) {
            State::of(one.pins.name()).drop_staged();
        }
        Pending { outcome: Some(outcome), trouble: None, ..pending.clone() }.write(&one.pins)?;
    }
    Ok(())
}

/// Checks that the previous policy is undamaged: a damaged one must not enforce.
fn check_kept(one: &Protected, pending: &Pending) -> Result<(), DataplaneError> {
    let Some(Before { record, .. }) = &pending.before else { return Ok(()) };
    for direction in Direction::ALL {
        let program = one.pins.generation(record.generation).join(direction.name());
        if program_id(&program).is_none() {
            return Err(DataplaneError::NotProtected(format!("its program {} is gone", program.display())));
        }
    }
    if drift::in_force(record)? != policy(record)?.tables_hash {
        return Err(DataplaneError::NotProtected("its tables were changed".to_owned()));
    }
    Ok(())
}

fn switch_all(staged: &mut [Staged]) -> Result<(), DataplaneError> {
    for direction in ORDER {
        for one in staged.iter_mut() {
            one.switch(direction)?;
        }
    }
    Ok(())
}

fn sentence(error: DataplaneError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

/// A sentence that starts with the name of the interface.
impl Display for WayBack {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { interface, deadline, end, modes } = self;
        write!(formatter, "{interface}: the change was not confirmed by {deadline}: ")?;
        match end {
            End::Open => write!(
                formatter,
                "the unconfirmed policy judges in {modes}; the next command that changes something restores the last confirmed policy"
            ),
            End::ByKernel => write!(
                formatter,
                "the kernel judges by the last confirmed policy in {modes}; the next command that changes something removes the unconfirmed one"
            ),
            End::Restored | End::LeftInAudit | End::Failed(_) | End::Held(_) => {
                write!(formatter, "it {end} (now {modes})")
            }
        }
    }
}

impl Display for End {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored => formatter.write_str("has the last confirmed policy and its modes again"),
            Self::LeftInAudit => formatter.write_str(
                "keeps the unconfirmed policy in audit, because there is no confirmed policy to restore; no packet is dropped",
            ),
            Self::Failed(why) => write!(
                formatter,
                "keeps the unconfirmed policy in audit, because the last confirmed one cannot be restored ({why}); no packet is dropped"
            ),
            Self::Held(why) => write!(
                formatter,
                "is judged by the last confirmed policy, by the kernel alone, because that policy cannot be put back on the hooks ({why}); run \
                 `enforcer apply`"
            ),
            Self::ByKernel => formatter.write_str("is judged by the last confirmed policy, by the kernel alone"),
            Self::Open => formatter.write_str("has not been restored yet"),
        }
    }
}
