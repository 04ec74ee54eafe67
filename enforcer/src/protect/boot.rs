//! The last good policies, put in force again: after a reboot, or where the site file cannot be used.
//!
//! Nothing is asked and nothing is refused for safety here: what was in force for good before is in force again, with the modes
//! that were set last, and an interface that is protected already is left alone.

use std::collections::BTreeSet;

use clap::ValueEnum as _;
use jiff::ZonedDateTime;

use crate::dataplane::{
    self, Applied, BpfLog, Caller, DataplaneError, Ending, HookChoice, Plan, PlannedInterface, Protects, Said, here,
    protected,
};
use crate::host::links::{LinksError, links};
use crate::host::netns::NetnsError;
use crate::policy::claims::Claims;
use crate::policy::compile::{self, Compiled};
use crate::policy::modes::SaidModes;
use crate::policy::site::Site;
use crate::policy::source::{Policy, Source};
use crate::protect::interfaces::planned_as;
use crate::state::last_good::{LastGood, State, StateError, kept, unconfirmed};

/// What is kept for the interfaces of this network namespace.
#[derive(Debug, Default)]
pub struct Boot {
    /// Policies that are not in force yet.
    waiting: Vec<LastGood>,
    /// Those among them that have been tried in vain.
    failed: BTreeSet<String>,
}

/// What was done in one go.
#[derive(Debug, Default)]
pub struct Done {
    /// Interfaces that are protected now.
    pub applied: Vec<Applied>,
    /// Interfaces that could not be protected, and why.
    pub failed: Vec<(String, String)>,
    /// What else is worth saying, about an interface.
    pub notes: Vec<(String, String)>,
}

/// Nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The files.
    #[error(transparent)]
    State(#[from] StateError),
    /// The pins.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The network namespace.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The interfaces.
    #[error(transparent)]
    Links(#[from] LinksError),
}

impl Boot {
    /// Reads what is kept. Gives back what is wrong with the files as well, in sentences, and the interfaces that are protected
    /// already.
    ///
    /// # Errors
    /// When the files or the pins cannot be read.
    pub fn read() -> Result<(Self, Vec<String>, Vec<String>), BootError> {
        let (mut waiting, wrong) = kept(here()?)?;
        let there: Vec<String> = protected(&[])?.into_iter().map(|one| one.interface).collect();
        waiting.retain(|one| !there.contains(&one.interface));
        Ok((Self { waiting, failed: BTreeSet::new() }, wrong, there))
    }

    /// Forgets changes that waited to be confirmed when the machine went down, and says so: each an interface and a sentence.
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub fn drop_unconfirmed() -> Result<Vec<(String, String)>, BootError> {
        let there = protected(&[])?;
        let (good, _) = kept(here()?)?;
        let mut said = Vec::new();
        for (name, policy) in unconfirmed(here()?) {
            // On a machine that runs, it still waits.
            if there.iter().any(|one| one.interface == policy.interface) {
                continue;
            }
            State::of(&name).drop_staged();
            let sentence = if good.iter().any(|one| one.interface == policy.interface) {
                "a change was not confirmed before the machine went down: what was confirmed last counts"
            } else {
                "its policy was not confirmed before the machine went down, and nothing was confirmed before: it is not protected; \
                 run `enforcer apply`"
            };
            said.push((policy.interface, sentence.to_owned()));
        }
        Ok(said)
    }

    /// Interfaces that are not protected yet.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        self.waiting.iter().map(|one| one.interface.as_str())
    }

    /// Whether it is only a matter of interfaces appearing.
    #[must_use]
    pub fn waits_for_interfaces(&self) -> bool {
        self.waiting.iter().any(|one| !self.failed.contains(&one.interface))
    }

    /// Protects the interfaces that are there. One that cannot be protected does not keep others from being so.
    ///
    /// # Errors
    /// When the interfaces cannot be looked at.
    pub fn protect(&mut self) -> Result<Done, BootError> {
        let there: BTreeSet<String> = links()?.into_iter().map(|link| link.name).collect();
        let ready = |one: &LastGood| there.contains(&one.interface) && !self.failed.contains(&one.interface);
        let mut groups: Vec<(Source, Vec<LastGood>)> = Vec::new();
        for one in self.waiting.iter().filter(|one| ready(one)) {
            match groups.iter_mut().find(|(source, _)| *source == one.source) {
                Some((_, group)) => group.push(one.clone()),
                None => groups.push((one.source.clone(), vec![one.clone()])),
            }
        }
        let mut done = Done::default();
        for (source, group) in groups {
            protect_together(&source, &group, &mut done);
        }
        self.waiting.retain(|one| !done.applied.iter().any(|applied| applied.interface == one.interface));
        self.failed.extend(done.failed.iter().map(|(interface, _)| interface.clone()));
        Ok(done)
    }
}

/// Interfaces of one policy: together if that is possible, else each by itself.
fn protect_together(source: &Source, group: &[LastGood], done: &mut Done) {
    match apply(source, group, done) {
        Ok(applied) => done.applied.extend(applied),
        Err(why) => match group {
            [one] => done.failed.push((one.interface.clone(), why)),
            _ => group.iter().for_each(|one| protect_together(source, std::slice::from_ref(one), done)),
        },
    }
}

fn apply(source: &Source, group: &[LastGood], done: &mut Done) -> Result<Vec<Applied>, String> {
    let Policy { site, catalogue } = Policy::of_source(source).map_err(|error| format!("{error:#}"))?;
    let Compiled { ruleset, .. } =
        compile::compile(&site, &catalogue, ZonedDateTime::now().date()).map_err(|error| format!("{error:#}"))?;
    let plan = Plan {
        ruleset: &ruleset,
        origin: source.site.clone().unwrap_or_else(|| "command line".to_owned()),
        interfaces: group.iter().map(|one| planned(&site, one)).collect(),
        hook: HookChoice::from_str(&source.hook, true).unwrap_or(HookChoice::Auto),
        ending: Ending::Allowed,
        confirm_within: None,
        source: source.clone(),
        bpf_log: BpfLog::Off,
        caller: Caller::Keeper,
    };
    let applied = dataplane::apply(&plan).map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
    for one in group.iter().filter(|one| one.policy_hash != ruleset.hash) {
        let note = "it compiles to other rules than when it was kept: a rule has expired, or the catalogue is another";
        done.notes.push((one.interface.clone(), note.to_owned()));
    }
    Ok(applied)
}

/// The interface with the modes that were kept; they are later than what the site says.
fn planned(site: &Site, good: &LastGood) -> PlannedInterface {
    let asked = SaidModes { inbound: Some(good.modes.inbound), outbound: Some(good.modes.outbound) };
    let planned = match site.interface(&good.interface) {
        Some(said) => planned_as(site, said, &good.interface, None),
        // The text is the one that was applied to it; it would have to have been changed by hand.
        None => PlannedInterface {
            name: good.interface.clone(),
            protects: Protects::Host,
            scope: site.scope,
            claims: Claims::default(),
            said: Said::default(),
        },
    };
    let site = good.site_modes.unwrap_or(planned.said.site);
    PlannedInterface { said: Said { asked, site, settled: good.settled_modes }, ..planned }
}
