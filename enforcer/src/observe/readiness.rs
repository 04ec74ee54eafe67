//! Whether a host is ready to enforce: what was seen, what it takes, and a verdict that follows from both.
//!
//! Pure: facts go in, checks come out. Nothing here looks at a kernel, a file or a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enforcer_common::Direction;
use jiff::Timestamp;
use serde::Serialize;

use crate::dataplane::{InterfaceCounters, InterfaceStatus, RecordedRule, RuleCount};
use crate::observe::suggest::{Class, Flow, Suggestions};
use crate::policy::ruleset::{Action, SourceRow};
use crate::policy::site::Site;
use crate::state::history::AuditTime;

/// What it takes to be ready.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Thresholds {
    /// Hours of audit.
    pub hours: f64,
    /// Hours of audit with the active policy.
    pub policy_hours: f64,
    /// Weekdays on which audit ran.
    pub weekdays: usize,
    /// Denied flows that may be left for which there is a suggestion, or of which nothing is known.
    pub flows: usize,
    /// Live connections that may be cut.
    pub connections: usize,
}

/// What is known of a protected interface.
#[derive(Clone, Debug)]
pub struct InterfaceFacts {
    /// What is in force.
    pub status: InterfaceStatus,
    /// What was counted.
    pub counters: InterfaceCounters,
    /// How long audit ran.
    pub audit: AuditTime,
    /// Everything that the policy judges is enforced already.
    pub enforces: bool,
}

/// Everything that a verdict is made from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The site.
    pub site: &'a Site,
    /// The protected interfaces.
    pub interfaces: &'a [InterfaceFacts],
    /// What the policy would refuse of what was seen, sorted out.
    pub denied: &'a Suggestions,
    /// How many live connections enforcement would cut.
    pub connections: usize,
    /// Refused packets of which no flow tells.
    pub suppressed: u64,
    /// The table of denied flows is full.
    pub is_full: bool,
    /// Lines of the history that could not be read.
    pub skipped: usize,
}

/// The verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    /// Every check is met.
    pub ready: bool,
    /// What it takes.
    pub thresholds: Thresholds,
    /// What was checked.
    pub checks: Vec<Check>,
    /// How long and when audit ran, by interface.
    pub audit: Vec<AuditEvidence>,
    /// What would be dropped, by peer and service, the most packets first.
    pub would_drop: Vec<WouldDrop>,
    /// Permits that nothing ever used: candidates to close.
    pub unused: Vec<Unused>,
    /// What limits this evidence, in sentences.
    pub notes: Vec<String>,
}

/// One thing that has to be so.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Whether it is.
    pub met: bool,
    /// What was found.
    pub found: String,
    /// What it takes.
    pub wanted: String,
}

/// How long and when audit ran on an interface.
#[derive(Clone, Debug, Serialize)]
pub struct AuditEvidence {
    /// The interface.
    pub interface: String,
    /// Hours, to a tenth.
    pub hours: f64,
    /// Of these with the policy in force.
    pub policy_hours: f64,
    /// Since when.
    pub first: Option<Timestamp>,
    /// Weekdays on which it ran for at least four hours.
    pub weekdays: Vec<&'static str>,
    /// How often it began anew.
    pub restarts: usize,
    /// Everything that the policy judges is enforced already.
    pub enforces: bool,
}

/// What would be dropped of one peer's packets to one service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct WouldDrop {
    /// Peers of the site that the addresses belong to; `None`: none.
    pub peer: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Direction,
    /// Protocol and port.
    pub service: String,
    /// How many addresses.
    pub addresses: usize,
    /// One of them.
    pub example: Option<IpAddr>,
    /// Packets.
    pub packets: u64,
    /// Of these, packets that were dropped; the others were counted in audit, and passed.
    pub dropped: u64,
    /// `suggested`, `open`, `scan`, `refused` or `never`; only the first two stand in the way.
    pub class: &'static str,
    /// What would permit it, or why nothing is suggested.
    pub says: String,
}

/// A permit that nothing used.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Unused {
    /// The rule.
    pub id: String,
    /// `inbound` or `outbound`.
    pub direction: Direction,
    /// Since when it was counted.
    pub since: Timestamp,
    /// Rows of the documents.
    pub sources: Vec<SourceRow>,
}

