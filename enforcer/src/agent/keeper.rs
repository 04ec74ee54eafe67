//! Keeps what is in force equal to what should be: the policy that is followed, on every interface that it speaks of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Options;
use super::log::Log;
use super::numbers::Shared;
use super::policy::Followed;
use crate::boot::Boot;
use crate::cli::Failure;
use crate::cli::apply::{refuse_unscoped_forwarding, sentences};
use crate::cli::interfaces::modes_text;
use crate::cli::live::Moment;
use crate::cli::past;
use crate::dataplane::{
    self, Applied, DataplaneError, Kind, Pending, Plan, PlannedInterface, Protected, detached, here, modes_after_apply,
    modes_in_force, pending, protected, reading, status,
};
use crate::history::Event;
use crate::links::{Link, links};
use crate::plan::planned;
use crate::state::{LastGood, kept};

/// What the agent knows of its work.
pub(super) struct Keeper<'a> {
    options: &'a Options,
    log: Log,
    numbers: Shared,
    /// `None`: the site file could not be used yet, and the last good policies are kept up instead.
    followed: Option<Followed>,
    boot: Option<Boot>,
    /// What was followed before, while the change waits to be confirmed.
    previous: Option<Followed>,
    /// Interfaces that were protected while the agent ran.
    seen: BTreeSet<String>,
    /// Those of them that somebody has detached.
    released: BTreeSet<String>,
    /// What was said of an interface last: it is not said twice.
    told: BTreeMap<String, String>,
}

/// What became of a policy.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is in force.
    InForce,
    /// A change waits to be confirmed, and this one would confirm it: it waits, too.
    Postponed(Box<Pending>),
}

/// How thoroughly to look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// Whether the programs are on their hooks.
    Hooks,
    /// Whether the tables hold what was applied, as well.
    Tables,
}

/// An interface that should be protected.
struct Target {
    planned: PlannedInterface,
    link: Link,
    in_force: Option<Protected>,
    kept: Option<LastGood>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(options: &'a Options, log: Log, numbers: Shared) -> Self {
        let (seen, released, told) = Default::default();
        Self { options, log, numbers, followed: None, boot: None, previous: None, seen, released, told }
    }

    /// The policy that is followed.
    pub(super) const fn followed(&self) -> Option<&Followed> {
        self.followed.as_ref()
    }

    /// Puts a policy in force wherever it is not. Whatever fails, the one before is in force still.
    pub(super) fn follow(&mut self, next: Followed, is_start: bool) -> Result<Outcome, Failure> {
        for one in protected(&[])? {
            if let Some(found) = pending(&one)?.filter(|one| one.is_armed() && one.kind() == Kind::Unconfirmed) {
                return Ok(Outcome::Postponed(Box::new(found)));
            }
        }
        let targets = targets(&next)?;
        let mut wanted = Vec::new();
        for target in targets {
            if is_current(&next, &target) {
                self.seen.insert(target.planned.name.clone());
            } else {
                wanted.push(with_modes(&next, &target));
            }
        }
        let mut confirm_within = self.options.confirm_within.filter(|_| !is_start);
        if wanted.is_empty() {
            confirm_within = None;
        } else {
            let plan = Plan { confirm_within, ..self.plan(&next, wanted) };
            refuse_unscoped_forwarding(&plan)?;
            self.look_at_live_connections(&plan)?;
            let applied = dataplane::apply(&plan)?;
            self.note_applied(&applied);
        }
        let mut numbers = self.numbers.numbers();
        (numbers.is_site_in_force, numbers.last_reload) = (true, Some(Timestamp::now()));
        drop(numbers);
        self.warn_of_others(&next)?;
        let before = self.followed.replace(next);
        self.previous = before.filter(|_| confirm_within.is_some());
        self.boot = None;
        self.released.clear();
        Ok(Outcome::InForce)
    }

    /// The site file cannot be used: what was good last is kept up. Says whether there is anything to keep up.
    pub(super) fn keep_last_good(&mut self) -> Result<bool, Failure> {
        let (boot, wrong, there) = Boot::read()?;
        for sentence in wrong {
            self.log.warning(sentence);
        }
        let is_any = !there.is_empty() || boot.waiting().next().is_some();
        self.seen.extend(there);
        self.boot = Some(boot);
        self.protect(Look::Hooks)?;
        Ok(is_any)
    }

