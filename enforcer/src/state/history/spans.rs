//! From changes to stretches of time with one policy and one pair of modes.

use std::collections::BTreeSet;

use enforcer_common::Mode;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::{Entry, Event, Until};
use crate::policy::modes::Modes;

/// A weekday counts once audit ran so long on it.
const DAY_COVERED: SignedDuration = SignedDuration::from_hours(4);

/// A stretch of time in which an interface was protected in the same way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// The modes.
    pub modes: Modes,
    /// Hash of the policy.
    pub policy_hash: Option<String>,
    /// It goes on where the one before ended.
    pub goes_on: bool,
}

/// How long and when audit ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditTime {
    /// Hours in all.
    pub hours: f64,
    /// Of these with the policy in force.
    pub policy_hours: f64,
    /// When it first ran.
    pub first: Option<Timestamp>,
    /// Weekdays on which it ran for some hours, from Monday, by their English names.
    pub weekdays: Vec<&'static str>,
    /// How often it began anew after the host was unprotected or had enforced.
    pub restarts: usize,
}

/// The state that an entry leaves behind.
struct State {
    from: Timestamp,
    modes: Modes,
    until: Option<Until>,
    policy_hash: Option<String>,
    goes_on: bool,
}

/// What the entries of one interface say. `boot` is the one that is going on: of an earlier one only what an entry witnesses is
/// believed, and of this one everything until now.
#[must_use]
pub fn spans(entries: &[Entry], interface: &str, boot: &str, now: Timestamp) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let mut state: Option<State> = None;
    let mut last: Option<&Entry> = None;
    for entry in entries.iter().filter(|entry| entry.interface == interface && entry.at <= now) {
        let rebooted = last.is_some_and(|last| last.boot != entry.boot);
        if let Some(open) = state.as_mut() {
            let end = if rebooted { last.map_or(open.from, |last| last.at) } else { entry.at };
            open.close(end, &mut found);
        }
        let goes_on = state.is_some() && !rebooted;
        let before = if rebooted { None } else { state.take() };
        state = next(entry, before, goes_on);
        last = Some(entry);
    }
    if let (Some(open), Some(last)) = (state.as_mut(), last) {
        open.close(if last.boot == boot { now } else { last.at }, &mut found);
    }
    found.retain(|span| span.to > span.from);
    found
}

fn next(entry: &Entry, before: Option<State>, goes_on: bool) -> Option<State> {
    if entry.event == Event::Detached {
        return None;
    }
    let (modes, until, policy_hash) = match before {
        None => (None, None, None),
        Some(State { modes, until, policy_hash, .. }) => (Some(modes), until, policy_hash),
    };
    Some(State {
        from: entry.at,
        modes: entry.modes.or(modes)?,
        until: match entry.event {
            Event::Confirmed => None,
            Event::Held | Event::Hook | Event::Sample => entry.until.or(until),
            Event::Applied | Event::Mode | Event::Restored | Event::Detached => entry.until,
        },
        policy_hash: entry.policy_hash.clone().or(policy_hash),
        goes_on,
    })
}

impl State {
    /// Adds what this state was until `end`; past its deadline it was something else.
    fn close(&mut self, end: Timestamp, found: &mut Vec<Span>) {
        let cut = self.until.filter(|until| until.at < end && until.at >= self.from);
        let first_end = cut.map_or(end, |until| until.at);
        self.add(first_end, found);
        if let Some(until) = cut {
            self.modes = Modes::both(if until.window { Mode::Enforce } else { Mode::Audit });
            (self.from, self.until, self.goes_on) = (until.at, None, true);
            self.add(end, found);
        }
    }

    fn add(&self, to: Timestamp, found: &mut Vec<Span>) {
        let Self { from, modes, policy_hash, goes_on, .. } = self;
        // A clock that was set back makes no negative time.
        let to = to.max(*from);
        match found.last_mut() {
            Some(last) if *goes_on && last.to == *from && last.modes == *modes && last.policy_hash == *policy_hash => {
                last.to = to;
            }
            _ => {
                found.push(Span {
                    from: *from,
                    to,
                    modes: *modes,
                    policy_hash: policy_hash.clone(),
                    goes_on: *goes_on,
                });
            }
        }
    }
}

/// How long and when audit ran, by spans. With `outbound`, a stretch counts only where outbound was in audit too.
#[must_use]
pub fn audit_time(spans: &[Span], policy_hash: &str, outbound: bool, zone: &TimeZone) -> AuditTime {
    let mut found = AuditTime::default();
    let mut days = [SignedDuration::ZERO; 7];
    let mut end: Option<Timestamp> = None;
    for span in spans {
        if span.modes.inbound != Mode::Audit || outbound && span.modes.outbound != Mode::Audit {
            continue;
        }
        if end.is_some_and(|end| end != span.from) {
            found.restarts += 1;
        }
        end = Some(span.to);
        found.first = found.first.or(Some(span.from));
        let hours = span.to.duration_since(span.from).as_secs_f64() / 3600.0;
        found.hours += hours;
        if span.policy_hash.as_deref() == Some(policy_hash) {
            found.policy_hours += hours;
        }
        add_days(span, zone, &mut days);
    }
    let names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let covered: BTreeSet<usize> = (0..7).filter(|day| days[*day] >= DAY_COVERED).collect();
    found.weekdays = covered.into_iter().map(|day| names[day]).collect();
    found
}

