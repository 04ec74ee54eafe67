//! Keeps the followed policy active on every interface that it names.

mod gone;
mod guard;
mod last_good;
mod repair;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;

use super::log::Log;
use super::numbers::Shared;
use super::options::Options;
use super::policy::Followed;
use super::targets::{Target, targets};
use crate::dataplane::{
    self, Applied, Caller, DataplaneError, DeadlineKind, Ending, Pending, Plan, PlannedInterface, Protected, Watch,
    modes_after_apply, modes_in_force, pending, protected,
};
use crate::failure::Failure;
use crate::host::links::links;
use crate::protect::interfaces::refuse_unscoped_forwarding;
use crate::protect::journal;
use crate::protect::live::moment::Moment;
use crate::protect::replaced::refuse_other_host;
use crate::protect::say::{ended, modes_text, sentences};
use crate::state::history::Event;

/// The state of the worker thread.
pub(super) struct Keeper<'a> {
    options: &'a Options,
    log: Log,
    numbers: Shared,
    /// The followed policy; `None`: the site file could not be used yet, and the last confirmed policies are followed instead.
    followed: Option<Followed>,
    /// The last confirmed policies, one for each saved text.
    last_good: Vec<Followed>,
    /// The previously followed policy, while a change waits for confirmation.
    previous: Option<Followed>,
    /// Interfaces that appeared while the change waits; they have the previous policy.
    behind: BTreeSet<String>,
    /// The policy whose deadline passed without a confirmation.
    refused: Option<Refused>,
    /// Time of the last reload: what an operator has changed by hand since then stays.
    reloaded: Timestamp,
    /// Whether the followed policy is the current site file.
    is_site: bool,
    /// Interfaces that were protected while the agent ran, each with its index; 0: index not known yet.
    seen: BTreeMap<String, u32>,
    /// Interfaces that an operator has detached, and when the agent noticed.
    released: BTreeMap<String, Timestamp>,
    /// Removed interfaces that matched a pattern, and how many checks have found them missing.
    gone: BTreeMap<String, u32>,
    /// The last message about each interface, so that it is logged only once.
    told: BTreeMap<String, String>,
    /// The last message about each passed deadline.
    late: BTreeMap<String, String>,
    /// Interfaces that keep enforcing although the site file says audit.
    held: BTreeSet<String>,
    /// The counts of protected interfaces, followed.
    watches: BTreeMap<String, Watch>,
    /// Interfaces on which nothing is judged and that were not switched to tc.
    blind: BTreeSet<String>,
}

/// The result of applying a policy.
#[derive(Debug)]
pub(super) enum PolicyOutcome {
    /// The policy is active.
    InForce,
    /// An earlier change still waits for confirmation, and applying this policy would confirm it. It is applied later.
    Postponed(Box<Pending>),
}

/// Why a policy is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Occasion {
    /// The agent starts.
    Start,
    /// The site file has changed, or SIGHUP came: this replaces what an operator has applied by hand.
    Reload,
    /// An earlier attempt failed, or the catalogue has changed: what an operator has applied by hand stays.
    Again,
}

/// A policy that was reverted.
#[derive(Debug)]
struct Refused {
    hash: String,
    day: Date,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(options: &'a Options, log: Log, numbers: Shared) -> Self {
        Self {
            options,
            log,
            numbers,
            followed: None,
            last_good: Vec::new(),
            previous: None,
            behind: BTreeSet::new(),
            refused: None,
            reloaded: Timestamp::now(),
            is_site: false,
            seen: BTreeMap::new(),
            released: BTreeMap::new(),
            gone: BTreeMap::new(),
            told: BTreeMap::new(),
            late: BTreeMap::new(),
            held: BTreeSet::new(),
            watches: BTreeMap::new(),
            blind: BTreeSet::new(),
        }
    }

    /// The followed policy.
    pub(super) const fn followed(&self) -> Option<&Followed> {
        self.followed.as_ref()
    }

    /// Whether the current site file is the one whose confirmation is missing.
    pub(super) const fn has_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether this policy is the one that was not confirmed in time.
    pub(super) fn is_refused(&mut self, next: &Followed) -> bool {
        let Some(refused) = &mut self.refused else { return false };
        // On another day the same text compiles differently, and that policy is not confirmed either.
        if refused.day != next.day {
            *refused = Refused { hash: next.ruleset.hash.clone(), day: next.day };
        }
        refused.hash == next.ruleset.hash
    }

    /// Notes that the followed policy is not the current site file.
    pub(super) fn stray(&mut self) {
        self.is_site = false;
        self.numbers.numbers().is_site_in_force = false;
    }

