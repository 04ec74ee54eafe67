//! Lines about judgements, for the diagnosis of the programs themselves (`--bpf-log`).
//!
//! Unless asked for, [`Config::LOG`] is off, and the verifier removes everything that stands behind the question. The features are
//! in a register already; `AYA_LOG_LEVEL`, which aya asks for itself, stands elsewhere and would be read for every packet.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::{debug, trace};
use enforcer_common::Direction;
use enforcer_common::decide::Judgement;
use enforcer_common::layout::Config;
use enforcer_common::tables::Tables as _;

use crate::maps::Maps;

/// Tells of a judgement: a refusal at `debug`, everything else at `trace`.
///
/// The words are numbers, which whoever reads them knows by name: direction, [`Outcome`](enforcer_common::outcome::Outcome),
/// whether the packet goes on, and bytes.
#[inline(always)]
pub(crate) fn tell(ctx: &impl EbpfContext, maps: &Maps, direction: Direction, judgement: &Judgement, length: u32) {
    if !maps.has(Config::LOG) {
        return;
    }
    let (outcome, goes_on) = (judgement.outcome.word(), u32::from(judgement.goes_on()));
    if judgement.outcome.passes() {
        trace!(ctx, "{} {} {} {}", direction as u32, outcome, goes_on, length);
    } else {
        debug!(ctx, "{} {} {} {}", direction as u32, outcome, goes_on, length);
    }
}
