//! The decision: one function for each direction, the same code in the kernel and on the host.
//!
//! [`inbound`] and [`outbound`] read, decide, count and remember, and say whether the packet goes on. What the policy says
//! ([`Judgement::outcome`]) does not depend on the mode; whether it is carried out does.

mod claims;
mod denials;
mod entries;
mod flows;
mod fragments;
mod inbound;
mod outbound;
mod see;

use core::hint::cold_path;

use crate::frame::Frame;
use crate::layout::{Config, Counter};
use crate::outcome::Outcome;
use crate::seen::Seen;
use crate::tables::Tables;
use crate::{Direction, Reason};
use see::see;

/// What was decided about a packet, and whether it goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Judgement {
    /// What the policy says.
    pub outcome: Outcome,
    /// 1 where the packet is dropped: refused, and not in audit. Else 0. (A number, because no instruction of BPF makes one of a
    /// comparison.)
    pub dropped: u32,
}

impl Judgement {
    /// Whether the packet goes on: permitted, or refused in audit.
    #[must_use]
    pub const fn goes_on(self) -> bool {
        self.dropped == 0
    }
}

/// Judges a packet towards the host.
#[inline(always)]
pub fn inbound<F: Frame, T: Tables>(frame: &F, tables: &T, segments: u32) -> Judgement {
    let outcome = match inbound::judge(frame, tables) {
        Ok(outcome) => outcome,
        Err(outcome) => {
            cold_path();
            outcome
        }
    };
    if let Some(rule) = outcome.permitting_rule() {
        // Most packets end here.
        tables.count_rule(rule, size(frame, segments));
        return Judgement { outcome, dropped: 0 };
    }
    let mut outcome = outcome.map(|word| frame.blur(word));
    if !outcome.passes() && tables.has(Config::DECRYPTS) && inbound::is_decrypted(frame, tables) {
        cold_path();
        outcome = Outcome::new(Reason::Decrypted);
    }
    if outcome.passes() {
        count_pass(tables, Direction::Inbound, outcome, size(frame, segments));
        return Judgement { outcome, dropped: 0 };
    }
    let size = size(frame, segments);
    // Blurred, because the verifier would go through what follows for each pair of answers.
    let enforced = frame.blur(count_refusal(tables, Direction::Inbound, outcome, size));
    let tells = tables.may_report();
    if tells || enforced == 0 {
        let seen = see(frame, Direction::Inbound);
        if tells {
            tables.report(Direction::Inbound, enforced != 0, outcome, &seen, size);
        }
        if enforced == 0 {
            // The host will answer what enforcement would have dropped: that answer must not make a flow.
            denials::remember(tables, &seen, outcome);
        }
    }
    Judgement { outcome, dropped: enforced }
}

/// Judges a packet from the host, and tracks the conversation that it belongs to.
#[inline(always)]
pub fn outbound<F: Frame, T: Tables>(frame: &F, tables: &T, segments: u32) -> Judgement {
    let (Ok(outcome) | Err(outcome)) = outbound::judge(frame, tables);
    let size = size(frame, segments);
    if outcome.passes() {
        count_pass(tables, Direction::Outbound, outcome, size);
        return Judgement { outcome, dropped: 0 };
    }
    let enforced = count_refusal(tables, Direction::Outbound, outcome, size);
    let tells = tables.may_report();
    if tells || enforced == 0 {
        let seen = see(frame, Direction::Outbound);
        if tells {
            tables.report(Direction::Outbound, enforced != 0, outcome, &seen, size);
        }
        if enforced == 0
            && seen.has(Seen::CONVERSATION)
            && !outbound::is_forged(frame, tables, seen.local)
            && !(tables.has(Config::GUEST) && outcome.is(Reason::Spoofed))
        {
            flows::track(tables, &seen);
        }
    }
    Judgement { outcome, dropped: enforced }
}

#[inline(always)]
fn size(frame: &impl Frame, segments: u32) -> Counter {
    Counter { packets: u64::from(segments), bytes: frame.length() as u64 }
}

/// Counts what is permitted: under its rule, which is the reason, or under another reason.
#[inline(always)]
fn count_pass<T: Tables>(tables: &T, direction: Direction, outcome: Outcome, size: Counter) {
    if let Some(rule) = outcome.permitting_rule() {
        // The sum over the rules is the count of this reason: one counter less for most packets there are.
        tables.count_rule(rule, size);
        return;
    }
    if let Some(rule) = outcome.rule() {
        tables.count_rule(rule, size);
    }
    tables.count(direction, 0, outcome, size);
}

/// Counts what is refused. 1 where it is dropped, else 0.
#[inline(always)]
fn count_refusal<T: Tables>(tables: &T, direction: Direction, outcome: Outcome, size: Counter) -> u32 {
    let enforced = tables.enforces(direction) & !outcome.audited_bit();
    tables.count(direction, 1 - enforced, outcome, size);
    if let Some(rule) = outcome.rule()
        && !outcome.is(Reason::Peer)
        && !outcome.is(Reason::NoConnection)
    {
        // A deny or internal rule counts what it refused; a permit counts only what it permitted.
        tables.count_rule(rule, size);
    }
    enforced
}
