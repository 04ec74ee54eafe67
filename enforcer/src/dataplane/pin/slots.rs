//! The registry of rule counters: which counter slot belongs to which rule. A rule keeps its slot while its count can be read, so that
//! counters continue when the policy changes. All interfaces of the host share the slots.

use std::collections::{BTreeMap, BTreeSet};

use enforcer_common::Direction;
use enforcer_common::layout::RULE_SLOTS;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pins::HostPins;
use super::record::PolicyRecord;
use crate::dataplane::error::DataplaneError;
use crate::dataplane::pin::document::{read_record, write_record};
use crate::dataplane::pin::record::Slot;
use crate::policy::ruleset::{Action, Match, Rule};
use crate::state::totals::rule_key;

/// Slot and start time of every counted rule, by direction and id.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(in crate::dataplane) struct Registry {
    slots: BTreeMap<String, Slot>,
}

/// The result of an assignment.
#[derive(Debug, PartialEq)]
pub(in crate::dataplane) struct Assignment {
    /// The slot of each rule, in the order of the rules.
    pub(in crate::dataplane) slots: Vec<Slot>,
    /// Slots of removed rules, to be set to zero before they are reused.
    pub(in crate::dataplane) reused: Vec<Slot>,
    /// Slots whose rules count until the switch and that belong to other rules afterwards.
    pub(in crate::dataplane) taken_over: Vec<Slot>,
}

/// The rules that are counted now, by [`rule_key`].
#[derive(Debug, Default)]
pub(in crate::dataplane) struct InForce {
    /// Rules of policies that stay active or may be restored: they keep their counters.
    pub(in crate::dataplane) staying: BTreeSet<String>,
    /// Rules of policies that are about to be replaced.
    pub(in crate::dataplane) leaving: BTreeSet<String>,
    /// What to do if there are too few counters.
    pub(in crate::dataplane) way_out: &'static str,
}

/// The registry as it is now; an `apply` that fails restores it.
pub(in crate::dataplane) fn read(host: &HostPins) -> Result<Option<Registry>, DataplaneError> {
    read_record(&host.map("slots"))
}

/// Restores the saved registry, which frees the slots of rules that never became active.
pub(in crate::dataplane) fn put_back(host: &HostPins, registry: &Option<Registry>) {
    let path = host.map("slots");
    // A failure only leaves unused slots.
    let _ = match registry {
        Some(registry) => write_record(&path, registry),
        None => std::fs::remove_file(&path).map_err(crate::dataplane::error::at(path)),
    };
}

/// Assigns a slot to every rule and writes the registry.
pub(in crate::dataplane) fn assign(
    host: &HostPins,
    rules: &[Rule],
    in_force: impl FnOnce() -> Result<InForce, DataplaneError>,
    now: Timestamp,
) -> Result<Assignment, DataplaneError> {
    let path = host.map("slots");
    let mut registry: Registry = read_record(&path)?.unwrap_or_default();
    // Every policy is read for it: only where some rule has to give its counter to another.
    let in_force = if registry.lacks_room_for(rules) { in_force()? } else { InForce::default() };
    let assignment = registry.assign(rules, &in_force, now)?;
    write_record(&path, &registry)?;
    Ok(assignment)
}

impl Registry {
    /// Whether rules that were counted before would have to give their counters to these.
    pub(in crate::dataplane) fn lacks_room_for(&self, rules: &[Rule]) -> bool {
        let keys = rules.iter().map(|rule| rule_key(rule.direction, rule.action, &rule.id));
        let new: BTreeSet<String> = keys.filter(|key| !self.slots.contains_key(key)).collect();
        self.slots.len() + new.len() > RULE_SLOTS as usize
    }

    fn assign(&mut self, rules: &[Rule], in_force: &InForce, now: Timestamp) -> Result<Assignment, DataplaneError> {
        let keys: Vec<String> = rules.iter().map(|rule| rule_key(rule.direction, rule.action, &rule.id)).collect();
        let wanted: BTreeSet<&String> = keys.iter().collect();
        let new = wanted.iter().filter(|key| !self.slots.contains_key(**key)).count();
        let (mut dropped, mut taken_over) = (Vec::new(), Vec::new());
        if self.slots.len() + new > RULE_SLOTS as usize {
            let InForce { staying, leaving, .. } = in_force;
            let most = RULE_SLOTS as usize;
            self.slots.retain(|key, slot| {
                let keep = staying.contains(key) || leaving.contains(key) || wanted.contains(key);
                if !keep {
                    dropped.push(*slot);
                }
                keep
            });
            let mut lacking = (self.slots.len() + new).saturating_sub(most);
            self.slots.retain(|key, slot| {
                let give = lacking > 0 && !staying.contains(key) && !wanted.contains(key);
                if give {
                    lacking -= 1;
                    taken_over.push(*slot);
                }
                !give
            });
            if lacking > 0 {
                let others = staying.iter().filter(|key| !wanted.contains(key)).count();
                return Err(too_many(wanted.len(), others, in_force));
            }
        }
        let taken: BTreeSet<u16> = self.slots.values().map(|slot| slot.number).collect();
        let mut free = (0..u16::try_from(RULE_SLOTS).unwrap_or(u16::MAX)).filter(|number| !taken.contains(number));
        let mut slots = Vec::with_capacity(keys.len());
        for (key, rule) in keys.iter().zip(rules) {
            let slot = match self.slots.get(key) {
                Some(slot) => *slot,
                None => {
                    let number = free.next().ok_or_else(|| too_many(wanted.len(), 0, in_force))?;
                    let slot = Slot {
                        number,
                        since: now,
                        // Echo requests have a reason of their own.
                        permits: rule.action == Action::Permit && rule.matches != Match::Echo,
                        outbound: rule.direction == Direction::Outbound,
                    };
                    self.slots.insert(key.clone(), slot);
                    slot
                }
            };
            slots.push(slot);
        }
        Ok(Assignment { slots, reused: dropped, taken_over })
    }
}

