//! The schedule of the agent: events are collected for a moment before they cause work, and some work is repeated at intervals.

use std::time::{Duration, Instant};

use super::sources::Event;

/// A task of the agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// Read the site file, and apply it if it has changed.
    Read,
    /// Protect new interfaces, and repair interfaces whose programs or pins were removed.
    Protect,
    /// Update the table of own addresses.
    Addresses,
    /// Update the table of listeners.
    Listeners,
    /// Write the totals to the history, for reports over time and as evidence of how long audit ran.
    Totals,
    /// Compare programs and tables in the kernel with the policy.
    Check,
    /// Compare what interfaces receive with what the programs count.
    Guard,
}

const ALL: [Work; 7] =
    [Work::Addresses, Work::Read, Work::Protect, Work::Listeners, Work::Totals, Work::Check, Work::Guard];

/// When each task is due.
#[derive(Clone, Debug)]
pub(super) struct Due {
    at: [Option<Instant>; ALL.len()],
    /// Time of the first file event since the last reading.
    changed: Option<Instant>,
    check: Duration,
}

/// The site file is read after this time without events: the editor has finished. It is read in any case after a longer time.
const QUIET: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(2);
/// A new interface is unprotected until this task runs, so the wait only collects events that belong together.
const LINKS: Duration = Duration::from_millis(20);
const ADDRESSES: Duration = Duration::from_millis(50);
/// No event reports a new listener, so the table is updated at intervals. It only affects revived flows from ephemeral ports.
const LISTENERS: Duration = Duration::from_secs(5);
/// No notice tells of a change of rings or queues, after which a driver may have forgotten a program.
const GUARD: Duration = Duration::from_secs(5);
/// After a change of a link, packets come in again in a moment.
const AFTER_LINKS: Duration = Duration::from_secs(1);
/// Often enough for a report over months; the history file is limited in size.
const TOTALS: Duration = Duration::from_secs(15 * 60);

impl Due {
    /// A schedule with checks at this interval.
    pub(super) fn new(now: Instant, check: Duration) -> Self {
        let mut due = Self { at: [None; ALL.len()], changed: None, check };
        due.set(Work::Listeners, now + LISTENERS);
        due.set(Work::Totals, now + TOTALS);
        due.set(Work::Check, now + check);
        due.set(Work::Guard, now + GUARD);
        due
    }

    /// Schedules the tasks for an event.
    pub(super) fn note(&mut self, event: Event, now: Instant) {
        match event {
            Event::File => {
                let first = *self.changed.get_or_insert(now);
                self.set(Work::Read, (now + QUIET).min(first + PATIENCE));
            }
            Event::Links => {
                self.no_later(Work::Protect, now + LINKS);
                self.no_later(Work::Guard, now + AFTER_LINKS);
                // Hardware addresses may have changed.
                self.no_later(Work::Addresses, now + ADDRESSES);
            }
            Event::Addresses => self.no_later(Work::Addresses, now + ADDRESSES),
            Event::Reload | Event::Stop => {}
        }
    }

    /// Schedules a task for this time at the latest.
    pub(super) fn again(&mut self, work: Work, at: Instant) {
        self.no_later(work, at);
    }

    /// The time until the next task is due.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.at.iter().flatten().min().map(|at| at.saturating_duration_since(now))
    }

    /// The tasks that are due, in the order in which they should run.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Work> {
        let due: Vec<Work> =
            ALL.into_iter().filter(|work| self.at[*work as usize].is_some_and(|at| at <= now)).collect();
        for work in &due {
            self.at[*work as usize] = match work {
                Work::Listeners => Some(now + LISTENERS),
                Work::Totals => Some(now + TOTALS),
                Work::Guard => Some(now + GUARD),
                Work::Check => Some(now + self.check),
                Work::Read | Work::Protect | Work::Addresses => None,
            };
            if *work == Work::Read {
                self.changed = None;
            }
        }
        due
    }

    fn set(&mut self, work: Work, at: Instant) {
        self.at[work as usize] = Some(at);
    }

    fn no_later(&mut self, work: Work, at: Instant) {
        let known = self.at[work as usize];
        self.set(work, known.map_or(at, |known| known.min(at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_editor_is_waited_for_but_not_for_ever() {
        let start = Instant::now();
        let mut due = Due::new(start, 60 * SECOND);
        due.note(Event::File, start);
        assert_eq!(due.take(start + QUIET / 2), []);
        due.note(Event::File, start + QUIET / 2);
        assert_eq!(due.take(start + QUIET), [], "it is not quiet yet");
        assert_eq!(due.take(start + 2 * QUIET), [Work::Read]);
        assert_eq!(due.take(start + 2 * QUIET), [], "once");
        let mut now = start + SECOND;
        let mut read_after = None;
        for _ in 0..100 {
            due.note(Event::File, now);
            now += QUIET / 2;
            if due.take(now).contains(&Work::Read) {
                read_after = Some(now - (start + SECOND));
                break;
            }
        }
        assert!(read_after.is_some_and(|after| after <= PATIENCE + QUIET), "{read_after:?}");
    }

    #[test]
    fn a_storm_of_links_does_not_put_the_work_off() {
        let start = Instant::now();
        let mut due = Due::new(start, 60 * SECOND);
        due.note(Event::Links, start);
        due.note(Event::Links, start + LINKS / 2);
        assert_eq!(due.wait(start), Some(LINKS));
        assert_eq!(due.take(start + LINKS), [Work::Protect]);
    }

    #[test]
    fn checks_come_again() {
        let start = Instant::now();
        let mut due = Due::new(start, 60 * SECOND);
        assert_eq!(due.take(start + 60 * SECOND), [Work::Listeners, Work::Check, Work::Guard]);
        assert_eq!(due.take(start + 61 * SECOND), []);
        assert_eq!(due.take(start + 120 * SECOND), [Work::Listeners, Work::Check, Work::Guard]);
    }

    #[test]
    fn a_change_of_a_link_is_a_reason_to_look_whether_programs_judge() {
        let start = Instant::now();
        let mut due = Due::new(start, 60 * SECOND);
        due.note(Event::Links, start);
        assert!(!due.take(start + AFTER_LINKS / 2).contains(&Work::Guard));
        assert_eq!(due.take(start + AFTER_LINKS), [Work::Guard]);
        assert_eq!(due.take(start + AFTER_LINKS + GUARD), [Work::Listeners, Work::Guard], "and it goes on without one");
    }

    #[test]
    fn totals_go_into_the_history_every_quarter_of_an_hour() {
        let start = Instant::now();
        let mut due = Due::new(start, 60 * SECOND);
        let times = (1..=61).filter(|minute| due.take(start + 60 * *minute * SECOND).contains(&Work::Totals));
        assert_eq!(times.collect::<Vec<_>>(), [15, 30, 45, 60]);
    }
}
