//! The decision: one function for each direction, the same code in the kernel and on the host.
//!
//! [`inbound`] and [`outbound`] read, decide, count and remember, and say whether the packet goes on. What the policy says
//! ([`Judgement::outcome`]) does not depend on the mode; whether it is carried out does.

mod flows;
mod inbound;
mod outbound;

use core::hint::cold_path;

use crate::frame::Frame;
use crate::layout::{Config, Counter};
use crate::outcome::{Outcome, Seen};
use crate::packet::{self, Address, Fragment, Link, Network, Segment};
use crate::tables::Tables;
use crate::{Direction, Entry, EntryKind, Reason, ServiceIndex};

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
    let outcome = outcome.map(|word| frame.blur(word));
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
        if enforced == 0 && seen.has(Seen::CONVERSATION) {
            // The host will answer what enforcement would have dropped: that answer must not make a flow.
            flows::remember_denial(tables, &seen);
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
        if enforced == 0 && seen.has(Seen::CONVERSATION) {
            flows::track(tables, &seen);
        }
    }
    Judgement { outcome, dropped: enforced }
}

/// Everything that a packet gives away, judged or not: for the report, the memory and the flows. The judgement itself reads the
/// headers once and keeps nothing of them, because most packets pass and nobody asks.
#[inline(always)]
fn see<F: Frame>(frame: &F, direction: Direction) -> Seen {
    let frame = &frame.afresh();
    let mut seen = Seen::nothing(frame);
    frame.keep_in_memory(&mut seen);
    if let Ok(link) = packet::link(frame) {
        seen.asked = link.ethertype;
        if link.ethertype == packet::IPV4 {
            if let Ok(network) = packet::ipv4(frame, link.at) {
                see_network(frame, &network, direction, &mut seen);
            }
        } else if link.ethertype == packet::IPV6
            && let Ok(network) = packet::ipv6(frame, link.at)
        {
            seen = Seen::of(frame, &network, direction, Segment::default());
            if let Ok(network) = packet::extensions(frame, network) {
                see_network(frame, &network, direction, &mut seen);
            }
        }
    }
    blur(frame, &mut seen);
    seen
}

#[inline(always)]
fn see_network<A: Address, F: Frame>(frame: &F, network: &Network<A>, direction: Direction, seen: &mut Seen) {
    let segment = if network.fragment.is_later() {
        Segment { flags: Seen::LATER_FRAGMENT, ..Segment::default() }
    } else {
        packet::transport(frame, network).unwrap_or_default()
    };
    *seen = Seen::of(frame, network, direction, segment);
}

/// All paths through [`see`] meet before this. See [`Frame::blur`].
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

/// What the policy says of a service and a remote address.
#[inline(always)]
fn look_up<A: Address, T: Tables>(tables: &T, direction: Direction, index: ServiceIndex, remote: A) -> Entry {
    let entry = tables.service(direction, index);
    if entry.kind() as u8 == EntryKind::Permit as u8 {
        // Asked first: most packets are.
        return entry;
    }
    let scoped = match direction {
        Direction::Inbound => Config::SCOPED_IN,
        Direction::Outbound => Config::SCOPED_OUT,
    };
    if entry.kind() as u8 == EntryKind::Scoped as u8 && tables.has(scoped) {
        cold_path();
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
fn judge_link<F: Frame, T: Tables>(frame: &F, tables: &T, direction: Direction, link: &Link) -> Outcome {
    if let Some(outcome) = packet::link_control(frame, link) {
        return outcome;
    }
    let entry = tables.service(direction, ServiceIndex::ethertype(link.ethertype));
    permit_or_refuse(entry, Reason::Ethertype)
}

/// Later fragments follow the first (`fragment`); nothing else of them can be judged.
#[inline(always)]
fn judge_later_fragment<A: Address, F: Frame, T: Tables>(frame: &F, tables: &T, network: &Network<A>) -> Outcome {
    let Fragment { id, offset, protocol, .. } = network.fragment;
    if protocol == packet::TCP && offset == 1 {
        // RFC 3128: it would overwrite the flags of the first.
        return Outcome::new(Reason::TinyFragment);
    }
    let Some(state) = A::fragment(tables, network.source, network.destination(frame), id, protocol) else {
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
fn remember_first_fragment<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    outcome: Outcome,
) {
    use crate::layout::FragmentState;
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
