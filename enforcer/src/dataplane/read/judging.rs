//! Checks that an inbound program sees the packets of its interface, by comparing two counts: packets received, as the driver counts
//! them, and packets judged, as the program counts them.
//!
//! The two are never equal: a card may consume frames itself (LLDP, pause frames), and a driver may update its count once a second, or
//! leave out packets that XDP drops. So the only alarm is an interface that receives packets long after the program counted its last one.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use enforcer_common::Direction;

use super::counted::Counted;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::kinds::AttachMode;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::{InterfaceRecord, Start};
use crate::host::links::{Link, links};
use crate::policy::modes::Protects;

/// Whether a program judges packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judging {
    /// It counted packets since the last look.
    Yes,
    /// Unknown: too few packets were received.
    Unknown,
    /// The interface received this many packets, and the program counted none of them.
    No(u64),
}

/// The counts of an interface at a moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sample {
    /// Packets that the interface has received.
    pub received: u64,
    /// Packets that the inbound program has counted.
    pub judged: u64,
}

/// How long to watch, and how many packets are enough to be sure.
#[derive(Clone, Copy, Debug)]
pub struct Caution {
    /// How much later than the program a driver may count a packet.
    lag: Duration,
    /// Packets received after `lag` and not judged.
    enough: u64,
}

impl Caution {
    /// For repeated checks.
    pub const LASTING: Self = Self { lag: Duration::from_secs(2), enough: 16 };
    /// For a check of a few seconds.
    const MOMENT: Self = Self { lag: Duration::from_millis(1200), enough: 4 };
}

/// Fewer than `enough` packets in this time are taken for frames that the card consumes.
const SLOW: Duration = Duration::from_secs(60);

/// Packets received since `apply` that are enough for an alarm by the counts alone: their times are unknown.
const SINCE_APPLY: u64 = 256;

/// Follows the counts of one interface.
#[derive(Clone, Debug)]
pub struct Watch {
    caution: Caution,
    look: Option<Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    /// The counts when the program had counted so many first.
    first: Sample,
    at: Instant,
    /// What the interface had received when the driver had caught up.
    base: Option<(u64, Instant)>,
    is_blind: bool,
}

impl Watch {
    /// Begins anew.
    #[must_use]
    pub const fn new(caution: Caution) -> Self {
        Self { caution, look: None }
    }

    /// One more look.
    pub fn look(&mut self, now: Sample, at: Instant) -> Judging {
        let Some(look) =
            self.look.as_mut().filter(|look| look.first.judged == now.judged && look.first.received <= now.received)
        else {
            let has_judged = self.look.is_some_and(|look| look.first.judged != now.judged);
            self.look = Some(Look { first: now, at, base: None, is_blind: false });
            return if has_judged { Judging::Yes } else { Judging::Unknown };
        };
        let Some((base, since)) = look.base else {
            if at.duration_since(look.at) >= self.caution.lag {
                look.base = Some((now.received, at));
            }
            return Judging::Unknown;
        };
        let (came, over) = (now.received.saturating_sub(base), at.duration_since(since));
        let enough = self.caution.enough.max(self.caution.enough * over.as_secs() / SLOW.as_secs());
        look.is_blind |= came >= enough;
        if look.is_blind {
            return Judging::No(now.received - look.first.received);
        }
        if over >= SLOW {
            look.base = Some((now.received, at));
        }
        Judging::Unknown
    }

    /// Whether packets have come in that nobody has judged: it is worth to look again soon.
    #[must_use]
    pub fn is_suspicious(&self, now: Sample) -> bool {
        self.look.is_some_and(|look| look.first.judged == now.judged && look.first.received < now.received)
    }
}

/// The counts of an interface now; `None`: it is not there, or no guest's port is compared.
///
/// # Errors
/// When the counters cannot be read.
pub fn sample(protected: &Protected, links: &[Link]) -> Result<Option<Sample>, DataplaneError> {
    let record = &protected.record;
    // What a guest receives leaves by its port.
    let link = links.iter().find(|link| link.index == record.index && record.protects == Protects::Host);
    link.map(|link| Ok(Sample { received: link.received, judged: judged(protected)? })).transpose()
}

/// The same of what has been read already.
pub(super) fn sample_of(record: &InterfaceRecord, links: &[Link], judged: u64) -> Option<Sample> {
    let link = links.iter().find(|link| link.index == record.index && record.protects == Protects::Host);
    link.map(|link| Sample { received: link.received, judged })
}

/// Packets that the inbound program has counted.
pub(in crate::dataplane) fn judged(protected: &Protected) -> Result<u64, DataplaneError> {
    Ok(judged_of(&Counted::read(protected)?))
}

/// The same of what has been read already.
pub(super) fn judged_of(counted: &Counted) -> u64 {
    let inbound = counted.reasons.iter().filter(|one| one.direction == Direction::Inbound);
    inbound.map(|one| one.count.packets).sum()
}

/// How an interface is now; `None` where that cannot be read, which is no reason to fail.
pub(in crate::dataplane) fn start(pins: &InterfacePins, record: &InterfaceRecord) -> Option<Start> {
    if record.protects == Protects::Guest {
        // No guest's port is compared.
        return None;
    }
    let links = links().ok()?;
    let link = links.iter().find(|link| link.index == record.index)?;
    let protected = Protected { interface: record.interface.clone(), pins: pins.clone(), record: record.clone() };
    Some(Start { received: link.received, judged: judged(&protected).ok()?, mtu: link.mtu })
}

