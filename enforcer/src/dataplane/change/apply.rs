//! Applies a ruleset. All maps and programs are prepared beside the active policy, and each hook is switched by one update. Until
//! that step the old policy is untouched, and a failure leaves all interfaces as they were.

use std::collections::BTreeMap;
use std::fs;

use super::refresh::write_addresses;
use super::renamed;
use super::switch::sweep;
use crate::dataplane::change::applied::Applied;
use crate::dataplane::change::stage::{Target, stage_and_switch};
use crate::dataplane::change::way_back::refuse_overdue;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::choose::choose;
use crate::dataplane::load::object;
use crate::dataplane::pin::bpffs::check_bpffs;
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::{self, HostPins, InterfacePins};
use crate::dataplane::pin::protected::{Protected, all_protected};
use crate::dataplane::pin::slots;
use crate::dataplane::plan::{Caller, Plan, PlannedInterface};
use crate::dataplane::read::readback::loaded;
use crate::dataplane::read::totals;
use crate::dataplane::sys::kernel::{allow_memory, on_old_kernels};
use crate::host::links::{Link, bridge_of, links};
use crate::host::netns;
use crate::policy::compile::mark_ended;
use crate::policy::modes::Protects;
use crate::policy::ruleset::Ruleset;
use crate::state::last_good::State;

/// Applies a ruleset.
///
/// # Errors
/// When any step fails; all interfaces are then as before.
pub fn apply(plan: &Plan<'_>) -> Result<Vec<Applied>, DataplaneError> {
    allow_memory();
    check_bpffs()?;
    object::read_ahead();
    let links = links().with_context(|| "cannot look at the interfaces".to_owned())?;
    refuse_bridge_ports(plan, &links)?;
    let protected = all_protected()?;
    let target = |one| target(one, &links, &protected, plan);
    let targets = plan.interfaces.iter().map(target).collect::<Result<Vec<_>, _>>()?;
    let _lock = lock()?;
    refuse_overdue()?;
    let netns = netns::own()?;
    renamed::follow_names(netns)?;
    let host = HostPins::of(netns);
    let slots = slots::read(&host)?;
    let protected = all_protected()?;
    let marked = ended(plan, &protected);
    let plan = &Plan { ruleset: marked.as_ref().unwrap_or(plan.ruleset), ..plan.clone() };
    let is_planned = |one: &Protected| plan.interfaces.iter().any(|planned| planned.name == one.interface);
    let mut staged = Vec::new();
    // Before slots change hands: what a rule has counted that is about to lose its own is known by name here for the last time.
    let changes_hands = slots.as_ref().is_some_and(|registry| registry.lacks_room_for(&plan.ruleset.rules));
    let mut said = totals::save_each(protected.iter().filter(|one| changes_hands || is_planned(one)));
    let result = stage_and_switch(plan, &links, targets, &host, netns, &mut staged);
    if result.is_err() {
        for one in &mut staged {
            one.staged.discard();
        }
        slots::put_back(&host, &slots);
        let _ = sweep(&host);
        // The table counts interfaces that were to be protected, and belongs to the host, so it outlives what was staged.
        let _ = write_addresses(&host);
        if all_protected().is_ok_and(|left| left.is_empty()) {
            let _ = host.remove_own_layout();
            // Only when no other network namespace has anything there.
            let _ = fs::remove_dir(pins::ROOT);
        }
    }
    let mut applied = result.map_err(on_old_kernels)?;
    // The policy is active. Later problems are reported, but they are not errors.
    if plan.interfaces.iter().any(|one| one.protects == Protects::Guest)
        && let Err(error) = write_addresses(&host)
        && let Some(first) = applied.first_mut()
    {
        first.warnings.push(format!("{:#}", anyhow::Error::from(error)));
    }
    match all_protected() {
        Ok(protected) => said.extend(totals::save_each(protected.iter().filter(|one| is_planned(one)))),
        Err(error) => {
            let error = anyhow::Error::from(error);
            said.extend(
                applied.iter().map(|one| (one.interface.clone(), format!("the totals were not saved: {error:#}"))),
            );
        }
    }
    said.sort();
    said.dedup();
    for one in &mut applied {
        one.warnings
            .extend(said.iter().filter(|(interface, _)| *interface == one.interface).map(|(_, said)| said.clone()));
    }
    Ok(applied)
}

