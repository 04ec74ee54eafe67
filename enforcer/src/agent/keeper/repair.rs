//! Checks the interfaces of the policy, and applies the policy again where it is missing or damaged.

use std::collections::BTreeSet;

use super::{Followed, Keeper};
use crate::agent::targets::{Look, Target, survey};
use crate::dataplane::{self, DeadlineKind, Pending, PlannedInterface, here, pending, protected};
use crate::failure::Failure;
use crate::host::links::links;
use crate::state::last_good::kept;

/// The state of an interface after a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kept {
    Good,
    /// Another policy is active, which an operator has applied.
    Other,
    Unprotected,
}

impl Keeper<'_> {
    /// Protects new interfaces, and repairs interfaces whose programs or pins were removed.
    pub(in crate::agent) fn protect(&mut self, look: Look) -> Result<(), Failure> {
        self.note_names()?;
        self.settle_unconfirmed()?;
        self.say_what_is_gone()?;
        // Moved out of `self`, so that `self` can change while they are read.
        let (policies, is_followed) = match self.followed.take() {
            Some(followed) => (vec![followed], true),
            None => {
                self.read_last_good()?;
                (std::mem::take(&mut self.last_good), false)
            }
        };
        let result = self.keep_all(&policies, is_followed, look);
        if is_followed {
            self.followed = policies.into_iter().next();
        } else {
            self.last_good = policies;
        }
        let (unprotected, is_other) = result?;
        self.note_held()?;
        let mut numbers = self.numbers.numbers();
        numbers.protected = protected(&[])?.len() as u64;
        numbers.unprotected = unprotected;
        numbers.is_site_in_force = self.is_site && !is_other;
        Ok(())
    }

    /// Checks and repairs the interfaces of these policies. Counts those that are not protected, and tells whether another policy is
    /// active on any of them.
    fn keep_all(&mut self, policies: &[Followed], is_followed: bool, look: Look) -> Result<(u64, bool), Failure> {
        let mut done = BTreeSet::new();
        let (mut unprotected, mut is_other) = (0, false);
        for policy in policies {
            for (target, problems) in survey(policy, look)? {
                // Each of several saved policies has its own interfaces.
                let is_its_own = is_followed || target.kept.as_ref().is_none_or(|kept| policy.is_same_text(kept));
                if !is_its_own || !done.insert(target.planned.name.clone()) {
                    continue;
                }
                match self.keep(policy, &target, &problems) {
                    Kept::Good => {}
                    Kept::Other => is_other = true,
                    Kept::Unprotected => unprotected += 1,
                }
            }
        }
        if !is_followed {
            unprotected += without_policy(&done)?;
        }
        Ok((unprotected, is_other))
    }

    /// Checks and repairs one interface.
    fn keep(&mut self, followed: &Followed, target: &Target, problems: &[String]) -> Kept {
        let name = &target.planned.name;
        let Some(in_force) = &target.in_force else {
            self.notice_release(target);
            if self.released.contains_key(name) {
                return Kept::Good;
            }
            let was_seen = self.seen.contains_key(name);
            if was_seen {
                self.log.warning(format!("{name}: its pins are gone; protecting it again"));
            }
            return self.put_back(followed, target.with_modes(), was_seen);
        };
        self.seen.entry(name.clone()).or_default();
        let is_waiting = |found: &Pending| found.is_armed() && found.kind() == DeadlineKind::Unconfirmed;
        let waits = pending(in_force).ok().flatten().filter(is_waiting);
        if problems.is_empty() && waits.is_none() && target.is_outdated(followed) {
            self.log
                .info(format!("{name}: the policy compiles differently today, for example because a rule has expired"));
            return self.put_back(followed, target.with_modes(), false);
        }
        if problems.is_empty() && self.previous.is_none() && self.behind.contains(name) {
            if target.is_other(followed) {
                return self.put_back(followed, target.with_modes(), false);
            }
            self.behind.remove(name);
        }
        if problems.is_empty() {
            if target.is_other(followed) {
                let hash = &in_force.record.policy_hash;
                let text = format!(
                    "another policy than the site file's was applied ({}); it stays until the next reload",
                    hash.get(..16).unwrap_or(hash)
                );
                self.tell(name, &text);
                return Kept::Other;
            }
            self.told.remove(name);
            return Kept::Good;
        }
        if let Some(found) = waits {
            let text = format!(
                "{}; not repaired before {}, the deadline of a change that waits for confirmation",
                problems.join("; "),
                found.at()
            );
            self.tell(name, &text);
            return Kept::Unprotected;
        }
        self.tell(name, &problems.join("; "));
        self.put_back(followed, target.with_modes(), true)
    }

    fn put_back(&mut self, followed: &Followed, planned: PlannedInterface, is_repair: bool) -> Kept {
        let name = planned.name.clone();
        // A repair must not make an unconfirmed policy permanent.
        let plan = self.plan(self.previous.as_ref().unwrap_or(followed), vec![planned]);
        let result = self.refuse(&plan).and_then(|()| Ok(dataplane::apply(&plan)?));
        match result {
            Ok(applied) => {
                self.told.remove(&name);
                self.note_applied(&applied);
                self.numbers.numbers().repairs += u64::from(is_repair);
                if self.previous.is_some() {
                    self.behind.insert(name);
                }
                Kept::Good
            }
            Err(failure) => {
                self.tell(&name, &format!("cannot be protected: {failure:#}"));
                Kept::Unprotected
            }
        }
    }
}

/// Existing interfaces that are unprotected because their saved policy cannot be used.
fn without_policy(done: &BTreeSet<String>) -> Result<u64, Failure> {
    let (kept, _) = kept(here()?).map_err(anyhow::Error::from)?;
    let (links, protected) = (links()?, protected(&[])?);
    let is_open = |name: &String| {
        !done.contains(name)
            && links.iter().any(|link| link.name == *name)
            && !protected.iter().any(|one| one.interface == *name)
    };
    Ok(kept.into_iter().filter(|one| is_open(&one.interface)).count() as u64)
}