/// Whether the program has judged since it was applied, by the counts alone.
pub(super) fn since_apply(record: &InterfaceRecord, now: Sample) -> Judging {
    match record.start {
        Some(Start { judged, .. }) if judged != now.judged => Judging::Yes,
        Some(Start { received, .. }) if now.received >= received.saturating_add(SINCE_APPLY) => {
            Judging::No(now.received - received)
        }
        _ => Judging::Unknown,
    }
}

/// That nobody judges, as a sentence.
#[must_use]
pub fn not_judging(record: &InterfaceRecord, received: u64) -> String {
    let mode = record.inbound.attach_mode;
    let help = match mode {
        AttachMode::Native => "the driver does not run it; `enforcer apply --hook tc` attaches the program at tc",
        AttachMode::Generic | AttachMode::Tcx | AttachMode::Clsact => {
            "another program may drop or redirect them first; `enforcer preflight` lists the attached programs"
        }
    };
    format!(
        "nothing is judged: the interface received {received} packets, and the inbound program ({}) counted none of them; {help}",
        mode.name()
    )
}

/// How long [`watch_native`] looks.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Where nothing comes in.
    pub idle: Duration,
    /// Where packets come in and none is judged.
    pub most: Duration,
}

/// Looks for a moment whether the native programs among these judge, and calls `poke` meanwhile, which may make somebody answer. Programs
/// at other hooks are not waited for: no driver can forget them.
///
/// # Errors
/// When the interfaces or counters cannot be read.
pub fn watch_native(
    protected: &[Protected],
    patience: Patience,
    mut poke: impl FnMut(&Protected),
) -> Result<BTreeMap<String, Judging>, DataplaneError> {
    const FIRST_ROUND: Duration = Duration::from_millis(5);
    const ROUND: Duration = Duration::from_millis(40);
    let mut round = FIRST_ROUND;
    let begin = Instant::now();
    let mut watched: BTreeMap<&str, (&Protected, Watch)> = protected
        .iter()
        .filter(|one| one.record.inbound.attach_mode == AttachMode::Native)
        .map(|one| (one.interface.as_str(), (one, Watch::new(Caution::MOMENT))))
        .collect();
    let mut found = BTreeMap::new();
    while !watched.is_empty() {
        let links = links().with_context(|| "cannot look at the interfaces".to_owned())?;
        let (at, mut done) = (Instant::now(), Vec::new());
        for (name, (one, watch)) in &mut watched {
            let Some(now) = sample(one, &links)? else {
                done.push(((*name).to_owned(), Judging::Unknown));
                continue;
            };
            let judging = watch.look(now, at);
            let patience = if watch.is_suspicious(now) { patience.most } else { patience.idle };
            if judging != Judging::Unknown || at.duration_since(begin) >= patience {
                done.push(((*name).to_owned(), judging));
            } else {
                poke(one);
            }
        }
        for (name, judging) in done {
            watched.remove(name.as_str());
            found.insert(name, judging);
        }
        if !watched.is_empty() {
            thread::sleep(round);
            round = ROUND.min(2 * round);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks at these counts, received and judged, at these seconds.
    fn looks(samples: &[(u64, u64, u64)]) -> Vec<Judging> {
        let begin = Instant::now();
        let mut watch = Watch::new(Caution::LASTING);
        let look = |(at, received, judged): &(u64, u64, u64)| {
            watch.look(Sample { received: *received, judged: *judged }, begin + SECOND * u32::try_from(*at).unwrap())
        };
        samples.iter().map(look).collect()
    }

    #[test]
    fn a_program_that_no_longer_counts_while_packets_come_in_is_blind_until_it_counts_again() {
        use Judging::{No, Unknown, Yes};
        let found = looks(&[(0, 10, 10), (5, 50, 50), (10, 90, 50), (15, 130, 50), (20, 130, 50), (25, 131, 51)]);
        assert_eq!(found, [Unknown, Yes, Unknown, No(80), No(80), Yes]);
    }

    #[test]
    fn a_driver_that_counts_late_or_begins_at_zero_again_is_not_blamed() {
        use Judging::{Unknown, Yes};
        // Five thousand packets were judged before the driver had counted them, and then nothing came.
        let found = looks(&[(0, 10, 10), (5, 20, 5000), (10, 5000, 5000), (15, 5000, 5000)]);
        assert_eq!(found, [Unknown, Yes, Unknown, Unknown]);
        let found = looks(&[(0, 10, 10), (5, 20, 5000), (6, 20, 5000), (8, 5000, 5000), (13, 5000, 5000)]);
        assert_eq!(found, [Unknown, Yes, Unknown, Unknown, Unknown], "a second is too soon to be sure");
        let found = looks(&[(0, 1000, 10), (5, 5, 10), (10, 20, 10), (15, 25, 10)]);
        assert_eq!(found, [Unknown; 4]);
    }

    #[test]
    fn frames_that_a_card_keeps_to_itself_are_no_alarm_however_long_it_lasts() {
        // LLDP and pause frames on a silent port: ten a minute, whether one looks every minute or every five.
        for every in [1, 5] {
            let samples: Vec<_> = (0..600).map(|look| (look * every * 60, look * every * 10, 7)).collect();
            assert!(looks(&samples).iter().all(|judging| *judging == Judging::Unknown), "{every}");
        }
    }

    #[test]
    fn counts_that_grow_in_step_are_fine_whatever_their_difference_is() {
        // A driver that does not count what XDP drops, and one that counts twice.
        for (received, judged) in [(1, 9), (2, 1)] {
            let samples: Vec<_> = (0..20).map(|at| (at * 5, at * received * 100, at * judged * 100)).collect();
            assert!(looks(&samples)[1..].iter().all(|judging| *judging == Judging::Yes));
        }
    }
}
