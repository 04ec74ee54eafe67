//! The counters of rules while a policy replaces another one: which rules keep theirs, and which counters are reset.

use crate::dataplane::error::DataplaneError;
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::pin::bases::Bases;
use crate::dataplane::pin::protected::{Protected, all_protected, policy};
use crate::dataplane::pin::record::{InterfaceRecord, Slot};
use crate::dataplane::pin::slots::{self, Assignment, InForce};
use crate::dataplane::plan::Plan;
use crate::dataplane::read::counted::zero;

/// The rules that are counted on this host before a plan is applied.
pub(super) fn in_force(plan: &Plan<'_>) -> Result<InForce, DataplaneError> {
    let mut found = InForce {
        way_out: match plan.confirm_within {
            Some(_) => "apply it without --confirm-within, so that nothing has to be restored",
            None => {
                "apply this policy to all interfaces in one command, or detach an interface that has another policy"
            }
        },
        ..InForce::default()
    };
    for one in all_protected()? {
        let is_replaced = plan.interfaces.iter().any(|planned| planned.name == one.interface);
        if let Ok(policy) = policy(&one.record) {
            let leaves = is_replaced && plan.confirm_within.is_none();
            if leaves { &mut found.leaving } else { &mut found.staying }.extend(slots::names(&policy));
        }
        // What a deadline may restore.
        let before = Pending::read(&one.pins)?.and_then(|pending| pending.needs_generation());
        if let Some(generation) = before.filter(|_| !is_replaced || plan.confirm_within.is_some())
            && let Ok(policy) = policy(&InterfaceRecord { generation, ..one.record })
        {
            found.staying.extend(slots::names(&policy));
        }
    }
    Ok(found)
}

/// Sets counters that get another rule to zero on the interfaces that are not part of this change. Nothing counts with them there.
pub(super) fn begin_at_zero_elsewhere(plan: &Plan<'_>, assignment: &Assignment) -> Result<(), DataplaneError> {
    let slots: Vec<Slot> = assignment.reused.iter().chain(&assignment.taken_over).copied().collect();
    if slots.is_empty() {
        return Ok(());
    }
    let is_other = |one: &Protected| plan.interfaces.iter().all(|planned| planned.name != one.interface);
    for Protected { pins, record, .. } in all_protected()?.into_iter().filter(is_other) {
        let mut bases = Bases::read(&pins, record.generation)?;
        zero(&pins, &slots, &bases)?;
        bases.forget(&slots);
        bases.write(&pins, record.generation)?;
    }
    Ok(())
}
