//! Which conversations cross which interfaces, and which modes would be in force on them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use enforcer_common::{Direction, Mode};

use crate::dataplane::Modes;
use crate::host::links::{Addresses, Link};

/// The modes that a policy would have, by the interfaces whose packets it sees.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By index: the protected interfaces, and those above them (bridges, bonds, VLANs).
    modes: BTreeMap<u32, Modes>,
    /// Interfaces by their own addresses.
    owners: BTreeMap<IpAddr, BTreeSet<u32>>,
    /// Interfaces by which remote addresses are reached.
    routes: BTreeMap<IpAddr, u32>,
}

impl Coverage {
    /// The coverage of protected interfaces with these modes. `routes`: by which interfaces remote addresses are reached.
    #[must_use]
    pub fn new(
        protected: &[(u32, Modes)],
        links: &[Link],
        addresses: &Addresses,
        routes: &BTreeMap<IpAddr, u32>,
    ) -> Self {
        Self { modes: with_those_above(protected, links), owners: addresses.interfaces.clone(), routes: routes.clone() }
    }

    /// Whether any direction of any interface would enforce.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.modes.values().any(|modes| modes.inbound == Mode::Enforce || modes.outbound == Mode::Enforce)
    }

    /// Whether a conversation between these ends would be enforced upon in this direction. Where it cannot be told by which
    /// interface its packets go, it is taken to cross them all.
    #[must_use]
    pub fn enforces_on(&self, direction: Direction, local: SocketAddr, remote: SocketAddr) -> bool {
        let crossed: BTreeSet<u32> = self
            .routes
            .get(&remote.ip())
            .into_iter()
            .chain(self.owners.get(&local.ip()).into_iter().flatten())
            .copied()
            .collect();
        let unknown = !self.routes.contains_key(&remote.ip());
        let mut modes = self.modes.iter().filter(|(index, _)| unknown || crossed.contains(index));
        modes.any(|(_, modes)| modes.of(direction) == Mode::Enforce)
    }
}

/// Interfaces above a protected one get its packets after it has judged them.
fn with_those_above(protected: &[(u32, Modes)], links: &[Link]) -> BTreeMap<u32, Modes> {
    let mut covered: BTreeMap<u32, Modes> = BTreeMap::new();
    let mut open: Vec<(u32, Modes)> = protected.to_vec();
    while let Some((index, modes)) = open.pop() {
        let merged = covered.get(&index).map_or(modes, |known| stricter(*known, modes));
        if covered.insert(index, merged) == Some(merged) {
            continue;
        }
        let master = links.iter().find(|link| link.index == index).and_then(|link| link.master);
        let above = links.iter().filter(|link| link.lower == Some(index)).map(|link| link.index);
        open.extend(master.into_iter().chain(above).map(|index| (index, merged)));
    }
    covered
}

fn stricter(one: Modes, other: Modes) -> Modes {
    Modes { inbound: one.inbound.max(other.inbound), outbound: one.outbound.max(other.outbound) }
}

#[cfg(test)]
impl Coverage {
    /// One interface that everything crosses.
    pub(crate) fn everywhere(modes: Modes) -> Self {
        Self { modes: BTreeMap::from([(1, modes)]), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENFORCE: Modes = Modes::both(Mode::Enforce);

    fn link(index: u32, master: Option<u32>, lower: Option<u32>) -> Link {
        Link { master, lower, ..Link::for_tests(index, &format!("if{index}")) }
    }

    #[test]
    fn a_bridge_and_its_vlan_are_covered_by_the_port() {
        let links = [link(1, Some(2), None), link(2, None, None), link(3, None, Some(2)), link(4, None, None)];
        let covered = with_those_above(&[(1, ENFORCE)], &links);
        assert_eq!(covered.into_keys().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_conversation_over_another_interface_is_not_touched() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let coverage = Coverage {
            modes: BTreeMap::from([(1, ENFORCE)]),
            owners: BTreeMap::from([(ip("10.0.0.1"), BTreeSet::from([1])), (ip("10.9.0.1"), BTreeSet::from([2]))]),
            routes: BTreeMap::from([(ip("10.0.0.2"), 1), (ip("10.9.0.2"), 2)]),
        };
        let asks = |local: &str, remote: &str| {
            coverage.enforces_on(Direction::Inbound, local.parse().unwrap(), remote.parse().unwrap())
        };
        assert!(asks("10.0.0.1:22", "10.0.0.2:1"));
        assert!(!asks("10.9.0.1:22", "10.9.0.2:1"));
        assert!(asks("10.0.0.1:22", "10.9.0.2:1"), "it came by the address of the protected interface");
        assert!(asks("10.9.0.1:22", "10.8.0.2:1"), "nobody knows the way");
    }
}
