//! Reading counters: what passed, what was dropped, what would have been, by rule and by reason.

use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use enforcer_common::layout::{Counter, RuleCounter, map, reason_index};
use enforcer_common::{Direction, Reason, Verdict};
use jiff::Timestamp;

use super::control::{Modes, modes};
use super::error::{DataplaneError, Doing as _};
use super::pins::{HostPins, InterfacePins, Protected};
use super::record::{InterfaceRecord, PolicyRecord, RecordedRule, read_record};

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
    let Protected { interface, pins, record } = protected;
    let policy = policy(record)?;
    let reasons = read_reasons(pins)?;
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
        rules: read_rules(pins, record, policy)?,
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

/// Sets the counters of slots that get another rule to zero.
pub(super) fn zero(pins: &InterfacePins, slots: &[u16]) -> Result<(), DataplaneError> {
    if slots.is_empty() {
        return Ok(());
    }
    let mut map = open::<RuleCounter>(pins, map::RULES)?;
    let cpus = aya::util::nr_cpus()
        .map_err(|(what, error)| DataplaneError::system(format!("cannot count the CPUs ({what})"), error))?;
    for slot in slots {
        let zeros = PerCpuValues::try_from(vec![RuleCounter::default(); cpus]).doing(|| doing(pins))?;
        map.set(u32::from(*slot), zeros, 0).doing(|| doing(pins))?;
    }
    Ok(())
}

fn read_reasons(pins: &InterfacePins) -> Result<Vec<ReasonCount>, DataplaneError> {
    let map = open::<Counter>(pins, map::REASONS)?;
    let mut found = Vec::new();
    for direction in Direction::ALL {
        for reason in Reason::ALL {
            for would_drop in [false, true] {
                let values = map.get(&reason_index(direction, would_drop, *reason), 0).doing(|| doing(pins))?;
                let count = values.iter().fold(Count::default(), |sum, one| add(sum, *one));
                if count != Count::default() {
                    found.push(ReasonCount { reason: *reason, direction, would_drop, count });
                }
            }
        }
    }
    Ok(found)
}

fn read_rules(
    pins: &InterfacePins,
    record: &InterfaceRecord,
    policy: PolicyRecord,
) -> Result<Vec<RuleCount>, DataplaneError> {
    let map = open::<RuleCounter>(pins, map::RULES)?;
    let mut found = Vec::with_capacity(policy.rules.len());
    for mut rule in policy.rules {
        let values = map.get(&u32::from(rule.slot), 0).doing(|| doing(pins))?;
        let count = values.iter().fold(Count::default(), |sum, one| add(sum, one.counter));
        let last = values.iter().map(|one| one.last).max().unwrap_or(0);
        rule.since = rule.since.max(record.since);
        found.push(RuleCount { rule, count, last_hit: record.clock.time(last) });
    }
    Ok(found)
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