    /// Applies a policy on every interface where it is not active. If this fails, the previous policy stays active.
    pub(super) fn follow(&mut self, next: Followed, occasion: Occasion) -> Result<PolicyOutcome, Failure> {
        if occasion != Occasion::Again {
            self.reloaded = Timestamp::now();
            self.refused = None;
        }
        for one in protected(&[])? {
            if let Some(found) = pending(&one)?.filter(|one| one.is_armed() && one.kind() == DeadlineKind::Unconfirmed)
            {
                return Ok(PolicyOutcome::Postponed(Box::new(found)));
            }
        }
        if occasion == Occasion::Start && self.options.confirm_within.is_some() {
            self.return_to_last_good(&next)?;
        }
        let targets = targets(&next)?;
        let is_change = self.is_change(&next, &targets);
        let mut wanted = Vec::new();
        for target in targets {
            if target.is_current(&next) {
                self.seen.entry(target.planned.name.clone()).or_default();
            } else if occasion != Occasion::Again || !self.is_left_alone(&target) {
                wanted.push(target.with_modes());
            }
        }
        let confirm_within = self.options.confirm_within.filter(|_| is_change && !wanted.is_empty());
        if !wanted.is_empty() {
            let plan = Plan { confirm_within, ..self.plan(&next, wanted) };
            self.refuse(&plan)?;
            self.look_at_live_connections(&plan)?;
            let applied = dataplane::apply(&plan)?;
            self.note_applied(&applied);
        }
        self.is_site = true;
        let mut numbers = self.numbers.numbers();
        (numbers.is_site_in_force, numbers.last_reload) = (true, Some(Timestamp::now()));
        drop(numbers);
        self.warn_of_others(&next)?;
        let before = self.followed.replace(next);
        self.previous = before.filter(|_| confirm_within.is_some());
        self.last_good.clear();
        self.behind.clear();
        self.released.retain(|_, noticed| *noticed > self.reloaded);
        Ok(PolicyOutcome::InForce)
    }

    /// Whether a policy needs confirmation: it differs from the permanent policy, and not only because a rule has expired.
    fn is_change(&self, next: &Followed, targets: &[Target]) -> bool {
        let is_other_text = |target: &Target| target.kept.as_ref().is_some_and(|kept| !next.is_same_text(kept));
        let is_other_catalogue = self
            .followed
            .as_ref()
            .is_some_and(|followed| followed.day == next.day && followed.ruleset.hash != next.ruleset.hash);
        targets.iter().any(is_other_text) || is_other_catalogue
    }

    /// Whether an operator has detached an interface since the last reload, or has applied another policy on it.
    fn is_left_alone(&mut self, target: &Target) -> bool {
        let name = &target.planned.name;
        let Some(Protected { record, .. }) = &target.in_force else {
            self.notice_release(target);
            return self.released.get(name).is_some_and(|noticed| *noticed > self.reloaded);
        };
        let mut ours = [&self.followed, &self.previous].into_iter().flatten();
        record.applied > self.reloaded && !ours.any(|followed| followed.ruleset.hash == record.policy_hash)
    }

    /// Notes detached interfaces. An interface was detached on purpose if even its policy for the next boot was removed.
    fn notice_release(&mut self, target: &Target) {
        let name = &target.planned.name;
        let is_gone = target.in_force.is_none() && target.kept.is_none() && self.seen.contains_key(name);
        if is_gone && !self.released.contains_key(name) {
            self.log.info(format!("{name}: detached by an operator; not protected again before the next reload"));
            self.released.insert(name.clone(), Timestamp::now());
        }
    }

    /// Compiles the policy again on a new day, because rules may have expired. The next check applies it where the old one is active.
    pub(super) fn expire(&mut self) {
        for one in [&mut self.followed, &mut self.previous].into_iter().flatten().filter(|one| one.is_of_another_day())
        {
            match Followed::of_source(&one.source) {
                Ok(next) => *one = next,
                Err(findings) => findings.iter().for_each(|finding| self.log.warning(finding)),
            }
        }
    }

    /// Restores the last confirmed policy after a passed deadline, if the process that should have done so no longer exists.
    pub(super) fn finish_way_back(&mut self) -> Result<(), DataplaneError> {
        let done = dataplane::finish_way_back()?;
        for one in &done {
            let text = one.to_string();
            if self.late.get(&one.interface).is_none_or(|told| *told != text) {
                self.log.warning(&text);
                self.late.insert(one.interface.clone(), text);
            }
        }
        if !done.is_empty()
            && let Err(error) = journal::record_restored()
        {
            self.log.warning(format!("cannot write this change to the history: {error:#}"));
        }
        Ok(())
    }

    /// Logs where enforcement continues although the site file says audit: only a command ends enforcement.
    fn note_held(&mut self) -> Result<(), DataplaneError> {
        let mut held = BTreeSet::new();
        for one in protected(&[])? {
            // The check for damage reports what cannot be read.
            let Ok(modes) = modes_in_force(&one) else { continue };
            if !dataplane::held(&one.record, modes).is_empty() {
                held.insert(one.interface);
            }
        }
        let new: Vec<String> = held.difference(&self.held).cloned().collect();
        for name in &new {
            self.log.warning(format!(
                "{name}: mode held: the site file says audit, but enforcement continues; `enforcer mode audit --interface {name}` ends it, \
                 `enforcer mode enforce --interface {name}` keeps it and ends this warning"
            ));
        }
        if !new.is_empty()
            && let Err(error) = journal::record(Event::Held, &new)
        {
            self.log.warning(format!("cannot write this change to the history: {error:#}"));
        }
        self.numbers.numbers().held = held.len() as u64;
        self.held = held;
        Ok(())
    }

