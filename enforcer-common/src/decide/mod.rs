//! The decision: one function for each direction, the same code in the kernel and on the host.
//!
//! [`inbound`] and [`outbound`] read, decide, count and remember, and say whether the packet goes on. What the policy says
//! ([`Judgement::outcome`]) does not depend on the mode; whether it is carried out does.

mod flows;
mod inbound;
mod outbound;

use crate::frame::Frame;
use crate::layout::{Config, Counter};
use crate::outcome::{Outcome, Seen};
use crate::packet::{Address, Fragment, Link, Network};
use crate::tables::Tables;
use crate::{Direction, Entry, EntryKind, Reason, ServiceIndex};

/// What was decided about a packet, and whether it goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Judgement {
    /// What the policy says.
    pub outcome: Outcome,
    /// Whether the packet goes on: permitted, or refused in audit.
    pub goes_on: bool,
}

/// Judges a packet towards the host.
#[inline(always)]
pub fn inbound<F: Frame, T: Tables>(frame: &F, tables: &T, segments: u32) -> Judgement {
    let mut seen = Seen::default();
    frame.keep_in_memory(&mut seen);
    let (Ok(outcome) | Err(outcome)) = inbound::judge(frame, tables, &mut seen);
    let outcome = outcome.map(|word| frame.blur(word));
    let goes_on = settle(frame, tables, Direction::Inbound, outcome, &mut seen, size(frame, segments));
    if goes_on && !outcome.passes() && seen.has(Seen::CONVERSATION) {
        // The host will answer what enforcement would have dropped: that answer must not make a flow.
        flows::remember_denial(tables, &seen);
    }
    Judgement { outcome, goes_on }
}

/// Judges a packet from the host, and tracks the conversation that it belongs to.
#[inline(always)]
pub fn outbound<F: Frame, T: Tables>(frame: &F, tables: &T, segments: u32) -> Judgement {
    let mut seen = Seen::default();
    frame.keep_in_memory(&mut seen);
    let (Ok(outcome) | Err(outcome)) = outbound::judge(frame, tables, &mut seen);
    let outcome = outcome.map(|word| frame.blur(word));
    let goes_on = settle(frame, tables, Direction::Outbound, outcome, &mut seen, size(frame, segments));
    if goes_on && seen.has(Seen::CONVERSATION) && !outcome.is(Reason::Forwarded) {
        blur(frame, &mut seen);
        flows::track(tables, &seen);
    }
    Judgement { outcome, goes_on }
}

/// All paths through the judgement meet before this. See [`Frame::blur`].
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "each number goes back to where it came from")]
fn blur(frame: &impl Frame, seen: &mut Seen) {
    seen.family = frame.blur(u32::from(seen.family)) as u8;
    seen.protocol = frame.blur(u32::from(seen.protocol)) as u8;
    seen.asked = frame.blur(u32::from(seen.asked)) as u16;
    seen.remote_port = frame.blur(u32::from(seen.remote_port)) as u16;
    seen.local_port = frame.blur(u32::from(seen.local_port)) as u16;
    seen.flags = frame.blur(seen.flags);
    // Written out: a loop over the words would not be unrolled.
    seen.remote = blur_words(frame, seen.remote);
    seen.local = blur_words(frame, seen.local);
}

#[inline(always)]
fn blur_words(frame: &impl Frame, [a, b, c, d]: [u32; 4]) -> [u32; 4] {
    [frame.blur(a), frame.blur(b), frame.blur(c), frame.blur(d)]
}

#[inline(always)]
fn size(frame: &impl Frame, segments: u32) -> Counter {
    Counter { packets: u64::from(segments), bytes: frame.length() as u64 }
}

/// Counts, and decides whether what was refused is dropped. Says whether the packet goes on.
#[inline(always)]
fn settle<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    direction: Direction,
    outcome: Outcome,
    seen: &mut Seen,
    size: Counter,
) -> bool {
    if outcome.passes() {
        tables.count(direction, false, outcome, size);
        if let Some(rule) = outcome.rule() {
            tables.count_rule(rule, size);
        }
        return true;
    }
    blur(frame, seen);
    let enforced = !outcome.is_audited() && tables.enforces(direction);
    tables.count(direction, !enforced, outcome, size);
    if let Some(rule) = outcome.rule()
        && !outcome.is(Reason::Peer)
        && !outcome.is(Reason::NoConnection)
    {
        // A deny or internal rule counts what it refused; a permit counts only what it permitted.
        tables.count_rule(rule, size);
    }
    tables.report(direction, enforced, outcome, seen, size);
    !enforced
}

