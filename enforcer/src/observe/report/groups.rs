//! What is the same on several interfaces, said once: a machine may protect many ports.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::axis::time;
use super::{InterfacePart, ReasonPart, RulePart, SpanPart};
use crate::observe::readiness::AuditEvidence;
use crate::policy::modes::Modes;
use crate::state::history::{Entry, Event};

/// Interfaces that are protected in the same way.
pub(super) struct State<'a> {
    pub(super) interfaces: Vec<&'a str>,
    pub(super) modes: &'a Modes,
    pub(super) attached: String,
    /// The first and the last time at which a policy was applied.
    pub(super) applied: (Timestamp, Timestamp),
    /// The first and the last time since which packets are counted.
    pub(super) since: (Timestamp, Timestamp),
    pub(super) drift: bool,
}

/// The states of all interfaces, in the order of their first interfaces.
pub(super) fn states(interfaces: &[InterfacePart]) -> Vec<State<'_>> {
    let mut found: Vec<State<'_>> = Vec::new();
    for one in interfaces {
        let attached = attached(one);
        let known = found
            .iter_mut()
            .find(|state| (state.modes, state.drift) == (&one.modes, one.drift) && state.attached == attached);
        if let Some(state) = known {
            state.interfaces.push(&one.interface);
            state.applied = widened(state.applied, one.applied);
            state.since = widened(state.since, one.since);
        } else {
            found.push(State {
                interfaces: vec![&one.interface],
                modes: &one.modes,
                attached,
                applied: (one.applied, one.applied),
                since: (one.since, one.since),
                drift: one.drift,
            });
        }
    }
    found
}

fn widened((first, last): (Timestamp, Timestamp), time: Timestamp) -> (Timestamp, Timestamp) {
    (first.min(time), last.max(time))
}

fn attached(one: &InterfacePart) -> String {
    let [inbound, outbound] = &one.attached;
    let ways = [("in", inbound), ("out", outbound)];
    let parts: Vec<String> =
        ways.into_iter().filter_map(|(way, how)| how.as_ref().map(|how| format!("{way} {how}"))).collect();
    if parts.is_empty() { "not attached".to_owned() } else { parts.join(", ") }
}

/// A sentence about interfaces.
pub(super) struct Remark<'a> {
    pub(super) interfaces: Vec<&'a str>,
    pub(super) text: String,
    pub(super) is_problem: bool,
}

/// Deadlines, problems and notes.
pub(super) fn remarks<'a>(interfaces: &'a [InterfacePart], zone: &TimeZone) -> Vec<Remark<'a>> {
    let mut found = Vec::new();
    for one in interfaces {
        if let Some(at) = one.deadline {
            add(&mut found, &one.interface, format!("a deadline is armed for {}.", time(at, zone)), false);
        }
        one.problems.iter().for_each(|text| add(&mut found, &one.interface, text.clone(), true));
        one.notes.iter().for_each(|text| add(&mut found, &one.interface, text.clone(), false));
    }
    // Problems first.
    found.sort_by_key(|remark| !remark.is_problem);
    found
}

/// How long audit ran.
pub(super) fn audits(audit: &[AuditEvidence]) -> Vec<Remark<'_>> {
    let mut found = Vec::new();
    for one in audit {
        let days = if one.weekdays.is_empty() { String::new() } else { format!("; on {}", one.weekdays.join(", ")) };
        let text = format!(
            "audit ran for {} hours, {} of them with this policy; restarts: {}{days}.",
            one.hours, one.policy_hours, one.restarts
        );
        add(&mut found, &one.interface, text, false);
    }
    found
}

fn add<'a>(remarks: &mut Vec<Remark<'a>>, interface: &'a str, text: String, is_problem: bool) {
    match remarks.iter_mut().find(|known| known.text == text && known.is_problem == is_problem) {
        Some(known) => known.interfaces.push(interface),
        None => remarks.push(Remark { interfaces: vec![interface], text, is_problem }),
    }
}

