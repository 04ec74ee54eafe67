//! The report as one HTML page.

use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Report, RulePart, SpanPart, charts};
use crate::state::history::{DirectionTotals, Entry, Event};

/// Changes that the page lists; JSON has all.
const CHANGES: usize = 40;
/// Rows of the page's longest tables; JSON has all.
const ROWS: usize = 200;

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
    use super::super::{CutPart, InterfacePart, Interval, LastSeen, PolicyPart};
    use super::*;
    use crate::observe::readiness::{Check, Readiness, Thresholds, WouldDrop};
    use crate::observe::suggest::{AlsoOpens, Suggestions};
    use crate::state::history::{ModeWords, Totals};

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
                also_opens: AlsoOpens::default(),
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
