//! Reading counters: what passed, what was dropped, what would have been, by rule and by reason.

use enforcer_common::Verdict;

use super::totals;
use crate::dataplane::error::DataplaneError;
use crate::dataplane::mode::active::{self, modes};
use crate::dataplane::pin::protected::{Protected, policy};
use crate::dataplane::read::counted::{Counted, InterfaceCounters, read_rules};
use crate::dataplane::read::judging::judged_of;

/// Reads the counters of an interface, with what was saved of earlier times.
///
/// # Errors
/// When a map cannot be read.
pub fn counters(protected: &Protected) -> Result<InterfaceCounters, DataplaneError> {
    Ok(counters_and_judged(protected)?.0)
}

/// The same, and how many packets the inbound program has counted since it was loaded, earlier totals left out.
pub(super) fn counters_and_judged(protected: &Protected) -> Result<(InterfaceCounters, u64), DataplaneError> {
    let (_reading, protected) = &active::now(protected)?;
    let Protected { interface, pins, record } = protected;
    let policy = policy(record)?;
    let counted = Counted::read(protected)?;
    let judged = judged_of(&counted);
    let mut counters = InterfaceCounters {
        interface: interface.clone(),
        modes: modes(pins)?,
        since: record.since,
        verdicts: Default::default(),
        rules: read_rules(&counted.slots, record, policy),
        reasons: counted.reasons.clone(),
        warning: None,
    };
    totals::add_earlier(&mut counters, &counted, protected)?;
    for counted in &counters.reasons {
        let totals = &mut counters.verdicts[counted.direction as usize];
        let total = match (counted.reason.verdict(), counted.would_drop) {
            (Verdict::Pass, _) => &mut totals.pass,
            (Verdict::Drop, false) => &mut totals.drop,
            (Verdict::Drop, true) => &mut totals.would_drop,
        };
        *total = total.plus(counted.count);
    }
    Ok((counters, judged))
}
