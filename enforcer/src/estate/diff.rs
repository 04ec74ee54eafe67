//! What becomes possible or impossible between two versions of an estate, in terms of hosts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::ends::Ends;
use super::ports::{Ports, without};
use super::reach::{Conversation, conversations};
use crate::policy::catalogue::{format_ranges, merge_ranges};
use crate::policy::ruleset::Rule;
use crate::policy::site::protocol_name;

/// Conversations of which one version permits what the other does not.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Change {
    /// The protocol by its name.
    pub protocol: String,
    /// The ports.
    pub ports: String,
    /// The rules of the version that permits: of the end that lets it in, or out where it leads outside.
    pub rules: Vec<String>,
    /// `FROM -> TO`.
    pub pairs: Vec<[String; 2]>,
}

/// The whole difference.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Difference {
    /// What is no longer possible.
    pub removed: Vec<Change>,
    /// What is now possible.
    pub added: Vec<Change>,
    /// Hosts that only the first version has.
    pub hosts_removed: Vec<String>,
    /// Hosts that only the second version has.
    pub hosts_added: Vec<String>,
    /// Hosts whose policy is another one.
    pub hosts_changed: Vec<String>,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.removed.is_empty()
            && self.added.is_empty()
            && self.hosts_removed.is_empty()
            && self.hosts_added.is_empty()
            && self.hosts_changed.is_empty()
    }
}

type Pair<'r> = (&'r str, &'r str, u8);

/// What is permitted between two names, with the rules that permit it.
#[derive(Default)]
struct Permitted<'r> {
    ports: Ports,
    by: Vec<(&'r Rule, Ports)>,
}

/// Compares two versions.
#[must_use]
pub fn diff(first: &Ends<'_>, second: &Ends<'_>) -> Difference {
    let (before, after) = (conversations(first), conversations(second));
    let (before, after) = (permitted(&before), permitted(&after));
    let names = |ends: &Ends<'_>| ends.estate.hosts.keys().cloned().collect::<BTreeSet<String>>();
    let (old, new) = (names(first), names(second));
    let hash = |ends: &Ends<'_>, name: &str| ends.hosts.get(name).map(|end| end.policy_hash.clone());
    Difference {
        removed: only_in(&before, &after),
        added: only_in(&after, &before),
        hosts_removed: old.difference(&new).cloned().collect(),
        hosts_added: new.difference(&old).cloned().collect(),
        hosts_changed: old.intersection(&new).filter(|name| hash(first, name) != hash(second, name)).cloned().collect(),
    }
}

fn permitted<'r>(all: &[Conversation<'r>]) -> BTreeMap<Pair<'r>, Permitted<'r>> {
    let mut found: BTreeMap<Pair<'r>, Permitted<'r>> = BTreeMap::new();
    for one in all {
        let permitted = found.entry((one.from, one.to, one.protocol)).or_default();
        permitted.ports.extend(one.ports.iter().cloned());
        permitted.by.extend(one.in_by.or(one.out_by).map(|rule| (rule, one.ports.clone())));
    }
    for permitted in found.values_mut() {
        permitted.ports = merge_ranges(std::mem::take(&mut permitted.ports));
    }
    found
}

/// What one version permits and the other does not; pairs with the same change together.
fn only_in(one: &BTreeMap<Pair<'_>, Permitted<'_>>, other: &BTreeMap<Pair<'_>, Permitted<'_>>) -> Vec<Change> {
    let mut found: BTreeMap<(String, String, Vec<String>), Vec<[String; 2]>> = BTreeMap::new();
    for (pair, permitted) in one {
        let there = other.get(pair).map(|permitted| permitted.ports.as_slice()).unwrap_or_default();
        let left = without(&permitted.ports, there);
        if left.is_empty() {
            continue;
        }
        let touches = |ports: &Ports| !super::ports::common(ports, &left).is_empty();
        let rules: BTreeSet<String> =
            permitted.by.iter().filter(|(_, ports)| touches(ports)).map(|(rule, _)| rule.id.clone()).collect();
        let (from, to, protocol) = pair;
        let key = (protocol_name(*protocol), format_ranges(&left), rules.into_iter().collect());
        found.entry(key).or_default().push([(*from).to_owned(), (*to).to_owned()]);
    }
    let changes = found.into_iter().map(|((protocol, ports, rules), pairs)| Change { protocol, ports, rules, pairs });
    changes.collect()
}
