//! Which counter belongs to which rule. A rule keeps its slot for as long as anybody may ask for its count, so that counters go
//! on through a change of policy; slots are shared by all interfaces of the host.

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

/// Slot and date of birth of every rule that was ever counted, by direction and id.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(in crate::dataplane) struct Registry {
    slots: BTreeMap<String, Slot>,
}

/// What was assigned.
#[derive(Debug, PartialEq)]
pub(in crate::dataplane) struct Assignment {
    /// For each rule, in order.
    pub(in crate::dataplane) slots: Vec<Slot>,
    /// Slots that belonged to a rule which is gone, to be zeroed before they count for another.
    pub(in crate::dataplane) reused: Vec<Slot>,
}

/// The registry as it is, to be put back when an `apply` fails.
pub(in crate::dataplane) fn read(host: &HostPins) -> Result<Option<Registry>, DataplaneError> {
    read_record(&host.map("slots"))
}

/// Puts it back: the slots of rules that never came into force are free again.
pub(in crate::dataplane) fn put_back(host: &HostPins, registry: &Option<Registry>) {
    let path = host.map("slots");
    // Slots that nobody uses cost nothing but themselves.
    let _ = match registry {
        Some(registry) => write_record(&path, registry),
        None => std::fs::remove_file(&path).map_err(crate::dataplane::error::at(path)),
    };
}

/// Gives every rule a slot and writes the registry.
pub(in crate::dataplane) fn assign(
    host: &HostPins,
    rules: &[Rule],
    in_force: &[PolicyRecord],
    now: Timestamp,
) -> Result<Assignment, DataplaneError> {
    let path = host.map("slots");
    let mut registry: Registry = read_record(&path)?.unwrap_or_default();
    let assignment = registry.assign(rules, in_force, now)?;
    write_record(&path, &registry)?;
    Ok(assignment)
}

impl Registry {
    fn assign(
        &mut self,
        rules: &[Rule],
        in_force: &[PolicyRecord],
        now: Timestamp,
    ) -> Result<Assignment, DataplaneError> {
        let keys: Vec<String> =
            rules.iter().map(|rule| rule_key(rule.direction.name(), rule.action, &rule.id)).collect();
        let wanted: BTreeSet<&String> = keys.iter().collect();
        let new = wanted.iter().filter(|key| !self.slots.contains_key(**key)).count();
        let mut dropped = Vec::new();
        if self.slots.len() + new > RULE_SLOTS as usize {
            let kept: BTreeSet<String> = in_force
                .iter()
                .flat_map(|policy| policy.rules.iter().map(|rule| rule_key(&rule.direction, rule.action, &rule.id)))
                .chain(keys.iter().cloned())
                .collect();
            self.slots.retain(|key, slot| {
                let keep = kept.contains(key);
                if !keep {
                    dropped.push(*slot);
                }
                keep
            });
        }
        let taken: BTreeSet<u16> = self.slots.values().map(|slot| slot.number).collect();
        let mut free = (0..u16::try_from(RULE_SLOTS).unwrap_or(u16::MAX)).filter(|number| !taken.contains(number));
        let mut slots = Vec::with_capacity(keys.len());
        for (key, rule) in keys.into_iter().zip(rules) {
            let slot = match self.slots.get(&key) {
                Some(slot) => *slot,
                None => {
                    let number = free.next().ok_or(DataplaneError::TooManyRules { most: RULE_SLOTS })?;
                    let slot = Slot {
                        number,
                        since: now,
                        // Pings have a reason of their own.
                        permits: rule.action == Action::Permit && rule.matches != Match::Echo,
                        outbound: rule.direction == Direction::Outbound,
                    };
                    self.slots.insert(key, slot);
                    slot
                }
            };
            slots.push(slot);
        }
        Ok(Assignment { slots, reused: dropped })
    }
}

/// Every slot that ever counted, by the name of its rule ([`rule_key`]).
pub(in crate::dataplane) fn all(host: &HostPins) -> Result<Vec<(String, Slot)>, DataplaneError> {
    let registry: Registry = read_record(&host.map("slots"))?.unwrap_or_default();
    Ok(registry.slots.into_iter().collect())
}

#[cfg(test)]
mod tests {
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
        let first = registry.assign(&[rule("a/x"), rule("a/y")], &[], Timestamp::UNIX_EPOCH).unwrap();
        let second = registry.assign(&[rule("a/0"), rule("a/y")], &[], Timestamp::now()).unwrap();
        assert_eq!(second.slots[1], first.slots[1]);
        assert_ne!(second.slots[0].number, first.slots[0].number, "the slot of a/x may still be asked for");
    }

    #[test]
    fn slots_of_rules_that_are_gone_are_used_again_when_there_are_no_others() {
        let mut registry = Registry::default();
        let many: Vec<Rule> = (0..RULE_SLOTS).map(|n| rule(&format!("a/{n}"))).collect();
        let first = registry.assign(&many, &[], Timestamp::UNIX_EPOCH).unwrap();
        assert!(first.reused.is_empty());
        let second = registry.assign(&[rule("a/0"), rule("b/new")], &[], Timestamp::now()).unwrap();
        assert_eq!(second.slots[0], first.slots[0]);
        assert!(second.reused.iter().any(|slot| slot.number == second.slots[1].number), "it is zeroed first");
    }

    #[test]
    fn more_rules_than_counters_are_refused() {
        let many: Vec<Rule> = (0..=RULE_SLOTS).map(|n| rule(&format!("a/{n}"))).collect();
        let error = Registry::default().assign(&many, &[], Timestamp::UNIX_EPOCH).err().unwrap();
        assert!(matches!(error, DataplaneError::TooManyRules { most: RULE_SLOTS }), "{error}");
    }
}
