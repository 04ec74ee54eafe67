//! Remote addresses in classes: two addresses that the same lists of prefixes cover are never told apart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use enforcer_common::SourceClass;
use ipnet::IpNet;

use crate::policy::ruleset::Rule;

/// The classes of addresses ("atoms") that the rules' lists make, before any is merged for having equal decisions.
#[derive(Debug)]
pub(super) struct Sources {
    /// Every prefix of every list and its atom, in the order of prefixes.
    nets: Vec<(IpNet, u32)>,
    /// For each rule its list, if it has one.
    lists: Vec<Option<usize>>,
    /// For each list the atoms in it.
    members: Vec<Vec<u32>>,
    /// How many atoms there are; atom 0 is the addresses that no prefix covers.
    pub atoms: usize,
}

impl Sources {
    /// The classes that these rules make.
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut known: HashMap<Arc<[IpNet]>, usize> = HashMap::new();
        let mut by_pointer: HashMap<*const IpNet, usize> = HashMap::new();
        let mut lists = Vec::with_capacity(rules.len());
        for rule in rules {
            let list = rule.prefixes.as_ref().map(|prefixes| {
                // Rules share most lists; the pointer spares comparing thousands of prefixes for each.
                *by_pointer.entry(prefixes.as_ptr()).or_insert_with(|| {
                    let next = known.len();
                    *known.entry(Arc::clone(prefixes)).or_insert(next)
                })
            });
            // An empty list has a dangling pointer that all empty lists share, which is right: they are equal.
            lists.push(list);
        }
        let mut in_lists: BTreeMap<IpNet, Vec<usize>> = BTreeMap::new();
        for (list, number) in &known {
            for net in list.iter() {
                in_lists.entry(*net).or_default().push(*number);
            }
        }
        let words = known.len().div_ceil(64);
        let mut atoms: HashMap<Vec<u64>, u32> = HashMap::from([(vec![0; words], 0)]);
        let mut sets: Vec<Vec<u64>> = vec![vec![0; words]];
        let mut nets: Vec<(IpNet, u32)> = Vec::with_capacity(in_lists.len());
        // Prefixes come in the order of their first address, the shorter first: what covers one is on the stack.
        let mut covering: Vec<(IpNet, u32)> = Vec::new();
        for (net, numbers) in in_lists {
            while covering.last().is_some_and(|(outer, _)| !outer.contains(&net)) {
                covering.pop();
            }
            let outer = covering.last().map_or(0, |(_, atom)| *atom);
            let mut set = sets[outer as usize].clone();
            for number in numbers {
                set[number / 64] |= 1 << (number % 64);
            }
            let atom = match atoms.get(&set) {
                Some(atom) => *atom,
                None => {
                    let atom = u32::try_from(sets.len()).unwrap_or(u32::MAX);
                    atoms.insert(set.clone(), atom);
                    sets.push(set);
                    atom
                }
            };
            nets.push((net, atom));
            covering.push((net, atom));
        }
        let mut members = vec![Vec::new(); known.len()];
        for (atom, set) in sets.iter().enumerate() {
            for (word, bits) in set.iter().enumerate() {
                let mut bits = *bits;
                while bits != 0 {
                    let list = word * 64 + bits.trailing_zeros() as usize;
                    members[list].push(u32::try_from(atom).unwrap_or(u32::MAX));
                    bits &= bits - 1;
                }
            }
        }
        Self { nets, lists, members, atoms: sets.len() }
    }

    /// The atoms that a rule is for; `None`: all.
    pub(super) fn atoms_of(&self, rule: usize) -> Option<&[u32]> {
        self.lists[rule].map(|list| self.members[list].as_slice())
    }

    /// Every prefix with the columns of its atom.
    pub(super) fn prefixes(&self, columns: &[Vec<u16>; 2]) -> BTreeMap<IpNet, SourceClass> {
        let class = |atom: u32| SourceClass::new(columns[0][atom as usize], columns[1][atom as usize]);
        self.nets.iter().map(|(net, atom)| (*net, class(*atom))).collect()
    }
}
