//! Reads the counter maps, and adds them up by verdict, reason and rule.

use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use enforcer_common::layout::{Counter, Direct, REASON_SLOTS, RuleCounter, map, reason_index};
use enforcer_common::{Direction, Reason};
use jiff::Timestamp;

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::load::per_cpu;
use crate::dataplane::pin::bases::Bases;
use crate::dataplane::pin::pins::{HostPins, InterfacePins};
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::{InterfaceRecord, PolicyRecord, RecordedRule, Slot};
use crate::dataplane::pin::slots;
use crate::dataplane::sys::batch::per_cpu_elements;
use crate::dataplane::sys::clock::Clock;
use crate::dataplane::sys::open::open_map;
use crate::policy::modes::Modes;
use crate::state::totals::count::{Count, VerdictCounts};
use crate::state::totals::{Ledger, RuleTotal, reason_key};

/// The counters of one interface.
#[derive(Clone, Debug)]
pub struct InterfaceCounters {
    /// Name of the interface.
    pub interface: String,
    /// The active modes.
    pub modes: Modes,
    /// Since when the counters count.
    pub since: Timestamp,
    /// Totals, inbound and outbound.
    pub verdicts: [VerdictCounts; 2],
    /// Every rule, zeros included.
    pub rules: Vec<RuleCount>,
    /// Every reason that was given at least once.
    pub reasons: Vec<ReasonCount>,
    /// Why earlier totals are not included; `None`: they are included.
    pub warning: Option<String>,
}

/// A rule with its counts.
#[derive(Clone, Debug)]
pub struct RuleCount {
    /// The rule.
    pub rule: RecordedRule,
    /// Packets and bytes.
    pub count: Count,
    /// Time of the last match; `None`: never.
    pub last_hit: Option<Timestamp>,
}

/// A reason with its counts.
#[derive(Clone, Copy, Debug)]
pub struct ReasonCount {
    /// The reason.
    pub reason: Reason,
    /// Direction.
    pub direction: Direction,
    /// Whether the packets were refused and let through in audit.
    pub would_drop: bool,
    /// Packets and bytes.
    pub count: Count,
}

/// The counters of an interface in the kernel, for all rules that were ever counted.
pub(in crate::dataplane) struct Counted {
    pub(super) slots: Slots,
    names: Vec<(String, Slot)>,
    pub(super) reasons: Vec<ReasonCount>,
    since: Timestamp,
    clock: Clock,
}

impl Counted {
    pub(in crate::dataplane) fn read(protected: &Protected) -> Result<Self, DataplaneError> {
        let Protected { pins, record, .. } = protected;
        let (mut slots, names) = (read_slots(pins)?, slots::all(&HostPins::of(record.netns))?);
        let bases = Bases::read(pins, record.generation)?;
        subtract(&bases, &mut slots);
        let permitted = permitted(&slots, &names);
        let permitted = Direction::ALL.map(|direction| {
            let direction = direction as usize;
            permitted[direction].plus(bases.permitted[direction])
        });
        let reasons = read_reasons(pins, permitted)?;
        Ok(Self { slots, names, reasons, since: record.since, clock: record.clock })
    }

    /// The same by name.
    pub(in crate::dataplane) fn ledger(&self) -> Ledger {
        let rules = self.names.iter().map(|(name, named)| {
            let (count, last) = slot(&self.slots, named.number);
            let since = named.since.max(self.since);
            (name.clone(), RuleTotal { count, last_hit: self.clock.time(last), since })
        });
        let reasons = self.reasons.iter();
        let reasons = reasons.map(|one| (reason_key(one.direction, one.reason, one.would_drop), one.count));
        Ledger { rules: rules.collect(), reasons: reasons.collect() }
    }
}

/// Every direction, outcome and reason that has a counter of its own.
pub(in crate::dataplane) fn outcomes() -> impl Iterator<Item = (Direction, Reason, bool)> {
    let reasons = || Reason::ALL.iter().flat_map(|reason| [(*reason, false), (*reason, true)]);
    Direction::ALL
        .into_iter()
        .flat_map(move |direction| reasons().map(move |(reason, apart)| (direction, reason, apart)))
}

/// Sets the counters of slots that get another rule to zero. Their counts stay part of the count of their reason.
pub(in crate::dataplane) fn zero(pins: &InterfacePins, slots: &[Slot], bases: &Bases) -> Result<(), DataplaneError> {
    if slots.is_empty() {
        return Ok(());
    }
    let mut rules = open::<RuleCounter>(pins, map::RULES)?;
    let reasons = open_map(&pins.map(map::REASONS))?;
    for slot in slots {
        let index = u32::from(slot.number);
        let values = rules.get(&index, 0).with_context(|| context(pins))?;
        if slot.permits {
            let reason = reason_index(direction(*slot), false, Reason::Rule);
            let count = values.iter().fold(Count::default(), |sum, one| add(sum, one.counter));
            let count = count.minus(bases.of(slot.number));
            // The programs count what a rule permits under the rule alone.
            per_cpu::add(&reasons, Direct::Reasons, reason as usize * 2, &[count.packets, count.bytes])?;
        }
        let zeros = vec![RuleCounter::default(); values.len()];
        rules
            .set(index, PerCpuValues::try_from(zeros).with_context(|| context(pins))?, 0)
            .with_context(|| context(pins))?;
    }
    Ok(())
}