    /// Protects what has appeared, and puts back what was taken away.
    pub(super) fn protect(&mut self, look: Look) -> Result<(), Failure> {
        if let Some(boot) = &mut self.boot {
            let done = boot.protect()?;
            self.note_applied(&done.applied);
            for (interface, sentence) in done.notes.into_iter().chain(done.failed) {
                self.tell(&interface, &sentence);
            }
        }
        self.settle_unconfirmed()?;
        self.say_what_is_gone()?;
        let mut unprotected = 0;
        // Taken out so that it can be looked at while the rest changes.
        if let Some(followed) = self.followed.take() {
            let result = survey(&followed, look);
            for (target, problems) in result.as_deref().unwrap_or_default() {
                unprotected += u64::from(!self.keep(&followed, target, problems));
                if target.is_other(&followed) {
                    self.numbers.numbers().is_site_in_force = false;
                }
            }
            self.followed = Some(followed);
            result?;
        }
        let mut numbers = self.numbers.numbers();
        numbers.protected = protected(&[])?.len() as u64;
        numbers.unprotected = unprotected;
        Ok(())
    }

    /// Sees to one interface. Says whether it is as it should be.
    fn keep(&mut self, followed: &Followed, target: &Target, problems: &[String]) -> bool {
        let name = &target.planned.name;
        let Some(in_force) = &target.in_force else {
            if self.released.contains(name) {
                return true;
            }
            if self.seen.contains(name) && target.kept.is_none() {
                self.log.info(format!("{name}: detached by somebody; it is left alone until the next reload"));
                self.released.insert(name.clone());
                return true;
            }
            let was_seen = self.seen.contains(name);
            if was_seen {
                self.log.warning(format!("{name}: its pins are gone; protecting it again"));
            }
            return self.put_back(followed, with_modes(followed, target), was_seen);
        };
        self.seen.insert(name.clone());
        if problems.is_empty() {
            if target.is_other(followed) {
                let hash = &in_force.record.policy_hash;
                let text = format!(
                    "another policy than the site file's is in force ({}); it is left alone until the next reload",
                    hash.get(..16).unwrap_or(hash)
                );
                self.tell(name, &text);
            } else {
                self.told.remove(name);
            }
            return true;
        }
        if let Ok(Some(found)) = pending(in_force)
            && found.is_armed()
            && found.kind() == Kind::Unconfirmed
        {
            let text = format!(
                "{}; left alone until {}, when what waits to be confirmed is settled",
                problems.join("; "),
                found.at()
            );
            self.tell(name, &text);
            return false;
        }
        self.tell(name, &problems.join("; "));
        let planned = match modes_in_force(in_force) {
            Ok(_) => PlannedInterface { inbound: None, outbound: None, ..target.planned.clone() },
            // What is gone must not come back in audit.
            Err(_) => with_modes(followed, target),
        };
        self.put_back(followed, planned, true)
    }

    fn put_back(&mut self, followed: &Followed, planned: PlannedInterface, is_repair: bool) -> bool {
        let name = planned.name.clone();
        // What nobody has confirmed is not put in force for good by the way.
        let plan = self.plan(self.previous.as_ref().unwrap_or(followed), vec![planned]);
        let result = refuse_unscoped_forwarding(&plan).and_then(|()| Ok(dataplane::apply(&plan)?));
        match result {
            Ok(applied) => {
                self.told.remove(&name);
                self.note_applied(&applied);
                self.numbers.numbers().repairs += u64::from(is_repair);
                true
            }
            Err(failure) => {
                self.tell(&name, &format!("cannot be protected: {failure:#}"));
                false
            }
        }
    }

