//! The page about a host: what is in force, what passed and by which row of a document, what was or would be dropped, and whether
//! it may enforce. As one HTML file that needs nothing else, or as JSON.
//!
//! Pure: what is known goes in. Names and addresses of the page are other people's text, so the template escapes all of it; the
//! charts hold nothing but numbers and times.

mod charts;

use askama::Template;
use enforcer_common::Direction;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::dataplane::DeniedFlow;
use crate::observe::readiness::{InterfaceFacts, Readiness};
use crate::observe::suggest::Suggestions;
use crate::policy::ruleset::SourceRow;
use crate::state::history::{DirectionTotals, Entry, Event, ModeWords, Span};
use crate::state::totals::verdict_name;

/// Changes that the page lists; JSON has all.
const CHANGES: usize = 40;
/// Rows of the page's longest tables; JSON has all.
const ROWS: usize = 200;

/// Everything on the page.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of enforcer.
    pub version: &'static str,
    /// Name of the host.
    pub host: String,
    /// When this was.
    pub at: Timestamp,
    /// The policy in force.
    pub policy: PolicyPart,
    /// The protected interfaces.
    pub interfaces: Vec<InterfacePart>,
    /// Every rule of every interface.
    pub rules: Vec<RulePart>,
    /// The verdict about enforcing.
    pub readiness: Readiness,
    /// Live connections that enforcement would cut.
    pub cut: Vec<CutPart>,
    /// What would permit the refused flows.
    pub suggestions: Suggestions,
    /// What was in force when.
    pub spans: Vec<SpanPart>,
    /// Changes, the newest first.
    pub changes: Vec<Entry>,
    /// What was counted between two entries of the history.
    pub over_time: Vec<Interval>,
    /// When refused flows were last seen, hour by hour.
    pub last_seen: Vec<LastSeen>,
}

/// The policy in force.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyPart {
    /// Its hash.
    pub hash: String,
    /// Where it came from.
    pub origin: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Rules.
    pub rules: usize,
    /// Whether outbound is judged.
    pub outbound_judged: bool,
}

/// A protected interface.
#[derive(Clone, Debug, Serialize)]
pub struct InterfacePart {
    /// Its name.
    pub interface: String,
    /// Its modes.
    pub modes: ModeWords,
    /// A deadline that is armed.
    pub deadline: Option<Timestamp>,
    /// How it is attached, inbound and outbound.
    pub attached: [Option<String>; 2],
    /// Since when it counts.
    pub since: Timestamp,
    /// When its policy was applied.
    pub applied: Timestamp,
    /// What the kernel holds is not what was applied.
    pub drift: bool,
    /// What is not as it should be.
    pub problems: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// Packets, inbound and outbound.
    pub totals: [DirectionTotals; 2],
    /// Packets by reason.
    pub reasons: Vec<ReasonPart>,
}

/// Packets of one reason.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonPart {
    /// Its name.
    pub reason: &'static str,
    /// In a sentence.
    pub sentence: &'static str,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// `pass`, `drop` or `would_drop`.
    pub verdict: &'static str,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A rule and what it matched.
#[derive(Clone, Debug, Serialize)]
pub struct RulePart {
    /// Its interface.
    pub interface: String,
    /// Its id.
    pub id: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// `deny`, `permit` or `internal`.
    pub action: &'static str,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// When it matched last.
    pub last_hit: Option<Timestamp>,
    /// Since when it is counted.
    pub since: Timestamp,
    /// Rows of the documents.
    pub sources: Vec<SourceRow>,
    /// The same in short.
    pub rows: String,
}

/// A live connection that would be cut.
#[derive(Clone, Debug, Serialize)]
pub struct CutPart {
    /// Protocol and ends.
    pub connection: String,
    /// Whose it is.
    pub process: Option<String>,
    /// Why, and by which rule.
    pub why: String,
}

/// A stretch of time with one pair of modes.
#[derive(Clone, Debug, Serialize)]
pub struct SpanPart {
    /// The interface.
    pub interface: String,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// The modes.
    pub modes: ModeWords,
    /// Hash of the policy.
    pub policy_hash: Option<String>,
}

/// What was counted between two entries of the history.
#[derive(Clone, Debug, Serialize)]
pub struct Interval {
    /// The interface.
    pub interface: String,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Packets of both directions together.
    pub packets: DirectionTotals,
}

