//! The interfaces that a policy names, and the state of each.

use super::policy::Followed;
use crate::dataplane::{
    PlannedInterface, Protected, Said, detached, here, modes_in_force, once_called, protected, reading, status,
};
use crate::failure::Failure;
use crate::host::links::{Link, links};
use crate::policy::modes::SaidModes;
use crate::protect::interfaces::planned;
use crate::state::last_good::{LastGood, kept};

/// An existing interface that the policy names.
pub(super) struct Target {
    pub(super) planned: PlannedInterface,
    pub(super) link: Link,
    pub(super) in_force: Option<Protected>,
    pub(super) kept: Option<LastGood>,
}

/// How thoroughly an interface is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// Only whether the programs are attached.
    Hooks,
    /// Also whether the tables contain what was applied.
    Tables,
}

impl Target {
    /// Whether another policy than the followed one is active.
    pub(super) fn is_other(&self, followed: &Followed) -> bool {
        self.in_force.as_ref().is_some_and(|one| one.record.policy_hash != followed.ruleset.hash)
    }

    /// Whether the active policy was compiled from the same text on another day and the text now compiles differently, for example
    /// because a rule has expired.
    pub(super) fn is_outdated(&self, followed: &Followed) -> bool {
        let (Some(in_force), Some(kept)) = (&self.in_force, &self.kept) else { return false };
        self.is_other(followed)
            && in_force.record.policy_hash == kept.policy_hash
            && followed.is_same_text(kept)
            && followed.compiled > in_force.record.applied
    }

    /// Whether the followed policy is active and undamaged, so that nothing has to be done.
    pub(super) fn is_current(&self, followed: &Followed) -> bool {
        let (Some(in_force), Some(kept)) = (&self.in_force, &self.kept) else { return false };
        followed.is_same_text(kept)
            && in_force.record.index == self.link.index
            && in_force.record.policy_hash == followed.ruleset.hash
            && in_force.record.protects == self.planned.protects
            && status(in_force).is_ok_and(|status| !status.drift)
    }

    /// The planned interface. If its modes in the kernel are gone, it gets the saved modes: a repair must not end enforcement.
    pub(super) fn with_modes(&self) -> PlannedInterface {
        let is_known = self.in_force.as_ref().is_none_or(|one| modes_in_force(one).is_ok());
        let kept = self.kept.as_ref().filter(|_| !is_known);
        let asked =
            SaidModes { inbound: kept.map(|kept| kept.modes.inbound), outbound: kept.map(|kept| kept.modes.outbound) };
        PlannedInterface { said: Said { asked, ..self.planned.said }, ..self.planned.clone() }
    }
}

/// The existing interfaces that a policy names.
pub(super) fn targets(followed: &Followed) -> Result<Vec<Target>, Failure> {
    let links = links()?;
    let mut in_force = protected(&[])?;
    // Files that cannot be read are skipped here; `boot` reports them.
    let (mut kept, _) = kept(here()?).map_err(anyhow::Error::from)?;
    let found = planned(&followed.site, None, &links).interfaces.into_iter().filter_map(|planned| {
        let link = links.iter().find(|link| link.name == planned.name)?.clone();
        // A renamed interface still has its programs, under its old name.
        let once = once_called(&in_force, &link).map(|one| one.interface.clone());
        let name = once.as_ref().unwrap_or(&planned.name);
        let in_force = position(&in_force, |one| one.interface == *name).map(|at| in_force.swap_remove(at));
        let kept = position(&kept, |one| one.interface == planned.name).map(|at| kept.swap_remove(at));
        Some(Target { planned, link, in_force, kept })
    });
    Ok(found.collect())
}

fn position<T>(all: &[T], is_it: impl Fn(&T) -> bool) -> Option<usize> {
    all.iter().position(is_it)
}

/// The interfaces, each with its problems. Holds the shared lock, so that a running `apply` or `detach` is not taken for damage.
pub(super) fn survey(followed: &Followed, look: Look) -> Result<Vec<(Target, Vec<String>)>, Failure> {
    let _reading = reading()?;
    let problems = |target: &Target| match (&target.in_force, look) {
        (None, _) => Vec::new(),
        (Some(in_force), Look::Hooks) => detached(in_force),
        (Some(in_force), Look::Tables) => match status(in_force) {
            Ok(found) if found.drift => found.problems,
            Ok(_) => Vec::new(),
            Err(error) => vec![format!("{:#}", anyhow::Error::from(error))],
        },
    };
    let with_problems = |target: Target| {
        let found = problems(&target);
        (target, found)
    };
    Ok(targets(followed)?.into_iter().map(with_problems).collect())
}