    /// Interfaces that keep enforcing although the site file says audit, for the status line.
    pub(super) const fn held(&self) -> &BTreeSet<String> {
        &self.held
    }

    /// Finishes a change that waited for confirmation: it was confirmed or reverted.
    fn settle_unconfirmed(&mut self) -> Result<(), Failure> {
        if self.previous.is_none() {
            return Ok(());
        }
        let mut is_undone = false;
        for one in protected(&[])? {
            match pending(&one)? {
                Some(found) if found.kind() == DeadlineKind::Unconfirmed && found.is_armed() => return Ok(()),
                Some(found) if found.kind() == DeadlineKind::Unconfirmed => is_undone = true,
                _ => {}
            }
        }
        let previous = self.previous.take();
        if is_undone {
            self.log.warning(
                "the change of the site file was not confirmed: the previous policy is followed until the file changes again or \
                 SIGHUP comes",
            );
            let refused = std::mem::replace(&mut self.followed, previous);
            self.refused = refused.map(|one| Refused { hash: one.ruleset.hash, day: one.day });
            self.behind.clear();
            self.stray();
        }
        Ok(())
    }

    fn plan<'p>(&self, followed: &'p Followed, interfaces: Vec<PlannedInterface>) -> Plan<'p> {
        Plan {
            ruleset: &followed.ruleset,
            origin: followed.origin.clone(),
            interfaces,
            hook: followed.hook(),
            // No operator is there to agree.
            ending: Ending::Held,
            confirm_within: None,
            source: followed.source.clone(),
            bpf_log: self.options.bpf_log,
            caller: Caller::Keeper,
        }
    }

    /// Refuses what `apply` refuses too.
    fn refuse(&self, plan: &Plan<'_>) -> Result<(), Failure> {
        refuse_unscoped_forwarding(plan)?;
        refuse_other_host(&dataplane::replaced(plan, &links()?)?, self.options.replace)
    }

    /// Logs the connections that are cut, because no operator can be asked. Refuses to cut the session that started the agent.
    fn look_at_live_connections(&self, plan: &Plan<'_>) -> Result<(), Failure> {
        let moment = Moment::now()?;
        let outlook = modes_after_apply(plan, &moment.links)?;
        if !self.options.force {
            moment.guard_ssh(plan.ruleset.lookup(), &outlook)?;
        }
        for one in moment.cuts(plan.ruleset.lookup(), plan.ruleset, &outlook)? {
            let process = one.process.as_deref().unwrap_or("?");
            self.log.warning(format!(
                "a live connection is cut: {} {} with {} of {process} ({})",
                one.protocol, one.local, one.remote, one.reason
            ));
        }
        Ok(())
    }

    /// Warns of interfaces that the site file no longer names. They keep their policy, because only an operator ends protection.
    fn warn_of_others(&self, next: &Followed) -> Result<(), DataplaneError> {
        for one in protected(&[])? {
            if next.site.interface(&one.interface).is_none() {
                self.log.warning(format!(
                    "{0}: not in {1}; it keeps its policy until `enforcer detach --interface {0}`",
                    one.interface, next.origin
                ));
            }
        }
        Ok(())
    }

    fn note_applied(&mut self, applied: &[Applied]) {
        let names: Vec<String> = applied.iter().map(|one| one.interface.clone()).collect();
        if !names.is_empty()
            && let Err(error) = journal::record(Event::Applied, &names)
        {
            self.log.warning(format!("cannot write this change to the history: {error:#}"));
        }
        for one in applied {
            self.seen.entry(one.interface.clone()).or_default();
            if let Some(text) = ended(&one.interface, one.resulting.before, one.resulting.modes) {
                self.log.warning(text);
            }
            for sentence in sentences(one) {
                self.log.info(format!("{}: {sentence}", one.interface));
            }
        }
    }

    fn tell(&mut self, interface: &str, text: &str) {
        if self.told.get(interface).is_none_or(|told| told != text) {
            self.log.warning(format!("{interface}: {text}"));
            self.told.insert(interface.to_owned(), text.to_owned());
        }
    }

    /// The protected interfaces of the policy, for the status line.
    pub(super) fn summary(&self) -> Result<String, DataplaneError> {
        let all = protected(&[])?;
        let each = all.iter().map(|one| Ok(format!("{} {}", one.interface, modes_text(modes_in_force(one)?))));
        let each = each.collect::<Result<Vec<_>, DataplaneError>>()?;
        Ok(if each.is_empty() { "no interface is protected".to_owned() } else { each.join(", ") })
    }

    /// Whether an interface was protected while the agent ran.
    pub(super) fn has_seen(&self, interface: &str) -> bool {
        self.seen.contains_key(interface)
    }
}