/// Refused flows that were last seen in an hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct LastSeen {
    /// The hour.
    pub hour: Timestamp,
    /// Flows.
    pub flows: usize,
}

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
                direction: counted.rule.direction.clone(),
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
                    found.push(Interval { interface: counters.interface.clone(), from: *from, to: *to, packets });
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
        let mut flows = std::collections::BTreeMap::new();
        for flow in self.denied.iter().filter(|flow| (0..HOURS).contains(&(hour(now) - hour(flow.last)))) {
            *flows.entry(hour(flow.last)).or_insert(0) += 1;
        }
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap_or(now);
        flows.into_iter().map(|(hour, flows)| LastSeen { hour: at(hour), flows }).collect()
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
        modes: ModeWords {
            inbound: status.modes.inbound.name().to_owned(),
            outbound: status.modes.outbound.name().to_owned(),
        },
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
                reason: one.reason.name(),
                sentence: one.reason.sentence(),
                direction: one.direction.name(),
                verdict: verdict_name(one.reason, one.would_drop),
                packets: one.count.packets,
                bytes: one.count.bytes,
            })
            .collect(),
    }
}

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    /// Charts, as SVG that holds numbers and times alone.
    modes: Vec<(String, String)>,
    over_time: Option<String>,
    last_seen: Option<String>,
    used: Vec<&'a RulePart>,
    zone: TimeZone,
}

impl Report {
    /// As a page.
    ///
    /// # Errors
    /// A chart cannot be drawn.
    pub fn html(&self) -> anyhow::Result<String> {
        let zone = TimeZone::system();
        let mut modes = Vec::new();
        for one in &self.interfaces {
            let spans: Vec<&SpanPart> = self.spans.iter().filter(|span| span.interface == one.interface).collect();
            if let Some(chart) = charts::modes(&spans, self.at, &zone)? {
                modes.push((one.interface.clone(), chart));
            }
        }
        let page = Page {
            modes,
            over_time: charts::over_time(&self.over_time, &zone)?,
            last_seen: charts::last_seen(&self.last_seen, self.at, &zone)?,
            used: self.rules.iter().filter(|rule| rule.packets > 0).collect(),
            report: self,
            zone,
        };
        Ok(page.render()? + "\n")
    }
}

impl Page<'_> {
    /// A time as people on this host read it.
    fn time(&self, time: &Timestamp) -> String {
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
    }

    /// What was changed, the newest first.
    fn changes(&self) -> impl Iterator<Item = &Entry> {
        self.report.changes.iter().filter(|entry| entry.event != Event::Sample)
    }

    /// How many rows the page has no room for.
    fn more(&self, rows: usize, room: usize) -> String {
        match rows.saturating_sub(room) {
            0 => String::new(),
            more => format!("... and {more} more; enforcer report --format json has all"),
        }
    }

    /// Part of the busiest rule's packets, in hundredths.
    fn share(&self, packets: &u64) -> u64 {
        let most = self.used.first().map_or(1, |rule| rule.packets).max(1);
        (u128::from(*packets) * 100 / u128::from(most)).try_into().unwrap_or(100)
    }

    /// Packets of all interfaces in a direction that passed, were dropped or would be.
    fn sum(&self, direction: usize, of: &[&str]) -> String {
        let one = |totals: &DirectionTotals| {
            let each = [("pass", totals.pass), ("drop", totals.drop), ("would", totals.would_drop)];
            each.into_iter().filter(|(name, _)| of.contains(name)).map(|(_, packets)| packets).sum::<u64>()
        };
        count(&self.report.interfaces.iter().map(|interface| one(&interface.totals[direction])).sum())
    }
}

