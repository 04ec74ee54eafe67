//! Which mode an interface gets, and why. One rule for `apply`, `boot` and the agent: what is asked for by name; else the site
//! file's `mode` where the interface is new or the file says another mode than when it was last applied; else the mode in force;
//! else audit.

use std::fmt::{self, Display, Formatter};

use enforcer_common::{Direction, Mode};

use crate::dataplane::error::DataplaneError;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::plan::{Ending, Said};
use crate::host::netns;
use crate::policy::modes::{ModeChange, Modes, SaidModes};
use crate::state::last_good::State;

/// The modes of an interface before a change, from the kernel or from a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Known {
    /// The modes; in a change window, those that it returns to.
    pub modes: Modes,
    /// The modes of the site file when it was last applied; `None`: unknown.
    pub settled: Option<SaidModes>,
}

/// The modes that an interface gets, with the reasons.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Resulting {
    /// The modes.
    pub modes: Modes,
    /// The reason for each mode, inbound and outbound.
    pub why: [Why; 2],
    /// The active modes before; `None`: the interface is new.
    pub before: Option<Modes>,
    /// The modes that the site file names.
    pub site: SaidModes,
    /// The modes to record as those of the site file when it was last applied. Where enforcement is held, the earlier ones stay.
    pub settled: SaidModes,
}

/// Why a direction has its mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// An option or a command names it.
    Asked,
    /// The interface is new, and the site file names it.
    New,
    /// The site file now names another mode than when it was last applied.
    Changed,
    /// It is active, and the site file has not changed it.
    InForce,
    /// It is active, although the site file now says audit: no command has ended enforcement.
    Held,
    /// The interface is new, and no mode is named.
    Unsaid,
}

impl Resulting {
    /// Applies the rule.
    #[must_use]
    pub fn of(said: &Said, known: Option<&Known>, ending: Ending) -> Self {
        let each = Direction::ALL.map(|direction| of_direction(direction, said, known, ending));
        let [(inbound, why_in), (outbound, why_out)] = each;
        let why = [why_in, why_out];
        let mut settled = said.settled.unwrap_or(said.site);
        if let Some(before) = known.and_then(|known| known.settled) {
            for direction in Direction::ALL.into_iter().filter(|direction| why[*direction as usize] == Why::Held) {
                *settled.of_mut(direction) = before.of(direction);
            }
        }
        let before = known.map(|known| known.modes);
        Self { modes: Modes { inbound, outbound }, why, before, site: said.site, settled }
    }

    /// Directions in which enforcement ends.
    pub fn ends(&self) -> impl Iterator<Item = Direction> + '_ {
        Direction::ALL.into_iter().filter(|direction| {
            self.before.is_some_and(|before| before.of(*direction) == Mode::Enforce)
                && self.modes.of(*direction) == Mode::Audit
        })
    }

    /// Directions in which the site file alone would end enforcement.
    pub fn ended_by_site(&self) -> impl Iterator<Item = Direction> + '_ {
        self.ends().filter(|direction| self.why[*direction as usize] == Why::Changed)
    }

    /// Refuses to end enforcement unless the operator has agreed.
    pub(in crate::dataplane) fn check(&self, interface: &str, ending: Ending) -> Result<(), DataplaneError> {
        let directions: Vec<&str> = self.ended_by_site().map(Direction::name).collect();
        if ending != Ending::Refused || directions.is_empty() {
            return Ok(());
        }
        Err(DataplaneError::Refused(format!(
            "the site file would end enforcement on {interface} ({}): it says audit now, and did not when it was last applied. \
             Nothing was changed. If that is meant, add `--mode audit` or `--yes`; else take `mode: audit` out of the file",
            directions.join(" and ")
        )))
    }

    /// The modes and their reasons in words, for both directions or for each.
    #[must_use]
    pub fn reasons(&self) -> String {
        let words = |direction: Direction| {
            format!(
                "{}: {}",
                self.modes.of(direction).name(),
                self.why[direction as usize].words(self.site.of(direction))
            )
        };
        let [inbound, outbound] = Direction::ALL.map(words);
        if inbound == outbound { inbound } else { format!("inbound {inbound}; outbound {outbound}") }
    }
}

