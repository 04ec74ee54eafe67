//! Reading counters: what passed, what was dropped, what would have been, by rule and by reason.

use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use enforcer_common::layout::{Counter, RuleCounter, map, reason_index};
use enforcer_common::{Direction, Reason, Verdict};
use jiff::Timestamp;

use super::batch::per_cpu_elements;
use super::control::{Modes, modes};
use super::error::{DataplaneError, Doing as _};
use super::pins::{HostPins, InterfacePins, Protected};
use super::record::{InterfaceRecord, PolicyRecord, RecordedRule, read_record};
use super::slots::{self, Slot};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes as the hook saw them.
    pub bytes: u64,
}

/// The counters of one interface.
#[derive(Clone, Debug)]
pub struct InterfaceCounters {
    /// Its name.
    pub interface: String,
    /// Modes in force.
    pub modes: Modes,
    /// Since when it counts.
    pub since: Timestamp,
    /// Totals, inbound and outbound.
    pub verdicts: [VerdictCounts; 2],
    /// Every rule, zeros included.
    pub rules: Vec<RuleCount>,
    /// Every reason that was met.
    pub reasons: Vec<ReasonCount>,
}

/// Each packet is in exactly one of these.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct VerdictCounts {
    /// Permitted.
    pub pass: Count,
    /// Dropped.
    pub drop: Count,
    /// Refused, but let through in audit.
    pub would_drop: Count,
}

/// What a rule matched.
#[derive(Clone, Debug)]
pub struct RuleCount {
    /// The rule.
    pub rule: RecordedRule,
    /// How much.
    pub count: Count,
    /// When last.
    pub last_hit: Option<Timestamp>,
}

/// What a reason was given for.
#[derive(Clone, Copy, Debug)]
pub struct ReasonCount {
    /// The reason.
    pub reason: Reason,
    /// Direction.
    pub direction: Direction,
    /// Refused, but let through in audit.
    pub would_drop: bool,
    /// How much.
    pub count: Count,
}

/// Reads the counters of an interface.
///
/// # Errors
/// When a map cannot be read.
pub fn counters(protected: &Protected) -> Result<InterfaceCounters, DataplaneError> {
    let (_reading, protected) = &protected.now()?;
    let Protected { interface, pins, record } = protected;
    let policy = policy(record)?;
    let counted = read_slots(pins)?;
    let reasons = read_reasons(pins, permitted(&counted, &HostPins::of(record.netns))?)?;
    let mut verdicts = [VerdictCounts::default(); 2];
    for counted in &reasons {
        let totals = &mut verdicts[counted.direction as usize];
        let total = match (counted.reason.verdict(), counted.would_drop) {
            (Verdict::Pass, _) => &mut totals.pass,
            (Verdict::Drop, false) => &mut totals.drop,
            (Verdict::Drop, true) => &mut totals.would_drop,
        };
        total.packets += counted.count.packets;
        total.bytes += counted.count.bytes;
    }
    Ok(InterfaceCounters {
        interface: interface.clone(),
        modes: modes(pins)?,
        since: record.since,
        verdicts,
        rules: read_rules(&counted, record, policy),
        reasons,
    })
}

/// The policy that an interface was given.
pub(super) fn policy(record: &InterfaceRecord) -> Result<PolicyRecord, DataplaneError> {
    let path = HostPins::of(record.netns).generation(record.generation).join("ruleset");
    read_record(&path)?.ok_or_else(|| {
        DataplaneError::NotProtected(format!(
            "the ruleset of {} is gone from {}; run `enforcer apply` again",
            record.interface,
            path.display()
        ))
    })
}

/// Sets the counters of slots that get another rule to zero. What they counted stays in the count of their reason.
pub(super) fn zero(pins: &InterfacePins, slots: &[Slot]) -> Result<(), DataplaneError> {
    if slots.is_empty() {
        return Ok(());
    }
    let mut rules = open::<RuleCounter>(pins, map::RULES)?;
    let mut reasons = open::<Counter>(pins, map::REASONS)?;
    for slot in slots {
        let index = u32::from(slot.number);
        let values = rules.get(&index, 0).doing(|| doing(pins))?;
        if slot.permits {
            let reason = reason_index(direction(*slot), false, Reason::Rule);
            let before = reasons.get(&reason, 0).doing(|| doing(pins))?;
            let sums = before.iter().zip(values.iter()).map(|(reason, rule)| Counter {
                packets: reason.packets + rule.counter.packets,
                bytes: reason.bytes + rule.counter.bytes,
            });
            let sums = PerCpuValues::try_from(sums.collect::<Vec<_>>()).doing(|| doing(pins))?;
            reasons.set(reason, sums, 0).doing(|| doing(pins))?;
        }
        let zeros = vec![RuleCounter::default(); values.len()];
        rules.set(index, PerCpuValues::try_from(zeros).doing(|| doing(pins))?, 0).doing(|| doing(pins))?;
    }
    Ok(())
}