/// Interfaces with the same modes at the same times.
pub(super) fn spans<'a>(
    interfaces: &'a [InterfacePart],
    spans: &'a [SpanPart],
) -> Vec<(Vec<&'a str>, Vec<&'a SpanPart>)> {
    // What differs by less is the same change, made on one interface after the other.
    let minute = |time: Timestamp| time.as_second().div_euclid(60);
    type Key = Vec<(i64, i64, Modes)>;
    let mut found: Vec<(Key, Vec<&'a str>, Vec<&'a SpanPart>)> = Vec::new();
    for one in interfaces {
        let own: Vec<&SpanPart> = spans.iter().filter(|span| span.interface == one.interface).collect();
        let key: Key = own.iter().map(|span| (minute(span.from), minute(span.to), span.modes)).collect();
        match found.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, names, _)) => names.push(&one.interface),
            None => found.push((key, vec![&one.interface], own)),
        }
    }
    found.into_iter().map(|(_, names, spans)| (names, spans)).collect()
}

/// Packets by reason, of all interfaces together.
pub(super) fn reasons(interfaces: &[InterfacePart]) -> Vec<ReasonPart> {
    let mut found: Vec<ReasonPart> = Vec::new();
    for reason in interfaces.iter().flat_map(|one| &one.reasons).filter(|reason| reason.packets > 0) {
        let key = |one: &ReasonPart| (one.reason, one.direction, one.verdict);
        match found.iter_mut().find(|known| key(known) == key(reason)) {
            Some(known) => {
                known.packets = known.packets.saturating_add(reason.packets);
                known.bytes = known.bytes.saturating_add(reason.bytes);
            }
            None => found.push(reason.clone()),
        }
    }
    found.sort_by_key(|one| (one.direction, std::cmp::Reverse(one.packets)));
    found
}

/// Rules that matched a packet, of all interfaces together, the busiest first.
pub(super) fn used(rules: &[RulePart]) -> Vec<RulePart> {
    let mut found: BTreeMap<(&str, &str, &str), RulePart> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.packets > 0) {
        found
            .entry((&rule.id, rule.direction.name(), rule.action))
            .and_modify(|known| {
                known.packets = known.packets.saturating_add(rule.packets);
                known.bytes = known.bytes.saturating_add(rule.bytes);
                known.last_hit = known.last_hit.max(rule.last_hit);
                known.since = known.since.min(rule.since);
            })
            .or_insert_with(|| rule.clone());
    }
    let mut found: Vec<RulePart> = found.into_values().collect();
    found.sort_by(|a, b| (b.packets, &a.id, &a.direction).cmp(&(a.packets, &b.id, &b.direction)));
    found
}

/// A change of one or several interfaces.
pub(super) struct Change<'a> {
    pub(super) at: String,
    pub(super) interfaces: Vec<&'a str>,
    pub(super) event: &'static str,
    pub(super) modes: String,
    pub(super) policy: &'a str,
}

/// The changes, the newest first. What was done to several interfaces in the same minute is one change.
pub(super) fn changes<'a>(entries: &'a [Entry], zone: &TimeZone) -> Vec<Change<'a>> {
    let mut found: Vec<Change<'a>> = Vec::new();
    for entry in entries {
        let event = match entry.event {
            Event::Applied => "policy applied",
            Event::Mode => "mode set",
            Event::Held => "mode held",
            Event::Hook => "switched from native XDP to tc",
            Event::Confirmed => "confirmed",
            Event::Restored => "previous policy restored",
            Event::Detached => "detached",
            Event::Sample => continue,
        };
        let modes = entry.modes.as_ref();
        let modes = modes
            .map_or_else(|| "-".to_owned(), |modes| format!("inbound {}, outbound {}", modes.inbound, modes.outbound));
        let until = entry.until.map_or_else(String::new, |until| format!(" until {}", time(until.at, zone)));
        let one = Change {
            at: time(entry.at, zone),
            interfaces: vec![entry.interface.as_str()],
            event,
            modes: modes + &until,
            policy: entry.policy_hash.as_deref().map_or("-", super::short),
        };
        let is_same = |known: &&mut Change<'_>| {
            known.at == one.at && known.event == one.event && known.modes == one.modes && known.policy == one.policy
        };
        // Twice in a minute to the same interface are two changes.
        let known = found.last_mut().filter(is_same);
        match known.filter(|known| !known.interfaces.contains(&one.interfaces[0])) {
            Some(known) => known.interfaces.extend(one.interfaces),
            None => found.push(one),
        }
    }
    found
}
