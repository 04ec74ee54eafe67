//! All suggestions as one change: taken together they may close what one of them opens, or open what none does alone.

use std::collections::BTreeSet;

use enforcer_common::Verdict;

use super::additions::Additions;
use super::kinds::{Class, Denied, Flow, Suggestion, SuggestionKind, Unexplained};
use super::policy::Changed;
use super::{Base, Draft};
use crate::judge::explain::Found;

/// A suggestion and what it was made of.
type Finished = (Draft, Suggestion);

/// What holds beside each other.
pub(super) struct Together {
    pub kept: Vec<Finished>,
    /// What does not, and why.
    pub refused: Vec<(Draft, String)>,
    pub additions: Additions,
    /// The policy with what is kept; `None` where that is nothing.
    pub changed: Option<Changed>,
}

/// Tries suggestions together. Where they do not all hold, entries of `allow` come first, because they close nothing, and of
/// the others each that leaves all before it as they are.
pub(super) fn together(base: &Base<'_>, finished: Vec<Finished>) -> Together {
    let mut together =
        Together { kept: Vec::new(), refused: Vec::new(), additions: Additions::default(), changed: None };
    if finished.is_empty() {
        return together;
    }
    let finished = match together.take(base, finished) {
        Ok(()) => return together,
        Err((finished, _)) => finished,
    };
    let (entries, others): (Vec<_>, Vec<_>) =
        finished.into_iter().partition(|(draft, _)| draft.kind == SuggestionKind::Allow);
    let groups = std::iter::once(entries).chain(others.into_iter().map(|one| vec![one]));
    for group in groups.filter(|group| !group.is_empty()) {
        if let Err((group, why)) = together.take(base, group) {
            together.refused.extend(group.into_iter().map(|(draft, _)| {
                let why = format!(
                    "`{}` would permit it alone, but not together with the other suggestions: {why}",
                    draft.name
                );
                (draft, why)
            }));
        }
    }
    together
}

impl Together {
    /// Takes more, if all that is there and all that comes then holds; else gives it back with the reason.
    fn take(&mut self, base: &Base<'_>, more: Vec<Finished>) -> Result<(), (Vec<Finished>, String)> {
        let mut additions = self.additions.clone();
        more.iter().for_each(|(draft, _)| additions.extend(&draft.additions));
        let changed = match base.with(&additions) {
            Ok(changed) => changed,
            Err(why) => return Err((more, why)),
        };
        let flows = self.kept.iter().chain(&more).flat_map(|(draft, _)| &draft.flows);
        let tables = changed.tables();
        let refused = flows.filter_map(|flow| tables.judge(flow)).find(|found| found.reason.verdict() == Verdict::Drop);
        if let Some(found) = refused {
            return Err((more, found.reason.sentence().to_owned()));
        }
        drop(tables);
        self.kept.extend(more);
        self.additions = additions;
        self.changed = Some(changed);
        Ok(())
    }
}

/// Says of flows that no suggestion is for, but that all of them together let pass, that this is so.
pub(super) fn note_permitted(base: &Base<'_>, changed: &Changed, denied: &[Denied], unexplained: &mut [Unexplained]) {
    let (before, after) = (base.tables(), changed.tables());
    let key = |flow: &Flow| (flow.direction, flow.protocol.clone(), flow.port, flow.remote);
    let passes = |flow: &&Denied| {
        let is = |found: Option<Found>, verdict| found.is_some_and(|found| found.reason.verdict() == verdict);
        is(after.judge(flow), Verdict::Pass) && is(before.judge(flow), Verdict::Drop)
    };
    let permitted: BTreeSet<_> = denied.iter().filter(passes).map(|flow| key(&Flow::from(flow))).collect();
    for one in unexplained.iter_mut().filter(|one| one.class != Class::Permitted) {
        if permitted.contains(&key(&one.flow)) {
            one.why.push_str("; a suggestion for other flows would permit it");
        }
    }
}