impl Why {
    /// "the site file says so, and the interface is new".
    fn words(self, site: Option<Mode>) -> String {
        match (self, site) {
            (Self::Asked, _) => "asked for by name".to_owned(),
            (Self::New, _) => "the site file says so, and the interface is new".to_owned(),
            (Self::Changed, _) => "the site file says so now, and did not when it was last applied".to_owned(),
            (Self::InForce, Some(mode)) => format!(
                "already in force; the site file says {} as it did when it was last applied, and a mode that was set since \
                 then counts",
                mode.name()
            ),
            (Self::InForce, None) => "already in force, and the site file says no mode".to_owned(),
            (Self::Held, _) => {
                "held: the site file says audit now, and ending enforcement has to be asked for".to_owned()
            }
            (Self::Unsaid, _) => "no mode is named, and the interface is new".to_owned(),
        }
    }
}

impl Display for Why {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Asked => "asked",
            Self::New => "new",
            Self::Changed => "changed",
            Self::InForce => "in-force",
            Self::Held => "held",
            Self::Unsaid => "unsaid",
        })
    }
}

/// Directions in which enforcement is held against the site file that was applied last.
#[must_use]
pub fn held(record: &InterfaceRecord, modes: Modes) -> Vec<Direction> {
    let (Some(site), Some(settled)) = (record.site_modes, record.settled_modes) else { return Vec::new() };
    let is_held = |direction: &Direction| {
        site.of(*direction) == Some(Mode::Audit)
            && settled.of(*direction) != site.of(*direction)
            && modes.of(*direction) == Mode::Enforce
    };
    Direction::ALL.into_iter().filter(is_held).collect()
}

/// What is recorded of an interface that has no pins of this version: those of a reboot ago, or another version's.
pub(in crate::dataplane) fn kept_known(pins: &InterfacePins) -> Result<Option<Known>, DataplaneError> {
    let here = netns::here()?;
    let good = State::of(pins.name()).good().filter(|good| good.is_of(here));
    Ok(good.map(|good| Known { modes: good.modes, settled: good.settled_modes }))
}

/// What counts after a change of mode as the modes that the site file said when it was last applied.
pub(in crate::dataplane) fn settled_by(
    change: ModeChange,
    settled: Option<SaidModes>,
    site: Option<SaidModes>,
) -> Option<SaidModes> {
    let (settled, site) = (settled?, site?);
    Some(SaidModes {
        inbound: if change.inbound { site.inbound } else { settled.inbound },
        outbound: if change.outbound { site.outbound } else { settled.outbound },
    })
}