    /// A change that waited to be confirmed: confirmed, or undone.
    fn settle_unconfirmed(&mut self) -> Result<(), Failure> {
        if self.previous.is_none() {
            return Ok(());
        }
        let mut is_undone = false;
        for one in protected(&[])? {
            match pending(&one)? {
                Some(found) if found.kind() == Kind::Unconfirmed && found.is_armed() => return Ok(()),
                Some(found) if found.kind() == Kind::Unconfirmed => is_undone = true,
                _ => {}
            }
        }
        let previous = self.previous.take();
        if is_undone {
            self.log.warning("the change of the site file was not confirmed: the policy before is followed again");
            self.followed = previous;
            self.numbers.numbers().is_site_in_force = false;
        }
        Ok(())
    }

    /// Pins stay when an interface goes, and so do its counters.
    fn say_what_is_gone(&mut self) -> Result<(), Failure> {
        let links = links()?;
        for one in protected(&[])? {
            if !links.iter().any(|link| link.name == one.interface) {
                self.tell(&one.interface, "is gone; it is protected again when it comes back");
            }
        }
        Ok(())
    }

    fn plan<'p>(&self, followed: &'p Followed, interfaces: Vec<PlannedInterface>) -> Plan<'p> {
        Plan {
            ruleset: &followed.ruleset,
            origin: followed.origin.clone(),
            interfaces,
            hook: self.options.hook,
            confirm_within: None,
            source: followed.source.clone(),
            bpf_log: self.options.bpf_log,
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
            && let Err(error) = past::record(Event::Applied, &names)
        {
            self.log.warning(format!("the history does not know of this: {error:#}"));
        }
        for one in applied {
            self.seen.insert(one.interface.clone());
            for sentence in sentences(one) {
                self.log.info(format!("{}: {sentence}", one.interface));
            }
        }
        let names: Vec<String> = applied.iter().map(|one| one.interface.clone()).collect();
        if !names.is_empty()
            && let Err(error) = past::record(Event::Applied, &names)
        {
            self.log.warning(format!("the history does not know of this: {error:#}"));
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

    /// Interfaces that were protected while the agent ran.
    pub(super) fn seen(&self) -> &BTreeSet<String> {
        &self.seen
    }
}

impl Target {
    /// Whether somebody has applied another policy by hand.
    fn is_other(&self, followed: &Followed) -> bool {
        self.in_force.as_ref().is_some_and(|one| one.record.policy_hash != followed.ruleset.hash)
    }
}

/// The interfaces that a policy speaks of and that are there.
fn targets(followed: &Followed) -> Result<Vec<Target>, Failure> {
    let links = links()?;
    let mut in_force = protected(&[])?;
    // A file that cannot be read is one that says nothing; `boot` names it.
    let (mut kept, _) = kept(here()?).map_err(anyhow::Error::from)?;
    let found = planned(&followed.site, None, &links).interfaces.into_iter().filter_map(|planned| {
        let link = links.iter().find(|link| link.name == planned.name)?.clone();
        let in_force = position(&in_force, |one| one.interface == planned.name).map(|at| in_force.swap_remove(at));
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
fn survey(followed: &Followed, look: Look) -> Result<Vec<(Target, Vec<String>)>, Failure> {
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

/// Whether the policy is in force on an interface as it should be: then nothing is touched.
fn is_current(followed: &Followed, target: &Target) -> bool {
    let (Some(in_force), Some(kept)) = (&target.in_force, &target.kept) else { return false };
    followed.is_same_text(kept)
        && in_force.record.index == target.link.index
        && in_force.record.policy_hash == followed.ruleset.hash
        && in_force.record.protects == target.planned.protects
        && status(in_force).is_ok_and(|status| !status.drift)
}

/// With the modes that the site says anew; else those in force, else those that were kept.
fn with_modes(followed: &Followed, target: &Target) -> PlannedInterface {
    let new = followed.new_modes(&target.planned.name, target.kept.as_ref());
    let is_known = target.in_force.as_ref().is_some_and(|one| modes_in_force(one).is_ok());
    let before = target.kept.as_ref().filter(|_| !is_known);
    let [inbound, outbound] =
        [0, 1].map(|at| before.and_then(|kept| enforcer_common::Mode::from_name(&kept.modes[at])));
    PlannedInterface { inbound: new.inbound.or(inbound), outbound: new.outbound.or(outbound), ..target.planned.clone() }
}
