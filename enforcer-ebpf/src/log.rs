//! Lines about judgements, for the diagnosis of the programs themselves (`--bpf-log`).
//!
//! Unless asked for, `AYA_LOG_LEVEL` is 0, and the verifier removes everything that stands behind the comparison with it.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::{debug, trace};
use enforcer_common::Direction;
use enforcer_common::decide::Judgement;

/// Tells of a judgement: a refusal at `debug`, everything else at `trace`.
///
/// The words are numbers, which whoever reads them knows by name: direction, [`Outcome`](enforcer_common::outcome::Outcome),
/// whether the packet goes on, and bytes.
#[inline(always)]
pub(crate) fn tell(ctx: &impl EbpfContext, direction: Direction, judgement: &Judgement, length: u32) {
    let (outcome, goes_on) = (judgement.outcome.word(), u32::from(judgement.goes_on));
    if judgement.outcome.passes() {
        trace!(ctx, "{} {} {} {}", direction as u32, outcome, goes_on, length);
    } else {
        debug!(ctx, "{} {} {} {}", direction as u32, outcome, goes_on, length);
    }
}