pub(super) const fn direction(slot: Slot) -> Direction {
    if slot.outbound { Direction::Outbound } else { Direction::Inbound }
}

/// The count of a slot over all CPUs, and the time of the last match in jiffies.
pub(super) type Slots = Vec<(Count, u64)>;

/// The count of each slot for its current rule.
fn subtract(bases: &Bases, slots: &mut Slots) {
    for (number, (count, last)) in (0..).zip(slots) {
        let base = bases.of(number);
        if base != Count::default() {
            *count = count.minus(base);
            // Before its current rule has matched, the last match belongs to the previous rule.
            *last = if count.packets == 0 { 0 } else { *last };
        }
    }
}

/// Gives slots to other rules, while programs count with them until they are switched.
pub(in crate::dataplane) fn take_over(
    bases: &mut Bases,
    pins: &InterfacePins,
    slots: &[Slot],
) -> Result<(), DataplaneError> {
    if !slots.is_empty() {
        let counted = read_slots(pins)?;
        bases.give(slots, |number| slot(&counted, number).0);
    }
    Ok(())
}

/// Reads every slot, with a few system calls whatever the number of rules.
pub(super) fn read_slots(pins: &InterfacePins) -> Result<Slots, DataplaneError> {
    let data = MapData::from_pin(pins.map(map::RULES)).with_context(|| context(pins))?;
    let mut found = Slots::new();
    per_cpu_elements::<RuleCounter>(&data, |_, values| {
        let count = values.iter().fold(Count::default(), |sum, one| add(sum, one.counter));
        found.push((count, values.iter().map(|one| one.last).max().unwrap_or(0)));
    })
    .with_context(|| context(pins))?;
    Ok(found)
}

pub(super) fn slot(slots: &Slots, number: u16) -> (Count, u64) {
    slots.get(usize::from(number)).copied().unwrap_or_default()
}

/// What all rules of a direction have permitted. The programs count a packet that a rule permits under the rule alone.
pub(super) fn permitted(counted: &Slots, names: &[(String, Slot)]) -> [Count; 2] {
    let mut sums = [Count::default(); 2];
    for (_, permits) in names.iter().filter(|(_, slot)| slot.permits) {
        let sum = &mut sums[direction(*permits) as usize];
        *sum = sum.plus(slot(counted, permits.number).0);
    }
    sums
}

pub(super) fn read_reasons(pins: &InterfacePins, permitted: [Count; 2]) -> Result<Vec<ReasonCount>, DataplaneError> {
    let counts = reasons(&open_map(&pins.map(map::REASONS))?)?;
    let mut found = Vec::new();
    for (direction, reason, would_drop) in outcomes() {
        let index = reason_index(direction, would_drop, reason) as usize;
        let mut count = counts[index];
        if reason == Reason::Rule && !would_drop {
            count = count.plus(permitted[direction as usize]);
        }
        if count != Count::default() {
            found.push(ReasonCount { reason, direction, would_drop, count });
        }
    }
    Ok(found)
}

/// The counters of the reasons over all CPUs, by [`reason_index`].
pub(in crate::dataplane) fn reasons(data: &MapData) -> Result<[Count; REASON_SLOTS as usize], DataplaneError> {
    let mut sums = [Count::default(); REASON_SLOTS as usize];
    for words in per_cpu::words(data, Direct::Reasons)? {
        for (sum, [packets, bytes]) in sums.iter_mut().zip(words.as_chunks().0) {
            *sum = add(*sum, Counter { packets: *packets, bytes: *bytes });
        }
    }
    Ok(sums)
}

pub(super) fn read_rules(counted: &Slots, record: &InterfaceRecord, policy: PolicyRecord) -> Vec<RuleCount> {
    let rules = policy.rules.into_iter().map(|mut rule| {
        let (count, last) = slot(counted, rule.slot);
        rule.since = rule.since.max(record.since);
        RuleCount { rule, count, last_hit: record.clock.time(last) }
    });
    rules.collect()
}

pub(super) fn add(sum: Count, one: Counter) -> Count {
    Count { packets: sum.packets + one.packets, bytes: sum.bytes + one.bytes }
}

pub(super) fn open<T: aya::Pod>(pins: &InterfacePins, name: &str) -> Result<PerCpuArray<MapData, T>, DataplaneError> {
    let data = MapData::from_pin(pins.map(name)).with_context(|| context(pins))?;
    Map::from_map_data(data).and_then(TryInto::try_into).with_context(|| context(pins))
}

pub(super) fn context(pins: &InterfacePins) -> String {
    format!("cannot read the counters of {}", pins.dir().display())
}
