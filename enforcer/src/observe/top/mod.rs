//! The terminal dashboard: what is known (this file), how keys change it (`keys`), its lines (`rows`), and how it is drawn (`draw`).
//!
//! Pure: readings and keys come from outside, and drawing goes to whatever ratatui draws on.

mod draw;
mod keys;
mod rows;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use rows::{Before, denied, reasons, rules};

use crate::dataplane::{DeniedFlow, InterfaceCounters, Modes};
use crate::observe::rates::Rates;

pub use draw::draw;
pub use keys::Key;
pub use rows::{Refused, Row};

/// Readings that the sparklines remember.
const REMEMBERED: usize = 300;

/// What the kernel said at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When.
    pub at: Timestamp,
    /// Counters of each interface, and when its modes end by themselves.
    pub interfaces: Vec<(InterfaceCounters, Option<Timestamp>)>,
    /// Denied flows.
    pub denied: Vec<DeniedFlow>,
}

/// By what rules, reasons and flows are sorted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// The fastest first.
    #[default]
    Rate,
    /// The most packets first.
    Packets,
    /// The latest first.
    Last,
    /// By name.
    Name,
}

/// An interface in the title.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// Its name.
    pub interface: String,
    /// Its modes.
    pub modes: Modes,
    /// When they end by themselves.
    pub deadline: Option<Timestamp>,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub struct App {
    heads: Vec<Head>,
    rules: Vec<Row>,
    reasons: Vec<Row>,
    denied: Vec<Row>,
    passed: VecDeque<u64>,
    refused: VecDeque<u64>,
    at: Option<Timestamp>,
    before: Option<Reading>,
    order: Order,
    filter: String,
    types_filter: bool,
    paused: bool,
    help: bool,
    scroll: usize,
    done: bool,
}

impl App {
    /// Whether somebody wants to leave.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// Whether what is shown stays as it is.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Takes a reading; none while it is paused.
    pub fn observe(&mut self, reading: Reading) {
        if self.paused {
            return;
        }
        let before = self.before.as_ref();
        let apart = before.map_or(Duration::ZERO, |before| {
            Duration::try_from(reading.at.duration_since(before.at)).unwrap_or_default()
        });
        self.heads = reading.interfaces.iter().map(|(one, deadline)| head(one, *deadline)).collect();
        (self.rules, self.reasons) = (Vec::new(), Vec::new());
        let (mut passed, mut refused) = (0.0, 0.0);
        let several = reading.interfaces.len() > 1;
        for (now, _) in &reading.interfaces {
            let known =
                before.and_then(|before| before.interfaces.iter().find(|(one, _)| one.interface == now.interface));
            let rates = known.map(|(known, _)| Rates::between(known, now, apart));
            for row in reasons(now, rates.as_ref(), several) {
                let sum = if row.refused.is_some() { &mut refused } else { &mut passed };
                *sum += row.rate.unwrap_or(0.0);
                self.reasons.push(row);
            }
            self.rules.extend(rules(now, rates.as_ref(), several));
        }
        let flows_before = before.map(|before| Before::new(before, apart));
        self.denied = reading.denied.iter().map(|flow| denied(flow, flows_before.as_ref())).collect();
        if before.is_some() {
            remember(&mut self.passed, passed);
            remember(&mut self.refused, refused);
        }
        self.at = Some(reading.at);
        self.before = Some(reading);
    }