/// A number with its thousands apart.
fn count(number: &u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // Narrow, and never where a line breaks.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Bytes as people read them.
fn bytes(number: &u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut whole = *number;
    while whole >= 10_000 && unit + 1 < UNITS.len() {
        whole /= 1000;
        unit += 1;
    }
    format!("{} {}", count(&whole), UNITS[unit])
}

/// The beginning of a hash.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::readiness::{Check, Thresholds, WouldDrop};
    use crate::state::history::Totals;

    const HOSTILE: &str = "</style><script>alert(\"x\")</script>&'";

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    /// A page on which every text that is not ours is hostile.
    fn report() -> Report {
        let modes = ModeWords { inbound: HOSTILE.to_owned(), outbound: "audit".to_owned() };
        let totals = DirectionTotals { pass: 1_234_567, drop: 3, would_drop: 40 };
        Report {
            version: "0",
            host: HOSTILE.to_owned(),
            at: time(90_000),
            policy: PolicyPart {
                hash: HOSTILE.to_owned(),
                origin: HOSTILE.to_owned(),
                roles: vec![HOSTILE.to_owned()],
                rules: 1,
                outbound_judged: true,
            },
            interfaces: vec![InterfacePart {
                interface: HOSTILE.to_owned(),
                modes: modes.clone(),
                deadline: Some(time(1)),
                attached: [Some(HOSTILE.to_owned()), None],
                since: time(0),
                applied: time(0),
                drift: true,
                problems: vec![HOSTILE.to_owned()],
                notes: vec![HOSTILE.to_owned()],
                totals: [totals; 2],
                reasons: Vec::new(),
            }],
            rules: vec![RulePart {
                interface: HOSTILE.to_owned(),
                id: HOSTILE.to_owned(),
                direction: "inbound".to_owned(),
                action: "permit",
                packets: 9_000_000_000,
                bytes: u64::MAX,
                last_hit: None,
                since: time(0),
                sources: Vec::new(),
                rows: HOSTILE.to_owned(),
            }],
            readiness: Readiness {
                ready: false,
                thresholds: Thresholds { hours: 1.0, policy_hours: 1.0, weekdays: 1, flows: 0, connections: 0 },
                checks: vec![Check { name: "audit", met: false, found: HOSTILE.to_owned(), wanted: "-".to_owned() }],
                audit: Vec::new(),
                would_drop: vec![WouldDrop {
                    peer: Some(HOSTILE.to_owned()),
                    direction: "inbound",
                    service: HOSTILE.to_owned(),
                    addresses: 2,
                    example: Some([10, 0, 0, 7].into()),
                    packets: 1,
                    class: "open",
                    says: HOSTILE.to_owned(),
                }],
                unused: Vec::new(),
                notes: vec![HOSTILE.to_owned()],
            },
            cut: vec![CutPart {
                connection: HOSTILE.to_owned(),
                process: Some(HOSTILE.to_owned()),
                why: HOSTILE.to_owned(),
            }],
            suggestions: Suggestions {
                policy_hash: String::new(),
                suggestions: Vec::new(),
                unexplained: Vec::new(),
                notes: vec![HOSTILE.to_owned()],
                yaml: HOSTILE.to_owned(),
                site: String::new(),
                is_rewritten: false,
                also_opens: crate::observe::suggest::AlsoOpens::default(),
            },
            spans: vec![SpanPart {
                interface: HOSTILE.to_owned(),
                from: time(0),
                to: time(90_000),
                modes: modes.clone(),
                policy_hash: None,
            }],
            changes: vec![Entry {
                at: time(0),
                event: Event::Applied,
                interface: HOSTILE.to_owned(),
                boot: HOSTILE.to_owned(),
                modes: Some(modes),
                until: None,
                policy_hash: Some(HOSTILE.to_owned()),
                totals: Some(Totals::default()),
            }],
            over_time: vec![Interval {
                interface: HOSTILE.to_owned(),
                from: time(0),
                to: time(90_000),
                packets: totals,
            }],
            last_seen: vec![LastSeen { hour: time(0), flows: 3 }],
        }
    }

    #[test]
    fn what_others_wrote_is_only_text_on_the_page() {
        let html = report().html().unwrap();
        assert!(!html.contains("<script") && html.matches("</style>").count() == 1, "{html}");
        assert!(html.matches("&#60;script&#62;").count() > 15, "it is there, as text: {html}");
        assert_eq!(html.matches("<svg").count(), 3, "three charts");
    }

    #[test]
    fn the_page_asks_for_nothing_else() {
        let html = report().html().unwrap();
        for outside in ["src=", "href=", "url(", "@import", "<link", "<img", "<iframe"] {
            assert!(!html.contains(outside), "{outside}");
        }
        // The name of SVG's language is no address.
        assert_eq!(html.matches("://").count(), html.matches("http://www.w3.org/2000/svg").count());
    }

    #[test]
    fn every_colour_of_the_charts_is_one_that_the_page_replaces() {
        let html = report().html().unwrap();
        let (style, body) = html.split_once("</style>").unwrap();
        let mut found = 0;
        for part in body.split("fill=\"#").skip(1) {
            let color = &part[..6];
            // Of texts all colours are replaced at once.
            assert!(color == "333333" || style.contains(&format!("svg [fill=\"#{color}\"]")), "{color}");
            found += 1;
        }
        assert!(found > 5, "{found}");
    }

    #[test]
    fn rows_that_have_no_room_are_counted() {
        let mut report = report();
        assert!(!report.html().unwrap().contains("... and "));
        report.rules = vec![report.rules[0].clone(); ROWS + 7];
        assert!(report.html().unwrap().contains("... and 7 more; enforcer report --format json has all"));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(&0), "0");
        assert_eq!(count(&1_234_567).replace('\u{202f}', " "), "1 234 567");
        assert_eq!(bytes(&9_999).replace('\u{202f}', " "), "9 999 B");
        assert_eq!(bytes(&12_345_678).replace('\u{202f}', " "), "12 MB");
    }
}
