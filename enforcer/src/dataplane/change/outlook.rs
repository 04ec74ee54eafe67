//! Before a change: the modes that it would leave in force, and what the policy in force cuts already.

use std::collections::BTreeMap;

use enforcer_common::Mode;

use super::takeover::kept_modes;
use crate::dataplane::error::DataplaneError;
use crate::dataplane::hook::renamed::once_called;
use crate::dataplane::mode::control::modes;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::{Protected, protected};
use crate::dataplane::plan::Plan;
use crate::dataplane::read::readback::{Loaded, loaded};
use crate::host::links::Link;
use crate::host::netns::own;
use crate::policy::ruleset::{ModeChange, Modes, Protects};

/// An interface with the modes that a change would leave in force on it.
pub type Outlook = (u32, Modes);

/// The modes that a plan would leave in force, for the interfaces that this host itself is behind. Interfaces that are not there
/// are left out.
///
/// # Errors
/// When the pins cannot be read.
pub fn modes_after_apply(plan: &Plan<'_>, links: &[Link]) -> Result<Vec<Outlook>, DataplaneError> {
    let (known, netns) = (protected(&[])?, own()?);
    let mut found = Vec::new();
    for planned in plan.interfaces.iter().filter(|planned| planned.protects == Protects::Host) {
        let Some(link) = links.iter().find(|link| link.name == planned.name) else { continue };
        let by_name = || known.iter().find(|one| one.interface == planned.name);
        let in_force = match once_called(&known, link).or_else(by_name) {
            Some(one) => modes(&one.pins)?,
            None => kept_modes(&InterfacePins::of(&planned.name, netns)?).unwrap_or(Modes::both(Mode::Audit)),
        };
        let after = Modes {
            inbound: planned.inbound.unwrap_or(in_force.inbound),
            outbound: planned.outbound.unwrap_or(in_force.outbound),
        };
        found.push((link.index, after));
    }
    Ok(found)
}

/// The policies in force on protected interfaces, each with the modes that a change would leave in force where it judges.
///
/// # Errors
/// When the pins cannot be read.
pub fn policies_after_change(
    interfaces: &[Protected],
    change: Option<ModeChange>,
) -> Result<Vec<(Loaded, Vec<Outlook>)>, DataplaneError> {
    let mut generations: BTreeMap<u64, (Loaded, Vec<Outlook>)> = BTreeMap::new();
    for one in interfaces.iter().filter(|one| one.record.protects == Protects::Host) {
        let (_reading, one) = &one.now()?;
        let mut after = modes(&one.pins)?;
        if let Some(change) = change {
            after = change.of(after);
        }
        let (_, outlook) = match generations.entry(one.record.generation) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => free.insert((loaded(&one.record)?, Vec::new())),
        };
        outlook.push((one.record.index, after));
    }
    Ok(generations.into_values().collect())
}