    /// The rows of a table that the filter lets through, in order.
    fn shown<'r>(&self, rows: &'r [Row]) -> Vec<&'r Row> {
        let wanted = self.filter.to_lowercase();
        let fits = |row: &&Row| {
            wanted.is_empty()
                || row.name.to_lowercase().contains(&wanted)
                || row.detail.to_lowercase().contains(&wanted)
        };
        let mut shown: Vec<&Row> = rows.iter().filter(fits).collect();
        // A rate that is shown as nothing sorts as nothing, or rows would jump for no reason that is seen.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is positive and no key is exact"
        )]
        let rate = |row: &Row| (row.rate.unwrap_or(0.0) * 10.0) as u64;
        shown.sort_by_cached_key(|row| {
            let number = match self.order {
                Order::Rate => i128::from(rate(row)),
                Order::Packets => i128::from(row.packets),
                Order::Last => row.last.map_or(i128::MIN, Timestamp::as_nanosecond),
                Order::Name => 0,
            };
            let packets = if self.order == Order::Rate { row.packets } else { 0 };
            (Reverse(number), Reverse(packets), row.name.clone(), row.detail.clone())
        });
        shown
    }
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Packets,
            Self::Packets => Self::Last,
            Self::Last => Self::Name,
            Self::Name => Self::Rate,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Packets => "packets",
            Self::Last => "last",
            Self::Name => "name",
        }
    }
}

fn head(counters: &InterfaceCounters, deadline: Option<Timestamp>) -> Head {
    Head { interface: counters.interface.clone(), modes: counters.modes, deadline }
}