/// The keys of the rules of a loaded policy.
pub(in crate::dataplane) fn names(policy: &PolicyRecord) -> impl Iterator<Item = String> {
    policy.rules.iter().map(|rule| rule_key(rule.direction, rule.action, &rule.id))
}

/// The error message for too few counters.
fn too_many(rules: usize, others: usize, in_force: &InForce) -> DataplaneError {
    let most = RULE_SLOTS as usize;
    DataplaneError::TooManyRules(if rules > most {
        format!(
            "the policy has {rules} rules with different names, but at most {most} rules can be counted; fewer rules with more \
             peers, sources or ports permit the same"
        )
    } else {
        format!(
            "the policy has {rules} rules, and {others} other rules stay in force or may be restored, but at most {most} rules can be \
             counted at the same time; {}",
            in_force.way_out
        )
    })
}

/// Every assigned slot, by [`rule_key`].
pub(in crate::dataplane) fn all(host: &HostPins) -> Result<Vec<(String, Slot)>, DataplaneError> {
    let registry: Registry = read_record(&host.map("slots"))?.unwrap_or_default();
    Ok(registry.slots.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn rule(id: &str) -> Rule {
        Rule {
            id: id.to_owned(),
            direction: Direction::Inbound,
            action: Action::Permit,
            matches: Match::Protocol(50),
            peers: None,
            prefixes: None,
            exposure: "open".to_owned(),
            mode: None,
            answer_any: false,
            sources: Vec::new(),
        }
    }

    #[test]
    fn a_rule_keeps_its_slot_through_another_policy() {
        let mut registry = Registry::default();
        let first = registry.assign(&[rule("a/x"), rule("a/y")], &InForce::default(), Timestamp::UNIX_EPOCH).unwrap();
        let second = registry.assign(&[rule("a/0"), rule("a/y")], &InForce::default(), Timestamp::now()).unwrap();
        assert_eq!(second.slots[1], first.slots[1]);
        assert_ne!(second.slots[0].number, first.slots[0].number, "the slot of a/x may still be asked for");
    }

    #[test]
    fn slots_of_rules_that_are_gone_are_used_again_when_there_are_no_others() {
        let mut registry = Registry::default();
        let many: Vec<Rule> = (0..RULE_SLOTS).map(|n| rule(&format!("a/{n}"))).collect();
        let first = registry.assign(&many, &InForce::default(), Timestamp::UNIX_EPOCH).unwrap();
        assert!(first.reused.is_empty());
        let second = registry.assign(&[rule("a/0"), rule("b/new")], &InForce::default(), Timestamp::now()).unwrap();
        assert_eq!(second.slots[0], first.slots[0]);
        assert!(second.reused.iter().any(|slot| slot.number == second.slots[1].number), "it is zeroed first");
    }

    /// Assigns slots to rules with these numbers; returns them with the rules' keys.
    fn policy(registry: &mut Registry, numbers: Range<u32>, in_force: &InForce) -> (Assignment, BTreeSet<String>) {
        let rules: Vec<Rule> = numbers.map(|number| rule(&format!("a/{number:05}"))).collect();
        let assignment = registry.assign(&rules, in_force, Timestamp::UNIX_EPOCH).unwrap();
        (assignment, rules.iter().map(|rule| rule_key(Direction::Inbound, rule.action, &rule.id)).collect())
    }

    #[test]
    fn a_policy_takes_over_the_counters_that_it_lacks_from_the_one_that_it_replaces() {
        let mut registry = Registry::default();
        let (first, old) = policy(&mut registry, 0..9000, &InForce::default());
        let in_force = InForce { leaving: old, ..InForce::default() };
        // A thousand rules are in both policies.
        let (second, _) = policy(&mut registry, 8000..18_000, &in_force);
        assert_eq!(second.taken_over.len(), 9000 + 9000 - RULE_SLOTS as usize);
        assert_eq!(second.reused, []);
        assert_eq!(second.slots[..1000], first.slots[8000..], "a rule that stays keeps its counter");
        let numbers: BTreeSet<u16> = second.slots.iter().map(|slot| slot.number).collect();
        assert_eq!(numbers.len(), 10_000, "each has its own");
        assert!(second.taken_over.iter().all(|slot| numbers.contains(&slot.number)), "no more than are needed");
    }

    #[test]
    fn too_few_counters_are_told_with_a_way_out() {
        let mut registry = Registry::default();
        let (_, old) = policy(&mut registry, 0..9000, &InForce::default());
        let many: Vec<Rule> = (0..10_000).map(|number| rule(&format!("b/{number}"))).collect();
        let staying = InForce { staying: old, way_out: "do something", ..InForce::default() };
        let error = registry.clone().assign(&many, &staying, Timestamp::UNIX_EPOCH).unwrap_err().to_string();
        assert!(error.contains("has 10000 rules, and 9000 other rules") && error.ends_with("do something"), "{error}");
    }

    #[test]
    fn more_rules_than_counters_are_refused() {
        let many: Vec<Rule> = (0..=RULE_SLOTS).map(|n| rule(&format!("a/{n}"))).collect();
        let error = Registry::default().assign(&many, &InForce::default(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, DataplaneError::TooManyRules(_)), "{error}");
        assert!(
            error.to_string().starts_with("the policy has 12289 rules with different names, but at most 12288"),
            "{error}"
        );
    }
}
