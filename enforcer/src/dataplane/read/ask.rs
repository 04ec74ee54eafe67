//! Asking the programs about one frame, by a test run of a copy of them that shares the policy in force.

use aya::maps::PerCpuArray;
use aya::programs::{SchedClassifier, Xdp};
use aya::{Ebpf, TestRun as _, TestRunOptions};
use enforcer_common::layout::{Direct, RULE_SLOTS, RuleCounter, map, reason_index};
use enforcer_common::{Direction, Reason};

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::programs::{load, program_name};
use crate::dataplane::kinds::Hook;
use crate::dataplane::load::fill::write_words;
use crate::dataplane::load::object::{Object, copy};
use crate::dataplane::pin::protected::{Protected, policy};
use crate::dataplane::read::counted::reasons;

/// The answer of the program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The reason.
    pub reason: Reason,
    /// Id of the deciding rule; `None`: no rule decided.
    pub rule: Option<String>,
    /// Whether the refusing rule has its own mode `audit`.
    pub audited: bool,
}

/// Asks what the programs of an interface would say of a frame if it were the first of its conversation.
///
/// # Errors
/// When the copy cannot be loaded, or the kernel refuses to run it on this frame.
pub fn ask(protected: &Protected, direction: Direction, frame: &[u8]) -> Result<Answer, DataplaneError> {
    let context = || format!("cannot ask the program of {}", protected.interface);
    let missing =
        || DataplaneError::NotProtected(format!("{} has no {} program", protected.interface, direction.name()));
    let hook = protected.record.direction(direction).ok_or_else(missing)?.hook;
    let mut object = copy(protected)?;
    load(&mut object, direction, hook)?;
    // Both directions enforce, and no deadline ends that.
    write_words(object.direct.map(Direct::Control), &[3, 0, 0])?;
    let program = object.ebpf.program_mut(program_name(direction, hook)).ok_or_else(missing)?;
    let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
    match hook {
        Hook::Xdp => <&mut Xdp>::try_from(program).with_context(context)?.test_run(options),
        Hook::Tc => <&mut SchedClassifier>::try_from(program).with_context(context)?.test_run(options),
    }
    .with_context(context)?;
    let slot = counted_slot(&object.ebpf).with_context(context)?;
    let rule = match slot {
        Some(slot) => policy(&protected.record)?.rules.into_iter().find(|rule| rule.slot == slot).map(|rule| rule.id),
        None => None,
    };
    let counted = counted_reason(&object, direction)?;
    // What a rule permits is counted under the rule alone.
    let (reason, audited) = counted.unwrap_or((Reason::Rule, false));
    Ok(Answer { reason, rule, audited })
}

fn counted_reason(object: &Object, direction: Direction) -> Result<Option<(Reason, bool)>, DataplaneError> {
    let counts = reasons(object.direct.map(Direct::Reasons))?;
    let is_counted = |(reason, audited)| counts[reason_index(direction, audited, reason) as usize].packets != 0;
    let all = Reason::ALL.iter().flat_map(|reason| [(*reason, false), (*reason, true)]);
    Ok(all.into_iter().find(|one| is_counted(*one)))
}

fn counted_slot(object: &Ebpf) -> Result<Option<u16>, aya::maps::MapError> {
    let Some(map) = object.map(map::RULES) else { return Ok(None) };
    let counters: PerCpuArray<_, RuleCounter> = map.try_into()?;
    for slot in 0..u16::try_from(RULE_SLOTS).unwrap_or(u16::MAX) {
        if counters.get(&u32::from(slot), 0)?.iter().any(|rule| rule.counter.packets != 0) {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}
