//! From the interfaces that a site names, by name or by pattern, to those that are there.

use enforcer_common::Mode;

use crate::dataplane::{Plan, PlannedInterface, Protects, Said};
use crate::failure::Failure;
use crate::host::links::Link;
use crate::policy::modes::SaidModes;
use crate::policy::site::{Interface, Site};
use crate::protect::preflight::forwards;

/// The interfaces to protect, and what nothing answers to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planned {
    /// Those that the site names, there or not, and those that fit its patterns.
    pub interfaces: Vec<PlannedInterface>,
    /// Patterns that no interface fits.
    pub unmatched: Vec<String>,
}

/// The interfaces of a site, each with the mode that the site gives it and the one that is asked for by name.
#[must_use]
pub fn planned(site: &Site, mode: Option<Mode>, links: &[Link]) -> Planned {
    let mut found = Planned::default();
    for interface in &site.interfaces {
        if !interface.is_pattern() {
            found.interfaces.push(planned_as(site, interface, &interface.name, mode));
            continue;
        }
        // What is named, and what fits a pattern further up, is theirs.
        let is_mine = |link: &&Link| is_candidate(link) && site.interface(&link.name) == Some(interface);
        found.interfaces.extend(links.iter().filter(is_mine).map(|link| planned_as(site, interface, &link.name, mode)));
        if !links.iter().any(|link| is_candidate(link) && interface.covers(&link.name)) {
            found.unmatched.push(interface.name.clone());
        }
    }
    found
}

/// An interface by the name it has, and by what the site says of it.
#[must_use]
pub fn planned_as(site: &Site, interface: &Interface, name: &str, mode: Option<Mode>) -> PlannedInterface {
    PlannedInterface {
        name: name.to_owned(),
        protects: interface.protects,
        scope: site.scope_of(interface),
        claims: interface.claims.clone(),
        said: Said { asked: SaidModes::both(mode), site: site.modes_of(interface), settled: None },
    }
}

/// A pattern means what can be protected; a name that cannot be is a mistake.
fn is_candidate(link: &Link) -> bool {
    link.is_ethernet && !link.is_loopback
}

/// On a host that forwards, "everything is judged" may be the end of somebody else's traffic: the operator has to choose.
pub(crate) fn refuse_unscoped_forwarding(plan: &Plan<'_>) -> Result<(), Failure> {
    let unscoped =
        |one: &&PlannedInterface| one.scope.or(plan.ruleset.settings.scope).is_none() && one.protects == Protects::Host;
    let Some(one) = plan.interfaces.iter().find(unscoped) else { return Ok(()) };
    if !forwards() {
        return Ok(());
    }
    Err(Failure::Refused(anyhow::anyhow!(
        "this host forwards packets, and the policy does not say whether forwarded packets are judged on {}; add \
         `scope: host` (judge only packets to this host) or `scope: all` (judge every packet) to the site file",
        one.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::catalogue;
    use crate::text::diagnostic::Text;

    fn link(name: &str, is_ethernet: bool) -> Link {
        Link { is_ethernet, is_loopback: name == "lo", ..Link::for_tests(1, name) }
    }

    fn planned_of(interfaces: &str) -> Planned {
        let text = format!("interfaces: {interfaces}\nroles: [unity-connection]\n");
        let catalogue = catalogue::embedded().unwrap();
        let site = crate::policy::site::read(Text::new("site.yaml", text), catalogue).unwrap();
        let links = ["lo", "eth0", "eth1", "eth10", "wlan0"].map(|name| link(name, name != "lo"));
        let links: Vec<Link> = links.into_iter().chain([link("tun0", false)]).collect();
        planned(&site, None, &links)
    }

    fn names(interfaces: &str) -> Vec<String> {
        planned_of(interfaces).interfaces.into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn a_pattern_means_every_interface_that_fits_and_can_be_protected() {
        assert_eq!(names("[eth*]"), ["eth0", "eth1", "eth10"]);
        assert_eq!(names("['eth?']"), ["eth0", "eth1"]);
        assert_eq!(names("['*']"), ["eth0", "eth1", "eth10", "wlan0"]);
    }

    #[test]
    fn a_name_and_the_first_pattern_win() {
        let found = planned_of("[{name: 'eth1*', mode: enforce}, 'eth*', {name: eth1, mode: audit}]").interfaces;
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.said.site.inbound)).collect();
        assert_eq!(found, [("eth10", Some(Mode::Enforce)), ("eth0", None), ("eth1", Some(Mode::Audit))]);
    }

    #[test]
    fn what_nothing_answers_to_is_told() {
        let found = planned_of("[eth7, 'br*', 'tun*', 'eth0*']");
        assert_eq!(found.unmatched, ["br*", "tun*"]);
        assert_eq!(found.interfaces.len(), 2, "eth7 stands there by name");
    }
}