/// Cuts a span at midnights.
fn add_days(span: &Span, zone: &TimeZone, days: &mut [SignedDuration; 7]) {
    /// More days than this say nothing that fewer do not; a clock that was wrong may make a span of decades.
    const MOST: usize = 400;
    let mut from = span.from;
    for _ in 0..MOST {
        if from >= span.to {
            break;
        }
        let day = from.to_zoned_datetime(zone.clone());
        let midnight = day.start_of_day().and_then(|start| start.checked_add(1.day())).map(|next| next.timestamp());
        let to = midnight.unwrap_or(span.to).min(span.to);
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or(0);
        days[weekday] += to.duration_since(from);
        from = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    /// `HOUR EVENT MODES [HASH] [until=HOUR[w]] [boot=B]`, of interface `eth0`.
    fn entries(lines: &[&str]) -> Vec<Entry> {
        lines.iter().map(|line| entry(line)).collect()
    }

    fn at(hours: i64) -> Timestamp {
        // A Monday, 00:00 UTC.
        "2026-11-16T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(hours * HOUR)
    }

    fn entry(line: &str) -> Entry {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap_or_default();
        let hour: i64 = next().parse().unwrap();
        let event = match next() {
            "applied" => Event::Applied,
            "mode" => Event::Mode,
            "confirmed" => Event::Confirmed,
            "detached" => Event::Detached,
            _ => Event::Sample,
        };
        let modes = next();
        let rest: Vec<&str> = words.collect();
        let value = |key: &str| rest.iter().find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        Entry {
            at: at(hour),
            event,
            interface: "eth0".to_owned(),
            boot: value("boot=").unwrap_or_else(|| "1".to_owned()),
            modes: modes.split_once('/').map(|(inbound, outbound)| Modes {
                inbound: serde_json::from_value(inbound.into()).unwrap(),
                outbound: serde_json::from_value(outbound.into()).unwrap(),
            }),
            until: value("until=")
                .map(|text| Until { at: at(text.trim_end_matches('w').parse().unwrap()), window: text.ends_with('w') }),
            policy_hash: value("hash="),
            totals: None,
        }
    }

    fn found(lines: &[&str], now: i64) -> Vec<String> {
        let hours = |time: Timestamp| time.duration_since(at(0)).as_hours();
        let spans = spans(&entries(lines), "eth0", "1", at(now));
        spans.iter().map(|span| format!("{}-{} {}", hours(span.from), hours(span.to), span.modes.inbound)).collect()
    }

    #[test]
    fn a_change_ends_what_was_before() {
        let lines = ["0 applied audit/audit", "10 sample -", "30 mode enforce/audit", "40 detached -"];
        assert_eq!(found(&lines, 50), ["0-30 audit", "30-40 enforce"]);
    }

    #[test]
    fn deadlines_pass_by_themselves() {
        let unconfirmed = ["0 applied audit/audit", "10 mode enforce/enforce until=11"];
        assert_eq!(found(&unconfirmed, 20), ["0-10 audit", "10-11 enforce", "11-20 audit"]);
        let confirmed = ["0 applied enforce/enforce until=5", "1 confirmed -"];
        assert_eq!(found(&confirmed, 20), ["0-20 enforce"]);
        let window = ["0 applied enforce/enforce", "2 mode audit/audit until=4w", "3 sample -"];
        assert_eq!(found(&window, 9), ["0-2 enforce", "2-4 audit", "4-9 enforce"]);
    }

    #[test]
    fn of_an_earlier_boot_only_what_was_witnessed_counts() {
        let lines = ["0 applied audit/audit boot=0", "10 sample - boot=0", "30 applied audit/audit boot=1"];
        assert_eq!(found(&lines, 40), ["0-10 audit", "30-40 audit"]);
        assert_eq!(found(&lines[..2], 40), ["0-10 audit"]);
    }

    #[test]
    fn entries_from_the_future_and_a_clock_that_goes_back_make_no_time() {
        assert_eq!(found(&["50 applied audit/audit"], 40), [""; 0]);
        assert_eq!(found(&["10 applied audit/audit", "10 detached -"], 40), [""; 0]);
    }

    #[test]
    fn audit_is_summed_up_by_policy_and_weekday() {
        let lines = [
            "0 applied audit/audit hash=a",
            "30 mode enforce/audit hash=a",
            "31 mode audit/audit hash=a",
            "50 applied audit/enforce hash=b",
        ];
        let spans = spans(&entries(&lines), "eth0", "1", at(60));
        let time = audit_time(&spans, "b", false, &TimeZone::UTC);
        assert_eq!((time.hours, time.policy_hours, time.restarts), (59.0, 10.0, 1));
        assert_eq!(time.weekdays, ["Monday", "Tuesday", "Wednesday"]);
        let judged = audit_time(&spans, "b", true, &TimeZone::UTC);
        assert_eq!((judged.hours, judged.policy_hours), (49.0, 0.0));
        assert_eq!(judged.weekdays, ["Monday", "Tuesday"], "two hours of Wednesday are not enough");
    }
}
