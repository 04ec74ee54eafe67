//! What the counter of a rule had counted when it was given to another rule: where a policy of thousands of rules replaces another one, there
//! are not enough counters for the rules of both, and those of the old policy count until the very moment of the switch. Nobody can set a counter
//! to zero while programs count, so what it had counted is subtracted instead.

use std::collections::BTreeMap;
use std::{fs, io};

use enforcer_common::Direction;
use serde::{Deserialize, Serialize};

use super::pins::InterfacePins;
use super::record::Slot;
use crate::dataplane::error::{DataplaneError, at};
use crate::dataplane::pin::document::{read_record, write_record};
use crate::state::totals::count::Count;

/// What is subtracted on one interface, under the policy of one generation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(in crate::dataplane) struct Bases {
    /// By the number of the slot.
    slots: BTreeMap<u16, Count>,
    /// What rules that have lost their counter had permitted, inbound and outbound: it stays in the count of the reason `rule`.
    pub(in crate::dataplane) permitted: [Count; 2],
}

impl Bases {
    /// Those of a generation; most have none.
    pub(in crate::dataplane) fn read(pins: &InterfacePins, generation: u64) -> Result<Self, DataplaneError> {
        Ok(read_record(&pins.generation(generation).join("bases"))?.unwrap_or_default())
    }

    /// Writes them, for the programs of a generation.
    pub(in crate::dataplane) fn write(&self, pins: &InterfacePins, generation: u64) -> Result<(), DataplaneError> {
        let path = pins.generation(generation).join("bases");
        if *self != Self::default() {
            return write_record(&path, self);
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
            _ => Ok(()),
        }
    }

    /// What is subtracted from what a slot has counted.
    pub(in crate::dataplane) fn of(&self, number: u16) -> Count {
        self.slots.get(&number).copied().unwrap_or_default()
    }

    /// These slots have another rule from now on; `counted` is what each has counted in all.
    pub(in crate::dataplane) fn give(&mut self, slots: &[Slot], counted: impl Fn(u16) -> Count) {
        for slot in slots {
            let all = counted(slot.number);
            if slot.permits {
                let direction = if slot.outbound { Direction::Outbound } else { Direction::Inbound };
                let its_own = all.minus(self.of(slot.number));
                let sum = &mut self.permitted[direction as usize];
                *sum = sum.plus(its_own);
            }
            self.slots.insert(slot.number, all);
        }
    }

    /// These slots begin at zero.
    pub(in crate::dataplane) fn forget(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.slots.remove(&slot.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn count(packets: u64) -> Count {
        Count { packets, bytes: packets * 100 }
    }

    fn slot(number: u16, permits: bool) -> Slot {
        Slot { number, since: Timestamp::UNIX_EPOCH, permits, outbound: false }
    }

    #[test]
    fn a_counter_that_changes_hands_twice_counts_for_each_rule_what_came_in_its_time() {
        let mut bases = Bases::default();
        bases.give(&[slot(7, true)], |_| count(10));
        assert_eq!(count(14).minus(bases.of(7)), count(4));
        bases.give(&[slot(7, true)], |_| count(15));
        assert_eq!(count(15).minus(bases.of(7)), count(0));
        assert_eq!(bases.permitted, [count(15), count(0)], "10 of the first and 5 of the second");
        // What a rule has refused is counted under its reason already.
        bases.give(&[slot(7, false)], |_| count(20));
        assert_eq!(bases.permitted, [count(15), count(0)]);
        bases.forget(&[slot(7, true)]);
        assert_eq!(bases.of(7), count(0));
    }
}
