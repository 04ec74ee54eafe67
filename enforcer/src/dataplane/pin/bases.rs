//! The value of a counter when it passed from one rule to another. A policy with thousands of rules that replaces another one reuses its
//! counters, and the old programs count until the switch. A counter cannot be set to zero while programs count, so its value at the switch
//! is subtracted from then on.

use std::collections::BTreeMap;
use std::{fs, io};

use enforcer_common::Direction;
use serde::{Deserialize, Serialize};

use super::pins::InterfacePins;
use super::record::Slot;
use crate::dataplane::error::{DataplaneError, at};
use crate::dataplane::pin::document::{read_record, write_record};
use crate::state::totals::count::Count;

/// The values to subtract on one interface, for the policy of one generation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(in crate::dataplane) struct Bases {
    /// The value to subtract, by slot number.
    slots: BTreeMap<u16, Count>,
    /// Packets and bytes that rules without a counter had permitted, inbound and outbound; still part of the reason `rule`.
    pub(in crate::dataplane) permitted: [Count; 2],
}

impl Bases {
    /// Reads the values of a generation; most generations have none.
    pub(in crate::dataplane) fn read(pins: &InterfacePins, generation: u64) -> Result<Self, DataplaneError> {
        Ok(read_record(&pins.generation(generation).join("bases"))?.unwrap_or_default())
    }

    /// Writes the values for the programs of a generation.
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

    /// The value to subtract from the counter of a slot.
    pub(in crate::dataplane) fn of(&self, number: u16) -> Count {
        self.slots.get(&number).copied().unwrap_or_default()
    }

    /// Gives slots to other rules; `counted` is the total value of each counter.
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

    /// Removes the values of slots whose counters were set to zero.
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
