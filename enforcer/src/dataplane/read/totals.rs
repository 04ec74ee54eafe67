//! Saves the counters of the kernel to the file of totals, and adds saved totals to them.

use std::{fs, thread};

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::read::counted::{Counted, InterfaceCounters, ReasonCount};
use crate::host::netns;
use crate::state::totals::{Files, Ledger, Life, Owner, Read, RuleTotal, Totals, reason_key, rule_key};

/// The number of totals files that are written at the same time.
const SAVES_AT_ONCE: usize = 8;

/// Saves the totals of these interfaces. What it says is worth telling: a file that could not be believed.
///
/// # Errors
/// When the counters cannot be read, or the file cannot be written; then what was saved before is as it was.
pub fn save_totals(protected: &[Protected]) -> Result<Vec<String>, DataplaneError> {
    let _lock = lock()?;
    let mut said = Vec::new();
    for one in protected {
        said.extend(save(one)?.map(|sentence| format!("{}: {sentence}", one.interface)));
    }
    Ok(said)
}

/// The same by whoever holds the lock, with what went wrong, by interface: no policy is refused for that.
pub(in crate::dataplane) fn save_each<'a>(protected: impl Iterator<Item = &'a Protected>) -> Vec<(String, String)> {
    let save = |one: &Protected| match save(one) {
        Ok(said) => Some((one.interface.clone(), said?)),
        Err(error) => Some((one.interface.clone(), format!("{:#}", anyhow::Error::from(error)))),
    };
    // Mostly waiting for the disk: side by side.
    let side_by_side = |some: &[&Protected]| {
        thread::scope(|scope| {
            let saves: Vec<_> = some.iter().map(|one| scope.spawn(|| save(one))).collect();
            let failed = |one: &Protected| (one.interface.clone(), "the totals were not saved".to_owned());
            let said = saves.into_iter().zip(some).map(|(save, one)| save.join().unwrap_or_else(|_| Some(failed(one))));
            said.flatten().collect::<Vec<_>>()
        })
    };
    protected.collect::<Vec<_>>().chunks(SAVES_AT_ONCE).flat_map(side_by_side).collect()
}

/// The same for one interface, likewise.
pub(in crate::dataplane) fn save(protected: &Protected) -> Result<Option<String>, DataplaneError> {
    let context = || format!("cannot save the totals of {}", protected.interface);
    let counted = Counted::read(protected)?.ledger();
    let files = Files::of(protected.pins.name());
    let (known, said) = match files.read() {
        Read::Nothing => (None, None),
        Read::Totals(totals) => (Some(totals), None),
        Read::Bad(bad) => {
            // A folder that cannot be trusted is not written to either: that is an error below.
            let kept = match files.put_aside() {
                Ok(()) => format!("it is kept as {}", files.aside().display()),
                Err(error) => format!("and it cannot be put aside: {error}"),
            };
            let sentence = format!(
                "the totals in {} cannot be used ({}): {kept}, and totals count from {}",
                bad.path.display(),
                bad.why,
                protected.record.since
            );
            (None, Some(sentence))
        }
    };
    let next = Totals::next(known.as_deref(), owner(protected)?, life(protected)?, counted);
    files.write(&next).with_context(context)?;
    Ok(said)
}

/// Adds the saved totals.
pub(in crate::dataplane) fn add_earlier(
    counters: &mut InterfaceCounters,
    counted: &Counted,
    protected: &Protected,
) -> Result<(), DataplaneError> {
    let totals = match Files::of(protected.pins.name()).read() {
        Read::Nothing => return Ok(()),
        Read::Totals(totals) => totals,
        Read::Bad(bad) => {
            counters.warning = Some(format!(
                "the totals in {} cannot be used ({}): what was counted before {} is not in these numbers",
                bad.path.display(),
                bad.why,
                protected.record.since
            ));
            return Ok(());
        }
    };
    if !totals.of.is_same(&owner(protected)?) {
        return Ok(());
    }
    let Ledger { rules, mut reasons } = totals.earlier(&life(protected)?, &counted.ledger());
    counters.since = counters.since.min(totals.since);
    for one in &mut counters.rules {
        let Some(earlier) = rules.get(&rule_key(one.rule.direction, one.rule.action, &one.rule.id)) else { continue };
        let now = RuleTotal { count: one.count, last_hit: one.last_hit, since: one.rule.since };
        let RuleTotal { count, last_hit, since } = now.plus(earlier);
        (one.count, one.last_hit, one.rule.since) = (count, last_hit, since);
    }
    for one in &mut counters.reasons {
        if let Some(earlier) = reasons.remove(&reason_key(one.direction, one.reason, one.would_drop)) {
            one.count = one.count.plus(earlier);
        }
    }
    // What was met before and not since.
    for (direction, reason, would_drop) in crate::dataplane::read::counted::outcomes() {
        if let Some(count) = reasons.remove(&reason_key(direction, reason, would_drop)) {
            counters.reasons.push(ReasonCount { reason, direction, would_drop, count });
        }
    }
    counters.reasons.sort_by_key(|one| (one.direction, one.reason, one.would_drop));
    Ok(())
}

fn owner(protected: &Protected) -> Result<Owner, DataplaneError> {
    let is_machine = netns::here()?.is_machine;
    Ok(Owner { interface: protected.interface.clone(), netns: protected.record.netns, is_machine })
}

fn life(protected: &Protected) -> Result<Life, DataplaneError> {
    const BOOT: &str = "/proc/sys/kernel/random/boot_id";
    let boot = fs::read_to_string(BOOT).with_context(|| format!("cannot read {BOOT}"))?;
    Ok(Life { boot: boot.trim().to_owned(), since: protected.record.since })
}