const fn direction(slot: Slot) -> Direction {
    if slot.outbound { Direction::Outbound } else { Direction::Inbound }
}

/// What a slot has counted on all CPUs, and jiffies of the last match.
type Slots = Vec<(Count, u64)>;

/// Reads every slot, with a few system calls whatever the number of rules.
fn read_slots(pins: &InterfacePins) -> Result<Slots, DataplaneError> {
    let data = MapData::from_pin(pins.map(map::RULES)).doing(|| doing(pins))?;
    let mut found = Slots::new();
    per_cpu_elements::<RuleCounter>(&data, |_, values| {
        let count = values.iter().fold(Count::default(), |sum, one| add(sum, one.counter));
        found.push((count, values.iter().map(|one| one.last).max().unwrap_or(0)));
    })
    .doing(|| doing(pins))?;
    Ok(found)
}

fn slot(slots: &Slots, number: u16) -> (Count, u64) {
    slots.get(usize::from(number)).copied().unwrap_or_default()
}

/// What all rules of a direction have permitted. The programs count a packet that a rule permits under the rule alone.
fn permitted(counted: &Slots, host: &HostPins) -> Result<[Count; 2], DataplaneError> {
    let mut sums = [Count::default(); 2];
    for permits in slots::all(host)?.into_iter().filter(|slot| slot.permits) {
        let Count { packets, bytes } = slot(counted, permits.number).0;
        let sum = &mut sums[direction(permits) as usize];
        *sum = add(*sum, Counter { packets, bytes });
    }
    Ok(sums)
}

fn read_reasons(pins: &InterfacePins, permitted: [Count; 2]) -> Result<Vec<ReasonCount>, DataplaneError> {
    let data = MapData::from_pin(pins.map(map::REASONS)).doing(|| doing(pins))?;
    let mut counts = Vec::new();
    per_cpu_elements::<Counter>(&data, |_, values| {
        counts.push(values.iter().fold(Count::default(), |sum, one| add(sum, *one)));
    })
    .doing(|| doing(pins))?;
    let mut found = Vec::new();
    for direction in Direction::ALL {
        for reason in Reason::ALL {
            for would_drop in [false, true] {
                let index = reason_index(direction, would_drop, *reason) as usize;
                let mut count = counts.get(index).copied().unwrap_or_default();
                if *reason == Reason::Rule && !would_drop {
                    let Count { packets, bytes } = permitted[direction as usize];
                    count = add(count, Counter { packets, bytes });
                }
                if count != Count::default() {
                    found.push(ReasonCount { reason: *reason, direction, would_drop, count });
                }
            }
        }
    }
    Ok(found)
}

fn read_rules(counted: &Slots, record: &InterfaceRecord, policy: PolicyRecord) -> Vec<RuleCount> {
    let rules = policy.rules.into_iter().map(|mut rule| {
        let (count, last) = slot(counted, rule.slot);
        rule.since = rule.since.max(record.since);
        RuleCount { rule, count, last_hit: record.clock.time(last) }
    });
    rules.collect()
}

fn add(sum: Count, one: Counter) -> Count {
    Count { packets: sum.packets + one.packets, bytes: sum.bytes + one.bytes }
}

fn open<T: aya::Pod>(pins: &InterfacePins, name: &str) -> Result<PerCpuArray<MapData, T>, DataplaneError> {
    let data = MapData::from_pin(pins.map(name)).doing(|| doing(pins))?;
    Map::from_map_data(data).and_then(TryInto::try_into).doing(|| doing(pins))
}

fn doing(pins: &InterfacePins) -> String {
    format!("cannot read the counters of {}", pins.dir().display())
}
