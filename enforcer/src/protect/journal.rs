//! Writing the history: what the commands that change something have changed, and totals.

use jiff::Timestamp;

use crate::dataplane::{
    DataplaneError, DeadlineKind, DeadlineOutcome, Protected, counters, modes_in_force, pending, protected,
};
use crate::state::history::{DirectionTotals, Entry, Event, Log, Totals, Until, this_boot};

/// Likewise, without a word to anybody.
///
/// # Errors
/// When the interfaces cannot be read or the history cannot be written.
pub fn record(event: Event, names: &[String]) -> anyhow::Result<()> {
    let entries = protected(names)?.iter().map(|one| entry(event, one)).collect::<Result<Vec<_>, _>>()?;
    if entries.is_empty() {
        return Ok(());
    }
    Ok(Log::default().append(&entries)?)
}

/// Writes down that these interfaces are about to be no longer protected; `None` where that cannot be known.
#[must_use]
pub fn before_detach(names: &[String]) -> Option<Vec<Entry>> {
    let all = protected(names).ok()?;
    let mut entries = all.iter().filter_map(|one| entry(Event::Detached, one).ok()).collect::<Vec<_>>();
    entries.iter_mut().for_each(|entry| (entry.modes, entry.until) = (None, None));
    Some(entries)
}

/// Writes down what the process that waits for a deadline has put back.
///
/// # Errors
/// When the interfaces cannot be read or the history cannot be written.
pub fn record_restored() -> anyhow::Result<()> {
    let known = Log::default().read()?;
    let mut entries = Vec::new();
    for one in &protected(&[])? {
        let outcome = pending(one)?.and_then(|pending| pending.outcome());
        let Some(DeadlineOutcome::Restored(at) | DeadlineOutcome::LeftInAudit(at)) = outcome else { continue };
        let new = Entry { at, ..entry(Event::Restored, one)? };
        if !known.entries.iter().any(|old| (old.at, &old.interface) == (new.at, &new.interface)) {
            entries.push(new);
        }
    }
    Ok(Log::default().append(&entries)?)
}

/// How things stand with an interface.
///
/// # Errors
/// When its maps cannot be read.
pub fn entry(event: Event, protected: &Protected) -> Result<Entry, DataplaneError> {
    let pending = pending(protected)?.filter(crate::dataplane::Pending::is_armed);
    Ok(Entry {
        at: Timestamp::now(),
        event,
        interface: protected.pins.name().to_owned(),
        boot: this_boot(),
        modes: Some(modes_in_force(protected)?),
        until: pending.map(|pending| Until { at: pending.at(), window: pending.kind() == DeadlineKind::Window }),
        policy_hash: Some(protected.record.policy_hash.clone()),
        totals: Some(totals(protected)?),
    })
}

/// What an interface has counted so far.
fn totals(protected: &Protected) -> Result<Totals, DataplaneError> {
    let [inbound, outbound] = counters(protected)?.verdicts.map(DirectionTotals::from);
    Ok(Totals { inbound, outbound })
}
