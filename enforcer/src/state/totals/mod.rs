//! What was counted before: totals that go on through `detach`, an upgrade and a reboot.
//!
//! The kernel counts for as long as an interface is protected without a break: a *life*. A file keeps what earlier lives have
//! counted, and what the present one had counted when it was saved last. What is shown is the sum over the earlier lives and
//! what the kernel has now. So nothing is counted twice, however often it is saved, and nothing goes back but what a crash has
//! taken between two saves.

pub mod count;
mod file;

use std::collections::BTreeMap;

use enforcer_common::{Direction, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataplane::Count;
use crate::policy::ruleset::Action;

pub use file::{Bad, Files, Read};

/// Version of the format.
const VERSION: u32 = 1;
/// Rules that are remembered at most; those that were silent for longest are forgotten. Reasons keep what they counted.
const MOST_RULES: usize = 16_384;

/// The totals of one interface, as the file has them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    version: u32,
    /// Whose they are.
    pub of: Owner,
    /// Since when all of it counts.
    pub since: Timestamp,
    /// The life that `now` is of.
    life: Life,
    /// What earlier lives have counted.
    before: Ledger,
    /// What this life had counted when it was saved.
    now: Ledger,
}

/// An interface of a network namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Its name.
    pub interface: String,
    /// Inode number of the network namespace.
    pub netns: u64,
    /// Whether that is the machine's own, which is the same one after a reboot, under whatever number.
    pub is_machine: bool,
}

impl Owner {
    /// Whether both are the same interface, a reboot between them or not.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same_namespace = if self.is_machine { other.is_machine } else { self.netns == other.netns };
        self.interface == other.interface && same_namespace
    }
}

/// A time through which the kernel has counted without a break.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Life {
    /// The boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// When the interface was first protected in it.
    pub since: Timestamp,
}

/// Counters by name.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// By [`rule_key`].
    pub rules: BTreeMap<String, RuleTotal>,
    /// By [`reason_key`].
    pub reasons: BTreeMap<String, Count>,
}

/// What a rule has counted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTotal {
    /// How much.
    pub count: Count,
    /// When it last matched.
    pub last_hit: Option<Timestamp>,
    /// Since when it counts.
    pub since: Timestamp,
}

/// The name of a rule among the counters: one that permits and one that refuses are apart, whatever they are called. The
/// registry of slots, which is pinned, has the same names.
#[must_use]
pub fn rule_key(direction: Direction, action: Action, id: &str) -> String {
    format!("{} {} {id}", direction.name(), key_word(action))
}

/// The word for an action in [`rule_key`]. Files of totals outlive versions: these words are in all of them, and never change.
const fn key_word(action: Action) -> &'static str {
    match action {
        Action::Deny => "Deny",
        Action::Permit => "Permit",
        Action::Internal => "Internal",
    }
}

/// The name of a reason among the counters.
#[must_use]
pub fn reason_key(direction: Direction, reason: Reason, would_drop: bool) -> String {
    format!("{} {} {}", direction.name(), verdict_name(reason, would_drop), reason.name())
}

/// The word for what became of packets: a refusal that was let through in audit is told apart from a drop.
#[must_use]
pub const fn verdict_name(reason: Reason, would_drop: bool) -> &'static str {
    if would_drop { "would_drop" } else { reason.verdict().name() }
}

impl Totals {
    /// The totals after another look at the kernel, which has `counted` in this `life`; `known` is what the file had.
    #[must_use]
    pub fn next(known: Option<&Self>, of: Owner, life: Life, counted: Ledger) -> Self {
        let known = known.filter(|known| known.of.is_same(&of));
        let mut before = known.map(|known| known.earlier(&life, &counted)).unwrap_or_default();
        before.forget_the_silent();
        let since = known.map_or(life.since, |known| known.since.min(life.since));
        Self { version: VERSION, of, since, life, before, now: counted }
    }

    /// What was counted before what the kernel has now.
    #[must_use]
    pub fn earlier(&self, life: &Life, counted: &Ledger) -> Ledger {
        let mut earlier = self.before.clone();
        if self.life != *life {
            earlier.add(&self.now);
            return earlier;
        }
        for (key, saved) in &self.now.rules {
            // Its counter belongs to another rule since, or began anew: the kernel does not have this any more.
            if counted.rules.get(key).is_none_or(|now| now.since != saved.since) {
                earlier.add_rule(key, saved);
            }
        }
        earlier
    }
}

impl Ledger {
    fn add(&mut self, more: &Self) {
        for (key, rule) in &more.rules {
            self.add_rule(key, rule);
        }
        for (key, count) in &more.reasons {
            let sum = self.reasons.entry(key.clone()).or_default();
            *sum = sum.plus(*count);
        }
    }

    fn add_rule(&mut self, key: &str, more: &RuleTotal) {
        // What never matched has nothing to remember but since when it did not.
        match self.rules.get_mut(key) {
            Some(known) => *known = known.plus(more),
            None => {
                self.rules.insert(key.to_owned(), *more);
            }
        }
    }

    fn forget_the_silent(&mut self) {
        if self.rules.len() <= MOST_RULES {
            return;
        }
        let mut hits: Vec<_> = self.rules.iter().map(|(key, rule)| (rule.last_hit, key.clone())).collect();
        hits.sort();
        for (_, key) in hits.iter().take(self.rules.len() - MOST_RULES) {
            self.rules.remove(key);
        }
    }
}