fn of_direction(direction: Direction, said: &Said, known: Option<&Known>, ending: Ending) -> (Mode, Why) {
    if let Some(asked) = said.asked.of(direction) {
        return (asked, Why::Asked);
    }
    let site = said.site.of(direction);
    let Some(known) = known else {
        return site.map_or((Mode::Audit, Why::Unsaid), |mode| (mode, Why::New));
    };
    let in_force = known.modes.of(direction);
    // If the earlier modes of the file are unknown, they cannot have changed, so the active mode stays.
    match (site, known.settled) {
        (Some(mode), Some(settled)) if settled.of(direction) != site => {
            if in_force == Mode::Enforce && mode == Mode::Audit && ending == Ending::Held {
                (in_force, Why::Held)
            } else {
                (mode, Why::Changed)
            }
        }
        _ => (in_force, Why::InForce),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIT: Option<Mode> = Some(Mode::Audit);
    const ENFORCE: Option<Mode> = Some(Mode::Enforce);

    fn both(mode: Option<Mode>) -> SaidModes {
        SaidModes { inbound: mode, outbound: mode }
    }

    fn said(asked: Option<Mode>, site: Option<Mode>) -> Said {
        Said { asked: both(asked), site: both(site), settled: None }
    }

    fn known(mode: Mode, settled: Option<Mode>) -> Known {
        Known { modes: Modes::both(mode), settled: Some(both(settled)) }
    }

    #[track_caller]
    fn check(said: Said, known: Option<Known>, mode: Mode, why: Why) -> Resulting {
        let found = Resulting::of(&said, known.as_ref(), Ending::Allowed);
        assert_eq!((found.modes, found.why), (Modes::both(mode), [why; 2]));
        found
    }

    #[test]
    fn what_is_asked_for_counts_before_all_else() {
        for site in [None, AUDIT, ENFORCE] {
            check(said(AUDIT, site), Some(known(Mode::Enforce, site)), Mode::Audit, Why::Asked);
            check(said(ENFORCE, site), None, Mode::Enforce, Why::Asked);
        }
    }

    #[test]
    fn on_a_new_interface_the_file_counts_and_else_it_is_audit() {
        check(said(None, ENFORCE), None, Mode::Enforce, Why::New);
        check(said(None, AUDIT), None, Mode::Audit, Why::New);
        check(said(None, None), None, Mode::Audit, Why::Unsaid);
    }

    #[test]
    fn a_file_that_says_what_it_said_does_not_undo_a_mode_that_was_set_since() {
        for (set, file) in [(Mode::Enforce, AUDIT), (Mode::Audit, ENFORCE)] {
            check(said(None, file), Some(known(set, file)), set, Why::InForce);
            check(said(None, None), Some(known(set, file)), set, Why::InForce);
            check(said(None, file), Some(Known { settled: None, ..known(set, file) }), set, Why::InForce);
        }
    }

    #[test]
    fn a_file_that_says_another_mode_than_before_counts() {
        check(said(None, ENFORCE), Some(known(Mode::Audit, AUDIT)), Mode::Enforce, Why::Changed);
        check(said(None, ENFORCE), Some(known(Mode::Audit, None)), Mode::Enforce, Why::Changed);
        let ended = check(said(None, AUDIT), Some(known(Mode::Enforce, None)), Mode::Audit, Why::Changed);
        assert_eq!(ended.ended_by_site().collect::<Vec<_>>(), Direction::ALL);
        assert!(ended.check("eth0", Ending::Refused).is_err());
        assert!(ended.check("eth0", Ending::Allowed).is_ok());
        let asked = check(said(AUDIT, AUDIT), Some(known(Mode::Enforce, None)), Mode::Audit, Why::Asked);
        assert!(asked.check("eth0", Ending::Refused).is_ok(), "by name it needs no more");
        let begun = check(said(None, ENFORCE), Some(known(Mode::Audit, None)), Mode::Enforce, Why::Changed);
        assert!(begun.check("eth0", Ending::Refused).is_ok());
    }

    #[test]
    fn directions_are_judged_apart() {
        let site = SaidModes { inbound: AUDIT, outbound: ENFORCE };
        let known = Known { modes: Modes::both(Mode::Enforce), settled: Some(both(ENFORCE)) };
        let found = Resulting::of(&Said { site, ..Said::default() }, Some(&known), Ending::Refused);
        assert_eq!(found.why, [Why::Changed, Why::InForce]);
        assert_eq!(found.ended_by_site().collect::<Vec<_>>(), [Direction::Inbound]);
    }

    #[test]
    fn held_enforcement_goes_on_and_is_asked_about_again() {
        let before = known(Mode::Enforce, ENFORCE);
        let found = Resulting::of(&said(None, AUDIT), Some(&before), Ending::Held);
        assert_eq!((found.modes, found.why), (Modes::both(Mode::Enforce), [Why::Held; 2]));
        assert_eq!(found.ends().count(), 0);
        let next = Known { modes: found.modes, settled: Some(found.settled) };
        check(said(None, AUDIT), Some(next), Mode::Audit, Why::Changed);
        // What begins enforcement is not held.
        let found = Resulting::of(&said(None, ENFORCE), Some(&known(Mode::Audit, AUDIT)), Ending::Held);
        assert_eq!(found.why, [Why::Changed; 2]);
    }
}
