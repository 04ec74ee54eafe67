//! The effect of a change before it is made: the resulting modes, and the policies that it would replace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use crate::dataplane::error::DataplaneError;
use crate::dataplane::hook::renamed::once_called;
use crate::dataplane::mode::active::{self, modes};
use crate::dataplane::mode::pending::{DeadlineKind, Pending};
use crate::dataplane::mode::resulting::{Known, Resulting, kept_known};
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::{Protected, all_protected, policy};
use crate::dataplane::plan::{Ending, Plan, PlannedInterface};
use crate::dataplane::read::readback::{Loaded, loaded};
use crate::host::links::Link;
use crate::host::netns::own;
use crate::policy::modes::{ModeChange, Modes, Protects};
use crate::policy::site::OfEstate;

/// The index of an interface, and the modes that it would have after a change.
pub type Outlook = (u32, Modes);

/// The modes that a plan would leave in force, for the interfaces that this host itself is behind. Interfaces that are not there
/// are left out.
///
/// # Errors
/// When the pins cannot be read.
pub fn modes_after_apply(plan: &Plan<'_>, links: &[Link]) -> Result<Vec<Outlook>, DataplaneError> {
    let all = resulting_modes(&plan.interfaces, plan.ending, links)?;
    let hosts = plan.interfaces.iter().zip(all).filter(|(planned, _)| planned.protects == Protects::Host);
    Ok(hosts.filter_map(|(_, found)| found.map(|(index, resulting)| (index, resulting.modes))).collect())
}

/// The modes that each of these interfaces would get, with its index, and why. `None`: it is not there.
///
/// # Errors
/// When the pins cannot be read.
pub fn resulting_modes(
    interfaces: &[PlannedInterface],
    ending: Ending,
    links: &[Link],
) -> Result<Vec<Option<(u32, Resulting)>>, DataplaneError> {
    let (protected, netns) = (all_protected()?, own()?);
    let one = |planned: &PlannedInterface| {
        let Some(link) = links.iter().find(|link| link.name == planned.name) else { return Ok(None) };
        let by_name = || protected.iter().find(|one| one.interface == planned.name);
        let known = match once_called(&protected, link).or_else(by_name) {
            Some(one) => Some(Known { modes: lasting_modes(&one.pins)?, settled: one.record.settled_modes }),
            None => kept_known(&InterfacePins::of(&planned.name, netns)?)?,
        };
        Ok(Some((link.index, Resulting::of(&planned.said, known.as_ref(), ending))))
    };
    interfaces.iter().map(one).collect()
}

/// A policy that would be replaced by another one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replaced {
    /// Name of the interface.
    pub interface: String,
    before: Described,
    now: Described,
}

/// What identifies a policy to an operator: its file and its roles.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Described {
    estate: Option<OfEstate>,
    origin: String,
    roles: BTreeSet<String>,
}

/// Active policies that a plan would replace and that come from another file or are for other roles.
///
/// # Errors
/// When the pins cannot be read.
pub fn replaced(plan: &Plan<'_>, links: &[Link]) -> Result<Vec<Replaced>, DataplaneError> {
    let protected = all_protected()?;
    let now = Described::of(
        plan.source.estate.as_ref(),
        &plan.origin,
        plan.ruleset.rules.iter().map(|rule| rule.id.as_str()),
    );
    let mut found = Vec::new();
    for planned in &plan.interfaces {
        let link = links.iter().find(|link| link.name == planned.name);
        let by_name = || protected.iter().find(|one| one.interface == planned.name);
        let Some(one) = link.and_then(|link| once_called(&protected, link)).or_else(by_name) else { continue };
        // `status` reports policies that cannot be read.
        let Ok(policy) = policy(&one.record) else { continue };
        let before =
            Described::of(policy.estate.as_ref(), &policy.origin, policy.rules.iter().map(|rule| rule.id.as_str()));
        if before != now {
            found.push(Replaced { interface: planned.name.clone(), before, now: now.clone() });
        }
    }
    Ok(found)
}

impl Replaced {
    /// The host of the policy before and of the one that would replace it, where both are of an estate and of different hosts.
    #[must_use]
    pub fn other_host(&self) -> Option<[&OfEstate; 2]> {
        let (before, now) = (self.before.estate.as_ref()?, self.now.estate.as_ref()?);
        (before != now).then_some([before, now])
    }
}

impl Described {
    fn of<'a>(estate: Option<&OfEstate>, origin: &str, rules: impl Iterator<Item = &'a str>) -> Self {
        let roles = rules.filter_map(|id| id.split_once('/')).map(|(role, _)| role).filter(|role| *role != "site");
        Self { estate: estate.cloned(), origin: origin.to_owned(), roles: roles.map(str::to_owned).collect() }
    }
}

/// "the policy of a.yaml (roles: finesse) with that of b.yaml (roles: vvb)".
impl Display for Replaced {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let roles = |one: &Described| {
            if one.roles.is_empty() {
                "no role".to_owned()
            } else {
                format!("roles: {}", one.roles.iter().cloned().collect::<Vec<_>>().join(", "))
            }
        };
        let Self { before, now, .. } = self;
        write!(
            formatter,
            "the policy of {} ({}) with that of {} ({})",
            before.origin,
            roles(before),
            now.origin,
            roles(now)
        )
    }
}

/// The active modes; in a change window, the modes after it.
fn lasting_modes(pins: &InterfacePins) -> Result<Modes, DataplaneError> {
    let window = Pending::read(pins)?.filter(|pending| pending.is_armed() && pending.kind() == DeadlineKind::Window);
    match window.and_then(|pending| pending.before) {
        Some(before) => Ok(before.modes),
        None => modes(pins),
    }
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
        let (_reading, one) = &active::now(one)?;
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
