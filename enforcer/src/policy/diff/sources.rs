//! Sets of remote addresses, exactly, as prefixes and the prefixes inside them that are left out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::{Direction, SourceClass};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;

use crate::policy::ruleset::Ruleset;

/// A set of addresses: those in `prefixes` that are not in `except`, or all where `prefixes` is `None`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Sources {
    /// Prefixes; `None`: every address.
    pub prefixes: Option<Vec<IpNet>>,
    /// Prefixes inside them that are not in the set, though smaller ones inside these may again be, and are then in `prefixes`.
    pub except: Vec<IpNet>,
}

impl Sources {
    /// Every address.
    #[must_use]
    pub const fn any() -> Self {
        Self { prefixes: None, except: Vec::new() }
    }

    /// Whether an address is in the set: the longest prefix that covers it decides.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let longest = |nets: &[IpNet]| nets.iter().filter(|net| net.contains(&address)).map(IpNet::prefix_len).max();
        let inside = match &self.prefixes {
            None => Some(0),
            Some(prefixes) => longest(prefixes),
        };
        match (inside, longest(&self.except)) {
            (Some(inside), Some(outside)) => inside > outside,
            (inside, None) => inside.is_some(),
            (None, Some(_)) => false,
        }
    }
}

/// The prefixes of two policies, each with the cell that its own addresses fall into: those that no longer prefix covers.
pub(super) struct Partition {
    nets: Vec<(IpNet, usize)>,
    /// Classes of each cell in the first and in the second policy, as far as one direction tells them apart.
    pub(super) cells: Vec<(SourceClass, SourceClass)>,
}

impl Partition {
    pub(super) fn of(first: &Ruleset, second: &Ruleset, direction: Direction) -> Self {
        let roots = [
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
        ];
        let mut merged: BTreeMap<IpNet, [Option<SourceClass>; 2]> =
            roots.iter().map(|root| (*root, [None; 2])).collect();
        for (which, ruleset) in [first, second].into_iter().enumerate() {
            for (net, class) in &ruleset.prefixes {
                merged.entry(*net).or_default()[which] = Some(*class);
            }
        }
        // One direction tells fewer classes apart than both.
        let column = |class: SourceClass| {
            let column = u16::try_from(class.column(direction)).unwrap_or_default();
            match direction {
                Direction::Inbound => SourceClass::new(column, 0),
                Direction::Outbound => SourceClass::new(0, column),
            }
        };
        let mut known: BTreeMap<(SourceClass, SourceClass), usize> = BTreeMap::new();
        let mut cells = Vec::new();
        let mut nets = Vec::with_capacity(merged.len());
        // Prefixes come in the order of their first address, the shorter first: what covers one is on the stack.
        let mut covering: Vec<(IpNet, [SourceClass; 2])> = Vec::new();
        for (net, own) in merged {
            while covering.last().is_some_and(|(outer, _)| !outer.contains(&net)) {
                covering.pop();
            }
            let outer = covering.last().map_or_else(<[SourceClass; 2]>::default, |(_, classes)| *classes);
            let classes = [0, 1].map(|which| own[which].map_or(outer[which], column));
            covering.push((net, classes));
            let cell = *known.entry((classes[0], classes[1])).or_insert_with(|| {
                cells.push((classes[0], classes[1]));
                cells.len() - 1
            });
            nets.push((net, cell));
        }
        Self { nets, cells }
    }

    /// The addresses of some cells.
    pub(super) fn sources(&self, cells: &[usize]) -> Sources {
        let (mut prefixes, mut except) = (Vec::new(), Vec::new());
        let mut covering: Vec<(IpNet, bool)> = Vec::new();
        for (net, cell) in &self.nets {
            while covering.last().is_some_and(|(outer, _)| !outer.contains(net)) {
                covering.pop();
            }
            let is_in = cells.contains(cell);
            // Only where it is not as around it does a prefix say something.
            match (covering.last().is_some_and(|(_, is_in)| *is_in), is_in) {
                (false, true) => prefixes.push(*net),
                (true, false) => except.push(*net),
                (true, true) | (false, false) => {}
            }
            covering.push((*net, is_in));
        }
        let is_any = except.is_empty() && prefixes.len() == 2 && prefixes.iter().all(|net| net.prefix_len() == 0);
        if is_any { Sources::any() } else { Sources { prefixes: Some(prefixes), except } }
    }
}