/// What the policy says of a service and a remote address.
#[inline(always)]
fn look_up<A: Address, T: Tables>(tables: &T, direction: Direction, index: ServiceIndex, remote: A) -> Entry {
    let entry = tables.service(direction, index);
    let scoped = match direction {
        Direction::Inbound => Config::SCOPED_IN,
        Direction::Outbound => Config::SCOPED_OUT,
    };
    if entry.kind() as u8 == EntryKind::Scoped as u8 && tables.config().has(scoped) {
        return tables.scoped(direction, entry.number(), remote.column(tables, direction));
    }
    entry
}

/// The outcome of an entry, where nothing but a rule permits.
#[inline(always)]
fn permit_or_refuse(entry: Entry, unlisted: Reason) -> Outcome {
    if entry.kind() as u8 == EntryKind::Permit as u8 {
        return Outcome::by_rule(Reason::Rule, entry.number(), false);
    }
    refuse(entry, unlisted)
}

/// The outcome of an entry that does not permit.
#[inline(always)]
fn refuse(entry: Entry, unlisted: Reason) -> Outcome {
    let audit = entry.has(Entry::AUDIT);
    match entry.kind() {
        EntryKind::Deny => Outcome::by_rule(Reason::Denied, entry.number(), audit),
        EntryKind::Internal => Outcome::by_rule(Reason::Internal, entry.number(), audit),
        EntryKind::Peer => Outcome::by_rule(Reason::Peer, entry.number(), audit),
        // A row of the matrix is never a row again, and what permits is not refused. Both fail closed.
        EntryKind::None | EntryKind::Permit | EntryKind::Scoped => Outcome::new(unlisted),
    }
}

/// Judges a frame that is neither IPv4 nor IPv6, in either direction.
#[inline(always)]
fn judge_link<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    direction: Direction,
    link: &Link,
    seen: &mut Seen,
) -> Outcome {
    seen.asked = link.ethertype;
    if let Some(outcome) = crate::packet::link_control(frame, link) {
        return outcome;
    }
    let entry = tables.service(direction, ServiceIndex::ethertype(link.ethertype));
    permit_or_refuse(entry, Reason::Ethertype)
}

/// Later fragments follow the first (`fragment`); nothing else of them can be judged.
#[inline(always)]
fn judge_later_fragment<A: Address, T: Tables>(tables: &T, network: &Network<A>) -> Outcome {
    let Fragment { id, offset, protocol, .. } = network.fragment;
    if protocol == crate::packet::TCP && offset == 1 {
        // RFC 3128: it would overwrite the flags of the first.
        return Outcome::new(Reason::TinyFragment);
    }
    let Some(state) = A::fragment(tables, network.source, network.destination, id, protocol) else {
        return Outcome::new(Reason::FragmentDrop);
    };
    let lifetime =
        u64::from(crate::layout::FragmentState::SECONDS) * u64::from(crate::layout::load(&tables.config().hz));
    if tables.now().wrapping_sub(state.last) > lifetime {
        return Outcome::new(Reason::FragmentDrop);
    }
    match state.verdict {
        crate::layout::FragmentState::PASSED => Outcome::new(Reason::FragmentPass),
        crate::layout::FragmentState::AUDITED => Outcome::audited(Reason::FragmentDrop),
        _ => Outcome::new(Reason::FragmentDrop),
    }
}

/// Remembers what became of a first fragment. A refusal is written only over a permission: a flood of refused first fragments
/// takes no room.
#[inline(always)]
fn remember_first_fragment<A: Address, T: Tables>(tables: &T, network: &Network<A>, outcome: Outcome) {
    use crate::layout::FragmentState;
    if !network.fragment.is_first() {
        return;
    }
    let Fragment { id, protocol, .. } = network.fragment;
    let verdict = if outcome.passes() {
        FragmentState::PASSED
    } else if outcome.is_audited() {
        FragmentState::AUDITED
    } else {
        if A::fragment(tables, network.source, network.destination, id, protocol).is_none() {
            return;
        }
        FragmentState::REFUSED
    };
    let state = FragmentState { last: tables.now(), verdict };
    A::remember_fragment(tables, network.source, network.destination, id, protocol, state);
}