/// Judges.
#[must_use]
pub fn judge(facts: &Facts<'_>, thresholds: Thresholds) -> Readiness {
    let would_drop = would_drop(facts);
    let flows = |class: &str| would_drop.iter().filter(|one| one.class == class).map(|one| one.addresses.max(1)).sum();
    let (suggested, open): (usize, usize) = (flows("suggested"), flows("open"));
    let mut checks = vec![attached(facts)];
    // A host with one interface that was audited for long and another that was not is ready on neither.
    let audited = || facts.interfaces.iter().filter(|one| !one.enforces).map(|one| &one.audit);
    if facts.interfaces.iter().all(|one| one.enforces) {
        checks.push(Check {
            name: "audit",
            met: true,
            found: "every judged direction already enforces".to_owned(),
            wanted: "-".to_owned(),
        });
    } else {
        let least = |of: fn(&AuditTime) -> f64| audited().map(of).fold(f64::INFINITY, f64::min);
        checks.push(hours("audit-hours", least(|time| time.hours), thresholds.hours));
        checks.push(hours("policy-hours", least(|time| time.policy_hours), thresholds.policy_hours));
        let weekdays = audited().map(|time| time.weekdays.len()).min().unwrap_or(0);
        checks.push(Check {
            name: "weekdays",
            met: weekdays >= thresholds.weekdays,
            found: format!("audit ran on {weekdays} weekdays"),
            wanted: format!("{} or more", thresholds.weekdays),
        });
    }
    let at_most = |name, found: usize, what: &str, most: usize| Check {
        name,
        met: found <= most,
        found: format!("{found} {what}"),
        wanted: if most == 0 { "none".to_owned() } else { format!("at most {most}") },
    };
    checks.push(at_most("suggested", suggested, "refused flows that a suggestion would permit", thresholds.flows));
    checks.push(at_most("unexplained", open, "refused flows without an explanation", thresholds.flows));
    checks.push(at_most("live", facts.connections, "live connections would be cut", thresholds.connections));
    Readiness {
        ready: checks.iter().all(|check| check.met),
        thresholds,
        checks,
        audit: facts.interfaces.iter().map(evidence).collect(),
        would_drop,
        unused: unused(facts),
        notes: notes(facts),
    }
}

fn attached(facts: &Facts<'_>) -> Check {
    let problems: Vec<String> = facts
        .interfaces
        .iter()
        .flat_map(|one| one.status.problems.iter().map(|text| format!("{}: {text}", one.counters.interface)))
        .collect();
    let drift = facts.interfaces.iter().any(|one| one.status.drift);
    Check {
        name: "in-force",
        met: problems.is_empty() && !drift && !facts.interfaces.is_empty(),
        found: match (problems.is_empty(), drift) {
            (true, false) => "programs and tables match the applied policy".to_owned(),
            (true, true) => "programs or tables differ from the applied policy".to_owned(),
            (false, _) => problems.join("; "),
        },
        wanted: "no problem, no drift".to_owned(),
    }
}

fn hours(name: &'static str, found: f64, wanted: f64) -> Check {
    let what = if name == "audit-hours" { "of audit" } else { "of audit with the active policy" };
    Check { name, met: found >= wanted, found: format!("{found:.1} hours {what}"), wanted: format!("{wanted} or more") }
}

fn evidence(one: &InterfaceFacts) -> AuditEvidence {
    let rounded = |hours: f64| (hours * 10.0).floor() / 10.0;
    AuditEvidence {
        interface: one.counters.interface.clone(),
        hours: rounded(one.audit.hours),
        policy_hours: rounded(one.audit.policy_hours),
        first: one.audit.first,
        weekdays: one.audit.weekdays.clone(),
        restarts: one.audit.restarts,
        enforces: one.enforces,
    }
}

