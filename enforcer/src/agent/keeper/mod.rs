//! Keeps what is in force equal to what should be: the policy that is followed, on every interface that it speaks of.

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
use crate::protect::interfaces::refuse_unscoped_forwarding;
use crate::protect::journal;
use crate::protect::live::moment::Moment;
use crate::protect::say::{ended, modes_text, sentences};
use crate::state::history::Event;

/// What the agent knows of its work.
pub(super) struct Keeper<'a> {
    options: &'a Options,
    log: Log,
    numbers: Shared,
    /// `None`: the site file could not be used yet, and the last good policies are kept up instead.
    followed: Option<Followed>,
    /// Those, one for each text that is kept.
    last_good: Vec<Followed>,
    /// What was followed before, while the change waits to be confirmed.
    previous: Option<Followed>,
    /// Interfaces that appeared meanwhile, and have that one.
    behind: BTreeSet<String>,
    /// What nobody has confirmed in time.
    refused: Option<Refused>,
    /// When everything was looked at anew last: what somebody has done since then by hand stays.
    reloaded: Timestamp,
    /// What is followed is the site file as it stands.
    is_site: bool,
    /// Interfaces that were protected while the agent ran, each with its index; 0: not looked at yet.
    seen: BTreeMap<String, u32>,
    /// Those of them that somebody has detached, and when that was noticed.
    released: BTreeMap<String, Timestamp>,
    /// Interfaces that fit a pattern and are gone, and how many checks have found that.
    gone: BTreeMap<String, u32>,
    /// What was said of an interface last: it is not said twice.
    told: BTreeMap<String, String>,
    /// The same, about deadlines that have passed.
    late: BTreeMap<String, String>,
    /// Interfaces on which enforcement is held against the site file.
    held: BTreeSet<String>,
    /// The counts of protected interfaces, followed.
    watches: BTreeMap<String, Watch>,
    /// Interfaces on which nothing is judged, and that cannot go over to tc.
    blind: BTreeSet<String>,
}

/// What became of a policy.
#[derive(Debug)]
pub(super) enum PolicyOutcome {
    /// It is in force.
    InForce,
    /// A change waits to be confirmed, and this one would confirm it: it waits, too.
    Postponed(Box<Pending>),
}

/// Why a policy is to be put in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Occasion {
    /// The agent starts.
    Start,
    /// The site file is another, or somebody asks for it: what was done by hand before is over.
    Reload,
    /// It could not be done before, or the catalogue is another: what was done by hand stays.
    Again,
}

/// A policy that was undone.
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

    /// The policy that is followed.
    pub(super) const fn followed(&self) -> Option<&Followed> {
        self.followed.as_ref()
    }

    /// Whether the site file stands as nobody has confirmed it.
    pub(super) const fn has_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether this is what nobody has confirmed.
    pub(super) fn is_refused(&mut self, next: &Followed) -> bool {
        let Some(refused) = &mut self.refused else { return false };
        // The same text means something else on another day, and has not been confirmed either.
        if refused.day != next.day {
            *refused = Refused { hash: next.ruleset.hash.clone(), day: next.day };
        }
        refused.hash == next.ruleset.hash
    }

    /// What is followed is not what the site file says.
    pub(super) fn stray(&mut self) {
        self.is_site = false;
        self.numbers.numbers().is_site_in_force = false;
    }

    /// Puts a policy in force wherever it is not. Whatever fails, the one before is in force still.
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
            refuse_unscoped_forwarding(&plan)?;
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

    /// Whether somebody has to confirm a policy: it says something else than what is in force for good, and not only because
    /// a rule has expired.
    fn is_change(&self, next: &Followed, targets: &[Target]) -> bool {
        let is_other_text = |target: &Target| target.kept.as_ref().is_some_and(|kept| !next.is_same_text(kept));
        let is_other_catalogue = self
            .followed
            .as_ref()
            .is_some_and(|followed| followed.day == next.day && followed.ruleset.hash != next.ruleset.hash);
        targets.iter().any(is_other_text) || is_other_catalogue
    }

    /// Whether somebody has detached an interface since the last reload, or put another policy in force on it by hand.
    fn is_left_alone(&mut self, target: &Target) -> bool {
        let name = &target.planned.name;
        let Some(Protected { record, .. }) = &target.in_force else {
            self.notice_release(target);
            return self.released.get(name).is_some_and(|noticed| *noticed > self.reloaded);
        };
        let mut ours = [&self.followed, &self.previous].into_iter().flatten();
        record.applied > self.reloaded && !ours.any(|followed| followed.ruleset.hash == record.policy_hash)
    }

    /// Of an interface that was protected, and has lost even what was kept for the next boot, somebody has taken it on purpose.
    fn notice_release(&mut self, target: &Target) {
        let name = &target.planned.name;
        let is_gone = target.in_force.is_none() && target.kept.is_none() && self.seen.contains_key(name);
        if is_gone && !self.released.contains_key(name) {
            self.log.info(format!("{name}: detached by somebody; it is left alone until the next reload"));
            self.released.insert(name.clone(), Timestamp::now());
        }
    }

    /// Rules expire: on another day the policy is compiled anew. It is put in force by the next look at what is in force, where the
    /// one before was, and nowhere else.
    pub(super) fn expire(&mut self) {
        for one in [&mut self.followed, &mut self.previous].into_iter().flatten().filter(|one| one.is_of_another_day())
        {
            match Followed::of_source(&one.source) {
                Ok(next) => *one = next,
                Err(findings) => findings.iter().for_each(|finding| self.log.warning(finding)),
            }
        }
    }

    /// Restores what was in force before a change that nobody confirmed in time, where the process that should have done it is gone.
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

    /// Says where enforcement is held against the site file: only somebody who asks for it by name ends enforcement.
    fn note_held(&mut self) -> Result<(), DataplaneError> {
        let mut held = BTreeSet::new();
        for one in protected(&[])? {
            // What cannot be read is told by those who look for damage.
            let Ok(modes) = modes_in_force(&one) else { continue };
            if !dataplane::held(&one.record, modes).is_empty() {
                held.insert(one.interface);
            }
        }
        let new: Vec<String> = held.difference(&self.held).cloned().collect();
        for name in &new {
            self.log.warning(format!(
                "{name}: mode held: the site file says audit, and enforcement goes on; `enforcer mode audit --interface {name}` ends it, \
                 `enforcer mode enforce --interface {name}` settles that it stays"
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

    /// Interfaces on which enforcement is held, for the status line.
    pub(super) const fn held(&self) -> &BTreeSet<String> {
        &self.held
    }

    /// A change that waited to be confirmed: confirmed, or undone.
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
                "the change of the site file was not confirmed: the policy before is followed again, until the file changes \
                 again or SIGHUP comes",
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
            // Nobody is there to agree.
            ending: Ending::Held,
            confirm_within: None,
            source: followed.source.clone(),
            bpf_log: self.options.bpf_log,
            caller: Caller::Keeper,
        }
    }

    /// Nobody can be asked: what would be cut is written down. The session that the agent was started from is not cut.
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

    /// An interface that the site file does not speak of any more keeps what it has: to take protection away is a decision.
    fn warn_of_others(&self, next: &Followed) -> Result<(), DataplaneError> {
        for one in protected(&[])? {
            if next.site.interface(&one.interface).is_none() {
                self.log.warning(format!(
                    "{0}: not in {1}; it stays protected by the policy that it has, `enforcer detach --interface {0}` ends that",
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

    /// The interfaces of the policy that are protected, for the status line.
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
