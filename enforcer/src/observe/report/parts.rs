//! What a report is made from: what is counted and in force on each interface, and what the history knows.

use std::collections::BTreeMap;

use enforcer_common::{Direction, Mode};
use jiff::Timestamp;

use super::{FlowCounts, InterfacePart, Interval, LastSeen, ReasonPart, RulePart, SpanPart};
use crate::dataplane::DeniedFlow;
use crate::observe::readiness::InterfaceFacts;
use crate::policy::ruleset::SourceRow;
use crate::state::history::{DirectionTotals, Entry, Span};
use crate::state::totals::verdict_name;

/// What a report is made from, beside the verdict.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The interfaces.
    pub interfaces: &'a [InterfaceFacts],
    /// The entries of the history.
    pub history: &'a [Entry],
    /// Refused flows.
    pub denied: &'a [DeniedFlow],
}

impl Parts<'_> {
    /// The interfaces.
    #[must_use]
    pub fn interfaces(&self) -> Vec<InterfacePart> {
        self.interfaces.iter().map(interface).collect()
    }

    /// The rules, the busiest first.
    #[must_use]
    pub fn rules(&self, rows: impl Fn(&[SourceRow]) -> String) -> Vec<RulePart> {
        let mut rules: Vec<RulePart> = Vec::new();
        for InterfaceFacts { counters, .. } in self.interfaces {
            rules.extend(counters.rules.iter().map(|counted| RulePart {
                interface: counters.interface.clone(),
                id: counted.rule.id.clone(),
                direction: counted.rule.direction,
                action: match counted.rule.action {
                    crate::policy::ruleset::Action::Deny => "deny",
                    crate::policy::ruleset::Action::Permit => "permit",
                    crate::policy::ruleset::Action::Internal => "internal",
                },
                packets: counted.count.packets,
                bytes: counted.count.bytes,
                last_hit: counted.last_hit,
                since: counted.rule.since,
                rows: rows(&counted.rule.sources),
                sources: counted.rule.sources.clone(),
            }));
        }
        rules.sort_by(|a, b| (b.packets, &a.id, &a.interface).cmp(&(a.packets, &b.id, &b.interface)));
        rules
    }

    /// What was counted between two entries that follow each other.
    #[must_use]
    pub fn over_time(&self, now: Timestamp) -> Vec<Interval> {
        let mut found = Vec::new();
        for InterfaceFacts { status, counters, .. } in self.interfaces {
            let of = |entry: &&Entry| entry.interface == status.pins.name();
            let mut known: Vec<_> =
                self.history.iter().filter(of).filter_map(|one| Some((one.at, one.totals?))).collect();
            let [inbound, outbound] = counters.verdicts.map(DirectionTotals::from);
            known.push((now, crate::state::history::Totals { inbound, outbound }));
            for pair in known.windows(2) {
                let [(from, before), (to, after)] = pair else { continue };
                let (inbound, outbound) = (after.inbound.since(before.inbound), after.outbound.since(before.outbound));
                if to > from {
                    let packets = DirectionTotals {
                        pass: inbound.pass + outbound.pass,
                        drop: inbound.drop + outbound.drop,
                        would_drop: inbound.would_drop + outbound.would_drop,
                    };
                    let interface = counters.interface.clone();
                    found.push(Interval { interface, from: *from, to: *to, packets, inbound, outbound });
                }
            }
        }
        found
    }

    /// When refused flows were last seen: the last week, hour by hour.
    #[must_use]
    pub fn last_seen(&self, now: Timestamp) -> Vec<LastSeen> {
        const HOURS: i64 = 7 * 24;
        let hour = |time: Timestamp| time.as_second().div_euclid(3600);
        let mut hours: BTreeMap<i64, [FlowCounts; 2]> = BTreeMap::new();
        for flow in self.denied.iter().filter(|flow| (0..HOURS).contains(&(hour(now) - hour(flow.last)))) {
            let [inbound, outbound] = hours.entry(hour(flow.last)).or_default();
            let counts = match flow.direction {
                Direction::Inbound => inbound,
                Direction::Outbound => outbound,
            };
            match flow.mode {
                Mode::Audit => counts.would_drop += 1,
                Mode::Enforce => counts.dropped += 1,
            }
        }
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap_or(now);
        let sum = |counts: FlowCounts| counts.dropped + counts.would_drop;
        let part = |(hour, [inbound, outbound]): (i64, [FlowCounts; 2])| LastSeen {
            hour: at(hour),
            flows: sum(inbound) + sum(outbound),
            inbound,
            outbound,
        };
        hours.into_iter().map(part).collect()
    }
}

/// The spans of an interface.
#[must_use]
pub fn span_parts(interface: &str, spans: Vec<Span>) -> Vec<SpanPart> {
    let part = |span: Span| SpanPart {
        interface: interface.to_owned(),
        from: span.from,
        to: span.to,
        modes: span.modes,
        policy_hash: span.policy_hash,
    };
    spans.into_iter().map(part).collect()
}

fn interface(facts: &InterfaceFacts) -> InterfacePart {
    let InterfaceFacts { status, counters, .. } = facts;
    let attached = |direction| {
        let found = status.record.direction(direction)?;
        Some(format!("{} ({})", found.hook.name(), found.attach_mode.name()))
    };
    let deadline = status.pending.as_ref().filter(|pending| pending.is_armed()).map(crate::dataplane::Pending::at);
    InterfacePart {
        interface: counters.interface.clone(),
        modes: status.modes,
        deadline,
        attached: Direction::ALL.map(attached),
        since: counters.since,
        applied: status.record.applied,
        drift: status.drift,
        problems: status.problems.clone(),
        notes: status.notes.clone(),
        totals: counters.verdicts.map(DirectionTotals::from),
        reasons: counters
            .reasons
            .iter()
            .map(|one| ReasonPart {
                reason: one.reason,
                sentence: one.reason.sentence(),
                direction: one.direction,
                verdict: verdict_name(one.reason, one.would_drop),
                packets: one.count.packets,
                bytes: one.count.bytes,
            })
            .collect(),
    }
}