/// Everything that is refused, by who would miss it.
fn would_drop(facts: &Facts<'_>) -> Vec<WouldDrop> {
    type Key = (Option<String>, Direction, String, &'static str, String);
    let mut groups: BTreeMap<Key, (BTreeSet<Option<IpAddr>>, u64, u64)> = BTreeMap::new();
    let mut add = |flow: &Flow, class: &'static str, says: String| {
        let peer = flow.remote.and_then(|remote| peers_of(facts.site, remote));
        let service = match flow.port {
            Some(port) => format!("{} {port}", flow.protocol),
            None => flow.protocol.clone(),
        };
        // A scan is one thing, whatever ports it tried.
        let service = match class {
            "scan" => "many ports".to_owned(),
            // And so are answers that come to another port each time.
            "answer" => "udp, many ports".to_owned(),
            _ => service,
        };
        let group = groups.entry((peer, flow.direction, service, class, says)).or_default();
        group.0.insert(flow.remote);
        group.1 += flow.packets;
        group.2 += flow.dropped;
    };
    for one in &facts.denied.suggestions {
        for flow in &one.flows {
            add(flow, "suggested", format!("{} {}", one.kind.name(), one.name));
        }
    }
    for one in &facts.denied.unexplained {
        let class = match one.class {
            Class::Permitted => continue,
            Class::Scan => "scan",
            Class::Answer => "answer",
            Class::Never => "never",
            Class::Refused => "refused",
            Class::Open => "open",
        };
        let says = if class == "scan" { "port scan".to_owned() } else { one.why.clone() };
        add(&one.flow, class, says);
    }
    let mut found: Vec<WouldDrop> = groups
        .into_iter()
        .map(|((peer, direction, service, class, says), (addresses, packets, dropped))| WouldDrop {
            peer,
            direction,
            service,
            addresses: addresses.iter().flatten().count(),
            example: addresses.into_iter().flatten().next(),
            packets,
            dropped,
            class,
            says,
        })
        .collect();
    let order =
        |class: &str| ["suggested", "open", "answer", "refused", "scan", "never"].iter().position(|one| *one == class);
    found.sort_by(|a, b| (order(a.class), b.packets, &a.service).cmp(&(order(b.class), a.packets, &b.service)));
    found
}

/// The peers that an address belongs to.
fn peers_of(site: &Site, remote: IpAddr) -> Option<String> {
    let of = site.peers.iter().filter(|(_, nets)| nets.iter().any(|net| net.contains(&remote)));
    let names: Vec<&str> = of.map(|(name, _)| name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Permits that no interface has seen used.
fn unused(facts: &Facts<'_>) -> Vec<Unused> {
    let mut rules: BTreeMap<(String, Direction), (Unused, u64)> = BTreeMap::new();
    // What is not judged needs no permit.
    let is_judged = |rule: &RecordedRule| facts.site.outbound_judged || rule.direction == Direction::Inbound;
    for one in facts.interfaces {
        let permits = |counted: &&RuleCount| counted.rule.action == Action::Permit && is_judged(&counted.rule);
        for counted in one.counters.rules.iter().filter(permits) {
            let rule = &counted.rule;
            let unused = || Unused {
                id: rule.id.clone(),
                direction: rule.direction,
                since: rule.since,
                sources: rule.sources.clone(),
            };
            let (known, packets) = rules.entry((rule.id.clone(), rule.direction)).or_insert_with(|| (unused(), 0));
            known.since = known.since.min(rule.since);
            *packets += counted.count.packets;
        }
    }
    rules.into_values().filter(|(_, packets)| *packets == 0).map(|(unused, _)| unused).collect()
}

fn notes(facts: &Facts<'_>) -> Vec<String> {
    let first = |note: &String| note.lines().next().unwrap_or_default().trim_end_matches(':').to_owned();
    let mut notes: Vec<String> =
        facts.denied.notes.iter().map(|note| format!("{} (`enforcer suggest` prints it)", first(note))).collect();
    if facts.is_full {
        notes.push("the table of denied flows is full: flows that were idle longest are removed".to_owned());
    }
    if facts.suppressed > 0 {
        notes.push(format!(
            "{} refused packets exceeded the rate limit; they are counted, but no longer listed individually",
            facts.suppressed
        ));
    }
    if facts.skipped > 0 {
        notes.push(format!(
            "{} lines of the history cannot be read; audit may have run longer than shown",
            facts.skipped
        ));
    }
    let silent = facts.interfaces.iter().filter(|one| one.audit.first.is_none() && !one.enforces);
    for one in silent {
        notes.push(format!(
            "{}: the history has no record of its audit, so 0 hours are counted",
            one.counters.interface
        ));
    }
    notes
}