fn remember(line: &mut VecDeque<u64>, rate: f64) {
    if line.len() == REMEMBERED {
        line.pop_front();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bar is not that exact")]
    line.push_back(rate.max(0.0).round() as u64);
}

#[cfg(test)]
mod tests {
    use enforcer_common::{Direction, Mode, Reason};
    use jiff::SignedDuration;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::dataplane::Asked;
    use crate::dataplane::{Count, ReasonCount, RecordedRule, RuleCount, VerdictCounts};
    use crate::policy::ruleset::Action;

    const START: i64 = 1_790_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    fn rule(id: &str, packets: u64, last: Option<i64>) -> RuleCount {
        let rule = RecordedRule {
            id: id.to_owned(),
            direction: Direction::Inbound,
            action: Action::Permit,
            exposure: "open".to_owned(),
            mode: None,
            slot: 1,
            since: at(0),
            sources: Vec::new(),
        };
        RuleCount { rule, count: Count { packets, bytes: 0 }, last_hit: last.map(at) }
    }

    /// A reading `second` seconds after the start, when `web` has matched `packets`.
    fn reading(second: i64, packets: u64) -> Reading {
        let refused = ReasonCount {
            reason: Reason::NoRule,
            direction: Direction::Inbound,
            would_drop: true,
            count: Count { packets: packets / 2, bytes: 0 },
        };
        let counters = InterfaceCounters {
            interface: "eth0".to_owned(),
            warning: None,
            modes: Modes { inbound: Mode::Audit, outbound: Mode::Enforce },
            since: at(0),
            verdicts: [VerdictCounts::default(); 2],
            rules: vec![rule("finesse/https", 5_000_000, None), rule("site/web", packets, Some(second - 3))],
            reasons: vec![refused],
        };
        let flow = DeniedFlow {
            interface: "eth0".to_owned(),
            direction: Direction::Inbound,
            reason: Reason::NoRule,
            mode: Mode::Audit,
            protocol: Some(6),
            remote: Some("2001:db8:1:2:3:4:5:6".parse().unwrap()),
            local: None,
            asked: Asked::Port(65535),
            packets: packets / 2,
            bytes: 0,
            first: at(0),
            last: at(second),
        };
        let deadline = Some(at(second) + SignedDuration::from_secs(3723));
        Reading { at: at(second), interfaces: vec![(counters, deadline)], denied: vec![flow] }
    }

    fn app() -> App {
        let mut app = App::default();
        app.observe(reading(0, 0));
        app.observe(reading(2, 400));
        app
    }

    fn screen(app: &App, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, app)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let lines = buffer.content.chunks(usize::from(width));
        let line =
            |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
        lines.map(|cells| line(cells).trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn everything_fits_on_a_small_terminal() {
        expect_test::expect![[r#"
            enforcer top  eth0 in audit out enforce until 01:02:03
            passed/s 0 (most 0)─────────────────────refused/s 100 (most 100)────────────────
                                                    █
                                                    █
                                                    █
            RULES                                                PACKETS/S   PACKETS    LAST
            site/web                      in                           200       400      3s
            finesse/https                 in                             0      5.0M





            REASONS                                              PACKETS/S   PACKETS    LAST
            no-rule                       in would drop                100       200



            DENIED FLOWS                                         PACKETS/S   PACKETS    LAST
            2001:db8:1:2:3:4:5:6          in tcp 65535 no-rule         100       200      0s



            sort: rate  / filter  s sort  p pause  ? help  q quit
        "#]]
        .assert_eq(&screen(&app(), 80, 24));
    }

    #[test]
    fn a_terminal_that_is_far_too_small_breaks_nothing() {
        let mut app = app();
        let first_line =
            |app: &App, width, height| screen(app, width, height).lines().next().unwrap_or_default().to_owned();
        assert_eq!(first_line(&app, 1, 1), "e");
        assert_eq!(first_line(&app, 20, 3), "enforcer top  eth0 i");
        assert_eq!(first_line(&app, 80, 8), "enforcer top  eth0 in audit out enforce until 01:02:03");
        assert!(screen(&app, 80, 8).ends_with("quit\n"), "the keys stay on the last line");
        let large = screen(&app, 300, 100);
        assert!(["site/web", "no-rule", "2001:db8:1:2:3:4:5:6"].iter().all(|row| large.contains(row)), "{large}");
        app.press(Key::Char('?'));
        for (width, height) in [(1, 1), (20, 3), (80, 8)] {
            let with_help = screen(&app, width, height);
            assert_eq!(with_help.lines().count(), usize::from(height), "{with_help}");
        }
        assert!(screen(&app, 80, 8).contains("quit"), "as much of the help as fits");
    }

    #[test]
    fn rows_are_sorted_by_what_was_chosen() {
        let mut app = app();
        let names = |app: &App| app.shown(&app.rules).iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&app), ["site/web", "finesse/https"], "by rate");
        app.press(Key::Char('s'));
        assert_eq!(names(&app), ["finesse/https", "site/web"], "by packets");
        app.press(Key::Char('s'));
        assert_eq!(names(&app), ["site/web", "finesse/https"], "by the last match");
        app.press(Key::Char('s'));
        assert_eq!(names(&app), ["finesse/https", "site/web"], "by name");
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared() {
        let mut app = app();
        let type_in = |app: &mut App, text: &str| text.chars().for_each(|c| app.press(Key::Char(c)));
        type_in(&mut app, "/WEBq");
        app.press(Key::Backspace);
        assert!(!app.is_done(), "q is a letter here");
        assert_eq!(app.shown(&app.rules).len(), 1);
        app.press(Key::Enter);
        assert!(screen(&app, 80, 24).contains("filter: WEB"));
        app.press(Key::Escape);
        assert_eq!(app.shown(&app.rules).len(), 2);
        type_in(&mut app, "/65535");
        assert_eq!((app.shown(&app.rules).len(), app.shown(&app.denied).len()), (0, 1));
        app.press(Key::Interrupt);
        assert!(app.is_done());
    }

    #[test]
    fn while_it_is_paused_nothing_changes() {
        let mut app = app();
        app.press(Key::Char(' '));
        let before = screen(&app, 80, 24);
        app.observe(reading(4, 9000));
        assert_eq!(screen(&app, 80, 24), before);
        app.press(Key::Char('p'));
        app.observe(reading(6, 9000));
        assert_ne!(screen(&app, 80, 24), before);
    }

    #[test]
    fn counters_that_began_anew_have_no_negative_rate() {
        let mut app = app();
        app.observe(reading(4, 10));
        let rate = app.shown(&app.rules).iter().find(|row| row.name == "site/web").and_then(|row| row.rate);
        assert_eq!(rate, Some(5.0));
    }
}
