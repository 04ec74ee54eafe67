//! Later fragments, which have no ports: what became of the first is remembered for them.

use core::hint::cold_path;

use crate::Reason;
use crate::frame::Frame;
use crate::layout::{FragmentState, load};
use crate::outcome::Outcome;
use crate::packet::{self, Address, Fragment, Network};
use crate::tables::Tables;

/// Later fragments follow the first (`fragment`); nothing else of them can be judged.
#[inline(always)]
pub(super) fn judge_later_fragment<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
) -> Outcome {
    let Fragment { id, offset, protocol, .. } = network.fragment;
    if protocol == packet::TCP && offset == 1 {
        // RFC 3128: it would overwrite the flags of the first.
        return Outcome::new(Reason::TinyFragment);
    }
    let Some(state) = A::fragment(tables, network.source, network.destination(frame), id, protocol) else {
        return Outcome::new(Reason::FragmentDrop);
    };
    let lifetime = u64::from(FragmentState::SECONDS) * u64::from(load(&tables.config().hz));
    if tables.now().wrapping_sub(state.last) > lifetime {
        return Outcome::new(Reason::FragmentDrop);
    }
    match state.verdict {
        FragmentState::PASSED => Outcome::new(Reason::FragmentPass),
        FragmentState::AUDITED => Outcome::audited(Reason::FragmentDrop),
        _ => Outcome::new(Reason::FragmentDrop),
    }
}

/// Remembers what became of a first fragment. A refusal is written only over a permission: a flood of refused first fragments
/// takes no room.
#[inline(always)]
pub(super) fn remember_first_fragment<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    outcome: Outcome,
) {
    if !network.fragment.is_first() {
        return;
    }
    cold_path();
    let outcome = outcome.map(|word| frame.blur(word));
    let Fragment { id, protocol, .. } = network.fragment;
    let verdict = if outcome.passes() {
        FragmentState::PASSED
    } else if outcome.is_audited() {
        FragmentState::AUDITED
    } else {
        if A::fragment(tables, network.source, network.destination(frame), id, protocol).is_none() {
            return;
        }
        FragmentState::REFUSED
    };
    let state = FragmentState { last: tables.now(), verdict };
    A::remember_fragment(tables, network.source, network.destination(frame), id, protocol, state);
}