impl RuleTotal {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            count: self.count.plus(other.count),
            last_hit: self.last_hit.max(other.last_hit),
            since: self.since.min(other.since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn of() -> Owner {
        Owner { interface: "eth0".to_owned(), netns: 7, is_machine: false }
    }

    fn life(boot: &str, since: i64) -> Life {
        Life { boot: boot.to_owned(), since: at(since) }
    }

    /// One rule, and the reason under which it counts.
    fn counted(packets: u64, since: i64) -> Ledger {
        let count = Count { packets, bytes: packets * 60 };
        let rule = RuleTotal { count, last_hit: (packets > 0).then(|| at(since + 5)), since: at(since) };
        Ledger {
            rules: [("inbound Permit a/x".to_owned(), rule)].into(),
            reasons: [("inbound pass rule".to_owned(), count)].into(),
        }
    }

    /// What is shown: packets of the rule and of the reason.
    fn shown(totals: &Totals, life: &Life, now: &Ledger) -> (u64, u64) {
        let mut sum = totals.earlier(life, now);
        sum.add(now);
        (sum.rules["inbound Permit a/x"].count.packets, sum.reasons["inbound pass rule"].packets)
    }

    #[test]
    fn names_in_files_are_those_of_every_version() {
        let key = |action| rule_key(Direction::Inbound, action, "site/web");
        let keys = [Action::Deny, Action::Permit, Action::Internal].map(key);
        assert_eq!(keys, ["inbound Deny site/web", "inbound Permit site/web", "inbound Internal site/web"]);
        assert_eq!(reason_key(Direction::Outbound, Reason::NoConnection, false), "outbound drop no-connection");
        assert_eq!(reason_key(Direction::Outbound, Reason::NoConnection, true), "outbound would_drop no-connection");
    }

    #[test]
    fn saving_often_counts_nothing_twice() {
        let (one, now) = (life("b1", 10), counted(5, 10));
        let mut totals = Totals::next(None, of(), one.clone(), now.clone());
        for _ in 0..3 {
            totals = Totals::next(Some(&totals), of(), one.clone(), now.clone());
        }
        assert_eq!(shown(&totals, &one, &counted(8, 10)), (8, 8));
    }

    #[test]
    fn lives_add_up_through_a_reboot_and_a_detach() {
        let (one, two, three) = (life("b1", 10), life("b1", 20), life("b2", 30));
        let totals = Totals::next(None, of(), one, counted(5, 10));
        assert_eq!(shown(&totals, &two, &counted(0, 20)), (5, 5), "before anything of the next life is saved");
        let totals = Totals::next(Some(&totals), of(), two.clone(), counted(3, 20));
        assert_eq!(shown(&totals, &two, &counted(4, 20)), (9, 9));
        let totals = Totals::next(Some(&totals), of(), three.clone(), counted(1, 30));
        assert_eq!(shown(&totals, &three, &counted(2, 30)), (10, 10), "what was saved of each life: 5, 3, and now 2");
        assert_eq!(totals.since, at(10));
        let rule = totals.earlier(&three, &counted(2, 30)).rules["inbound Permit a/x"];
        assert_eq!((rule.since, rule.last_hit), (at(10), Some(at(25))));
    }

    #[test]
    fn a_counter_that_was_given_to_another_rule_is_not_lost() {
        let one = life("b1", 10);
        let totals = Totals::next(None, of(), one.clone(), counted(5, 10));
        let mut now = counted(2, 15);
        now.reasons.insert("inbound pass rule".to_owned(), Count { packets: 7, bytes: 420 });
        assert_eq!(shown(&totals, &one, &now), (7, 7), "the rule began anew, its reason did not");
        let totals = Totals::next(Some(&totals), of(), one.clone(), now.clone());
        assert_eq!(shown(&totals, &one, &now), (7, 7));
    }

    #[test]
    fn totals_of_another_namespace_are_not_ours() {
        let totals = Totals::next(None, of(), life("b1", 10), counted(5, 10));
        let other = Owner { netns: 8, ..of() };
        let next = Totals::next(Some(&totals), other, life("b1", 20), counted(1, 20));
        assert_eq!((next.before.clone(), next.since), (Ledger::default(), at(20)));
        let machine = |netns| Owner { netns, is_machine: true, ..of() };
        assert!(machine(1).is_same(&machine(2)) && !machine(1).is_same(&of()));
    }

    #[test]
    fn sums_end_at_the_largest_number() {
        let most = Count { packets: u64::MAX, bytes: 1 };
        assert_eq!(most.plus(Count { packets: 2, bytes: 2 }), Count { packets: u64::MAX, bytes: 3 });
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut ledger = Ledger::default();
        for number in 0..MOST_RULES + 10 {
            let hit = i64::try_from(number).unwrap();
            let rule = RuleTotal { count: Count::default(), last_hit: Some(at(hit)), since: at(0) };
            ledger.rules.insert(format!("inbound Permit a/{number}"), rule);
        }
        ledger.forget_the_silent();
        assert_eq!(ledger.rules.len(), MOST_RULES);
        assert!(!ledger.rules.contains_key("inbound Permit a/9") && ledger.rules.contains_key("inbound Permit a/10"));
    }
}