/// Refuses to protect this host at a port of a bridge, unless it was protected there and nobody is there to choose otherwise.
///
/// # Errors
/// The refusal, with the line that works; and when it cannot be found out what was protected.
pub fn refuse_bridge_ports(plan: &Plan<'_>, links: &[Link]) -> Result<(), DataplaneError> {
    for planned in plan.interfaces.iter().filter(|planned| planned.protects == Protects::Host) {
        let Some(link) = links.iter().find(|link| link.name == planned.name) else { continue };
        let Some(bridge) = bridge_of(link, links) else { continue };
        let was_in_force = was_in_force(link)?;
        if was_in_force && plan.caller == Caller::Keeper {
            continue;
        }
        let stays = if was_in_force {
            format!(
                "; what is in force on {0} stays until `enforcer detach --interface {0}`, which you can run after that",
                link.name
            )
        } else {
            String::new()
        };
        return Err(DataplaneError::Refused(format!(
            "{0} is a port of the bridge {1}, and a port cannot know which frames the bridge delivers to this host; protect the bridge: \
             `interfaces: [{1}]` in the site file, or `--interface {1}`{stays}",
            link.name, bridge.name
        )));
    }
    Ok(())
}

/// Whether an interface protects this host, or did before the reboot.
fn was_in_force(link: &Link) -> Result<bool, DataplaneError> {
    let pins = InterfacePins::of(&link.name, netns::own()?)?;
    Ok(pins.exists()
        || State::of(pins.name()).good().is_some()
        || all_protected()?.iter().any(|one| one.record.index == link.index))
}

/// The ruleset with marks for what the policies let pass that it replaces; `None`: it lets pass all of that.
fn ended(plan: &Plan<'_>, protected: &[Protected]) -> Option<Ruleset> {
    let planned = |one: &&Protected| plan.interfaces.iter().any(|planned| planned.name == one.interface);
    let generations: BTreeMap<u64, &Protected> =
        protected.iter().filter(planned).map(|one| (one.record.generation, one)).collect();
    let mut marked: Option<Ruleset> = None;
    for one in generations.into_values() {
        // Where the policy before cannot be read, nothing is known of what it permitted.
        let Ok(before) = loaded(&one.record) else { continue };
        marked = mark_ended(marked.as_ref().unwrap_or(plan.ruleset), before.lookup()).or(marked);
    }
    marked
}

fn target<'a>(
    planned: &'a PlannedInterface,
    links: &'a [Link],
    protected: &[Protected],
    plan: &Plan<'_>,
) -> Result<Target<'a>, DataplaneError> {
    let Some(link) = links.iter().find(|link| link.name == planned.name) else {
        let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).filter(|name| *name != "lo").collect();
        let near = names.iter().find(|name| strsim::damerau_levenshtein(name, &planned.name) <= 2);
        let hint = match near {
            Some(name) => format!("; did you mean `{name}`?"),
            None if names.is_empty() => "; there is none but lo".to_owned(),
            None => format!("; there are {}", names.join(", ")),
        };
        return Err(DataplaneError::NoInterface { name: planned.name.clone(), hint });
    };
    let unsuitable = |why: &str| DataplaneError::Unsuitable { name: planned.name.clone(), why: why.to_owned() };
    if link.is_loopback {
        return Err(unsuitable("the loopback interface carries only the host's traffic with itself"));
    }
    if !link.is_ethernet {
        return Err(unsuitable("its frames have no Ethernet header; protect the interface below it"));
    }
    let before = protected.iter().find(|one| one.record.index == link.index);
    let left_native = before.and_then(|one| one.record.left_native.clone());
    let (mode, fallback, why) = choose(link, planned.protects, plan.hook, left_native.as_deref())?;
    Ok(Target { planned, link, mode, fallback, why, left_native })
}
