use enforcer_common::{Direction, Mode};

use super::super::{CutPart, FlowCounts, InterfacePart, Interval, LastSeen, PolicyPart, SpanPart};
use super::*;
use crate::observe::readiness::{Check, Readiness, Thresholds};
use crate::observe::suggest::AlsoOpens;
use crate::observe::suggest::Suggestions;
use crate::policy::modes::Modes;
use crate::state::history::{Entry, Event, Totals};

const HOSTILE: &str = "</style><script>alert(\"x\")</script>&'";

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// A page on which every text that is not ours is hostile.
fn report() -> Report {
    let modes = Modes::both(Mode::Audit);
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
            modes,
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
            direction: Direction::Inbound,
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
                direction: Direction::Inbound,
                service: HOSTILE.to_owned(),
                addresses: 2,
                example: Some([10, 0, 0, 7].into()),
                packets: 1,
                dropped: 0,
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
            modes,
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
            inbound: totals,
            outbound: DirectionTotals::default(),
        }],
        last_seen: vec![LastSeen {
            hour: time(0),
            flows: 3,
            inbound: FlowCounts { dropped: 1, would_drop: 2 },
            outbound: FlowCounts::default(),
        }],
    }
}

#[test]
fn what_others_wrote_is_only_text_on_the_page() {
    let html = report().html().unwrap();
    assert!(!html.contains("<script") && html.matches("</style>").count() == 1, "{html}");
    assert!(html.matches("&#60;script&#62;").count() > 15, "it is there, as text: {html}");
    assert_eq!(html.matches("<svg").count(), 6, "three charts, for wide and narrow screens");
}

