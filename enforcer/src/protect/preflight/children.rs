//! Interfaces of others that stand on a protected one: containers with macvlan or ipvlan, virtual machines with macvtap.

use super::{Facts, Finding, Level};
use crate::dataplane::{Plan, PlannedInterface, Protects};
use crate::host::links::{Child, Link};
use crate::policy::ruleset::Scope;

/// What is found about those that stand on an interface.
pub(super) fn findings(
    plan: &Plan<'_>,
    planned: &PlannedInterface,
    link: &Link,
    facts: &Facts,
    found: &mut Vec<Finding>,
) {
    for child in of(link, &facts.children) {
        let (level, message) = match planned.scope.or(plan.ruleset.settings.scope) {
            None if planned.protects == Protects::Host => (Level::Fix, choice(&link.name, child)),
            Some(Scope::Host) if facts.forwards => {
                (Level::Warning, format!("{child} stands on it: its packets are not filtered with `scope: host`"))
            }
            // Without forwarding the kernel does not say that an address is somebody else's.
            None | Some(Scope::All | Scope::Host) => {
                (Level::Warning, format!("{child} stands on it: its packets are judged by this policy"))
            }
        };
        found.push(Finding { level, interface: Some(link.name.clone()), topic: "children", message });
    }
}

/// Why `apply` refuses: packets of somebody else would be judged, and the policy does not say whether that is meant.
#[must_use]
pub fn refusal(plan: &Plan<'_>, links: &[Link], children: &[Child]) -> Option<String> {
    let is_unscoped = |planned: &&PlannedInterface| {
        planned.protects == Protects::Host && planned.scope.or(plan.ruleset.settings.scope).is_none()
    };
    plan.interfaces.iter().filter(is_unscoped).find_map(|planned| {
        let link = links.iter().find(|link| link.name == planned.name)?;
        Some(choice(&link.name, of(link, children).next()?))
    })
}

fn of<'a>(link: &Link, children: &'a [Child]) -> impl Iterator<Item = &'a Child> {
    let index = link.index;
    children.iter().filter(move |child| child.lower == index)
}

fn choice(interface: &str, child: &Child) -> String {
    format!(
        "{child} stands on {interface}: its packets come by {interface} and are not this host's, and the policy does not say whether \
         they are judged; add `scope: all` (they are judged by this policy) or `scope: host` (they pass while this host forwards, \
         net.ipv4.ip_forward; else they are judged) to the site file"
    )
}
