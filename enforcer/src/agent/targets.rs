//! The interfaces that a policy speaks of, and how things stand with each of them.

use super::policy::Followed;
use crate::dataplane::{
    PlannedInterface, Protected, Said, detached, here, modes_in_force, once_called, protected, reading, status,
};
use crate::failure::Failure;
use crate::host::links::{Link, links};
use crate::policy::modes::SaidModes;
use crate::protect::interfaces::planned;
use crate::state::last_good::{LastGood, kept};

/// An interface that should be protected.
pub(super) struct Target {
    pub(super) planned: PlannedInterface,
    pub(super) link: Link,
    pub(super) in_force: Option<Protected>,
    pub(super) kept: Option<LastGood>,
}

/// How thoroughly to look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// Whether the programs are on their hooks.
    Hooks,
    /// Whether the tables hold what was applied, as well.
    Tables,
}

impl Target {
    /// Whether another policy is in force.
    pub(super) fn is_other(&self, followed: &Followed) -> bool {
        self.in_force.as_ref().is_some_and(|one| one.record.policy_hash != followed.ruleset.hash)
    }

    /// Whether what is in force was compiled from the same text, and the text means something else by now: a rule has expired.
    pub(super) fn is_outdated(&self, followed: &Followed) -> bool {
        let (Some(in_force), Some(kept)) = (&self.in_force, &self.kept) else { return false };
        self.is_other(followed)
            && in_force.record.policy_hash == kept.policy_hash
            && followed.is_same_text(kept)
            && followed.compiled > in_force.record.applied
    }

    /// Whether the policy is in force as it should be: then nothing is touched.
    pub(super) fn is_current(&self, followed: &Followed) -> bool {
        let (Some(in_force), Some(kept)) = (&self.in_force, &self.kept) else { return false };
        followed.is_same_text(kept)
            && in_force.record.index == self.link.index
            && in_force.record.policy_hash == followed.ruleset.hash
            && in_force.record.protects == self.planned.protects
            && status(in_force).is_ok_and(|status| !status.drift)
    }

    /// With the modes that were kept, where those in force are gone: what is gone must not come back in audit.
    pub(super) fn with_modes(&self) -> PlannedInterface {
        let is_known = self.in_force.as_ref().is_none_or(|one| modes_in_force(one).is_ok());
        let kept = self.kept.as_ref().filter(|_| !is_known);
        let asked =
            SaidModes { inbound: kept.map(|kept| kept.modes.inbound), outbound: kept.map(|kept| kept.modes.outbound) };
        PlannedInterface { said: Said { asked, ..self.planned.said }, ..self.planned.clone() }
    }
}

/// The interfaces that a policy speaks of and that are there.
pub(super) fn targets(followed: &Followed) -> Result<Vec<Target>, Failure> {
    let links = links()?;
    let mut in_force = protected(&[])?;
    // A file that cannot be read is one that says nothing; `boot` names it.
    let (mut kept, _) = kept(here()?).map_err(anyhow::Error::from)?;
    let found = planned(&followed.site, None, &links).interfaces.into_iter().filter_map(|planned| {
        let link = links.iter().find(|link| link.name == planned.name)?.clone();
        // What it had under another name is in force on it still.
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

/// The interfaces, each with what is wrong with it. They are looked at while nobody changes anything: half of an `apply` or of a
/// `detach` is not taken for damage.
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