#[test]
fn the_page_asks_for_nothing_else() {
    let html = report().html().unwrap();
    for outside in ["src=", "url(", "@import", "<link", "<img", "<iframe"] {
        assert!(!html.contains(outside), "{outside}");
    }
    // Links lead to parts of the page, and each part is there.
    for link in html.split("href=\"").skip(1) {
        let target = link.strip_prefix('#').and_then(|link| link.split_once('"')).map(|(target, _)| target);
        assert!(target.is_some_and(|target| html.contains(&format!("<section id=\"{target}\""))), "{target:?}");
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
    report.rules =
        (0..ROWS + 7).map(|number| RulePart { id: format!("site/{number}"), ..report.rules[0].clone() }).collect();
    let html = report.html().unwrap();
    assert!(html.contains("... and 7 more; enforcer report --format json lists all."), "{html}");
    assert!(html.contains(&format!("<summary>{} more rules</summary>", ROWS - OPEN_ROWS)), "{html}");
}

#[test]
fn numbers_are_grouped() {
    assert_eq!(count(&0), "0");
    assert_eq!(count(&1_234_567).replace('\u{202f}', " "), "1 234 567");
    assert_eq!(bytes(&9_999).replace(['\u{202f}', '\u{a0}'], " "), "9 999 B");
    assert_eq!(bytes(&12_345_678).replace(['\u{202f}', '\u{a0}'], " "), "12 MB");
}

#[test]
fn the_title_says_what_the_page_is_about_and_when() {
    let html = Report { host: "cuc1".to_owned(), ..report() }.html().unwrap();
    assert!(html.contains("<title>Firewall report for cuc1, 20"), "{html}");
    assert!(html.contains("<h1>Firewall report for cuc1</h1>"), "{html}");
}

#[test]
fn dropped_and_would_be_dropped_are_apart_in_each_direction() {
    let mut report = report();
    report.interfaces.push(report.interfaces[0].clone());
    report.interfaces[0].totals = [
        DirectionTotals { pass: 1001, drop: 1002, would_drop: 1003 },
        DirectionTotals { pass: 2001, drop: 2002, would_drop: 2003 },
    ];
    report.interfaces[1].totals = report.interfaces[0].totals;
    let html = report.html().unwrap().replace('\u{202f}', "");
    let (_, cards) = html.split_once("<div class=\"cards\">").unwrap();
    let (inbound, outbound) = cards.split_once("Outbound packets").unwrap();
    let outbound = outbound.split_once("</dl>").unwrap().0;
    for (card, numbers) in [(inbound, [2002, 2004, 2006]), (outbound, [4002, 4004, 4006])] {
        for (word, number) in ["Passed", "Dropped", "Would be dropped"].into_iter().zip(numbers) {
            let (_, rest) = card.split_once(&format!("<dt>{word}</dt>")).unwrap();
            let value = rest.split_once("</dd>").unwrap().0.rsplit_once('>').unwrap().1;
            assert_eq!(value, number.to_string(), "{word}: {card}");
        }
    }
}

#[test]
fn of_each_service_what_was_dropped_and_what_would_be_are_apart() {
    let mut report = report();
    (report.readiness.would_drop[0].packets, report.readiness.would_drop[0].dropped) = (7654, 4321);
    let html = report.html().unwrap().replace('\u{202f}', "");
    assert!(html.contains("data-label=\"Dropped\">4321<"), "{html}");
    assert!(html.contains("data-label=\"Would be dropped\">3333<"), "{html}");
}

#[test]
fn interfaces_that_are_alike_are_one_row() {
    let mut report = report();
    let (one, span) = (report.interfaces[0].clone(), report.spans[0].clone());
    report.interfaces =
        (0..64).map(|number| InterfacePart { interface: format!("tap{number}"), ..one.clone() }).collect();
    report.spans = (0..64).map(|number| SpanPart { interface: format!("tap{number}"), ..span.clone() }).collect();
    report.changes =
        (0..64).map(|number| Entry { interface: format!("tap{number}"), ..report.changes[0].clone() }).collect();
    let html = report.html().unwrap();
    assert_eq!(html.matches("<summary>64 interfaces</summary>").count(), 2, "the state and the change: {html}");
    assert_eq!(html.matches("<summary>64 interfaces: ").count(), 3, "problem, note and deadline: {html}");
    assert_eq!(html.matches("Modes of ").count(), 2, "caption and label of one chart: {html}");
}

#[test]
fn every_table_has_headings_that_say_what_they_are_about() {
    let html = report().html().unwrap();
    assert!(html.matches("<table").count() > 5);
    assert_eq!(html.matches("<table").count(), html.matches("<thead>").count());
    assert_eq!(html.matches("<th ").count(), html.matches("<th scope=").count(), "each has a scope");
    assert!(!html.contains("<th>"), "each has a scope");
    assert_eq!(html.matches("<h1>").count(), 1);
}

/// The ratio of luminance of two colours (WCAG 2.2).
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |color: &str| {
        let digits = color.trim_start_matches('#');
        let wide =
            if digits.len() == 3 { digits.chars().flat_map(|digit| [digit; 2]).collect() } else { digits.to_owned() };
        let part = |index: usize| {
            let value = f64::from(u8::from_str_radix(&wide[index * 2..index * 2 + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_can_be_told_from_its_ground_in_light_dark_and_on_paper() {
    let html = report().html().unwrap();
    let mut schemes = 0;
    for block in html.split(":root {").skip(1) {
        let block = block.split_once('}').unwrap().0;
        let color = |name: &str| {
            let (_, rest) = block.split_once(&format!("--{name}: ")).unwrap_or_else(|| panic!("{name}: {block}"));
            rest.split_once(';').unwrap().0.to_owned()
        };
        for text in ["text", "quiet", "pass", "drop", "would", "accent"] {
            for ground in ["ground", "panel"] {
                let found = contrast(&color(text), &color(ground));
                assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
            }
        }
        if block.contains("--pass-area") {
            for area in ["pass-area", "drop-area", "would-area"] {
                let found = contrast(&color(area), &color("panel"));
                assert!(found >= 3.0 || area == "would-area" && found >= 2.5, "{area}: {found:.2}");
            }
        }
        schemes += 1;
    }
    assert_eq!(schemes, 3, "light, dark and paper");
}
