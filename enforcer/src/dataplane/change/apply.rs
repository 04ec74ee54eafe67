//! Putting a ruleset in force. Everything is made beside what runs, and comes into force by one update a hook; until the last
//! step nothing of the old policy is touched, and what fails leaves all interfaces as they were.

use std::fs;

use rtnetlink::packet_route::link::InfoKind;

use super::renamed;
use super::switch::sweep;
use crate::dataplane::change::stage::{Applied, Target, stage_and_switch};
use crate::dataplane::change::way_back::refuse_overdue;
use crate::dataplane::error::{DataplaneError, Doing as _};
use crate::dataplane::hook::choose::choose;
use crate::dataplane::load::object;
use crate::dataplane::pin::bpffs::check_bpffs;
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::{self, HostPins};
use crate::dataplane::pin::protected::all_protected;
use crate::dataplane::pin::slots;
use crate::dataplane::plan::{Plan, PlannedInterface};
use crate::dataplane::read::totals;
use crate::dataplane::sys::kernel::on_old_kernels;
use crate::host::links::{Link, links};
use crate::host::netns;
use crate::policy::ruleset::Protects;

/// Puts a ruleset in force.
///
/// # Errors
/// Whatever fails, all interfaces are as they were.
pub fn apply(plan: &Plan<'_>) -> Result<Vec<Applied>, DataplaneError> {
    object::check_kernel()?;
    check_bpffs()?;
    object::read_ahead();
    let links = links().doing(|| "cannot look at the interfaces".to_owned())?;
    let targets = plan.interfaces.iter().map(|one| target(one, &links, plan)).collect::<Result<Vec<_>, _>>()?;
    let _lock = lock()?;
    refuse_overdue()?;
    let netns = netns::own()?;
    renamed::follow_names(netns)?;
    let host = HostPins::of(netns);
    let slots = slots::read(&host)?;
    let mut staged = Vec::new();
    // Before slots change hands: what a rule has counted that is about to lose its own is known by name here for the last time.
    let mut said = totals::save_each(&all_protected()?);
    let result = stage_and_switch(plan, &links, targets, &host, netns, &mut staged);
    if result.is_err() {
        for one in &mut staged {
            one.staged.discard();
        }
        slots::put_back(&host, &slots);
        let _ = sweep(&host);
        if all_protected().is_ok_and(|left| left.is_empty()) {
            let _ = host.remove_own_layout();
            // Only when no other network namespace has anything there.
            let _ = fs::remove_dir(pins::ROOT);
        }
    }
    let mut applied = result.map_err(on_old_kernels)?;
    // The policy is in force: what cannot be done now is told, and is no failure.
    match all_protected() {
        Ok(protected) => said.extend(totals::save_each(&protected)),
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

fn target<'a>(planned: &'a PlannedInterface, links: &'a [Link], plan: &Plan<'_>) -> Result<Target<'a>, DataplaneError> {
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
    let is_bridge = |master: &&Link| Some(master.index) == link.master && master.kind == Some(InfoKind::Bridge);
    let scope = planned.scope.or(plan.ruleset.settings.scope);
    if let Some(bridge) = links.iter().find(is_bridge)
        && scope.is_none()
        && planned.protects == Protects::Host
    {
        return Err(DataplaneError::Refused(format!(
            "{} is a port of the bridge {}, and the policy does not say whether what is bridged to others is judged; add \
             `scope: host` (only what is addressed to this host) or `scope: all` (everything) to the site file",
            link.name, bridge.name
        )));
    }
    let (mode, fallback, why) = choose(link, planned.protects, plan.hook)?;
    Ok(Target { planned, link, mode, fallback, why })
}
