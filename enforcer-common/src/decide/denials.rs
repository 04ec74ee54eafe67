//! The memory of what was refused and let through: what the host answers to it makes no flow.
//!
//! In audit the host answers what enforcement would have dropped, and on a host that enforces what a rule in audit refuses. Whether a
//! datagram of the host is such an answer or a question of its own cannot be read from it; that it leaves right behind what was
//! refused tells. So one forged packet does not make a host's own conversations from fixed ports (NTP, SIP, IKE) count as refused.

use crate::layout::{Config, DenialKey4, DenialKey6, DenialState, Ports, Statistic, load};
use crate::outcome::Outcome;
use crate::packet::{SCTP, TCP, UDP, is_extension};
use crate::seen::Seen;
use crate::tables::Tables;
use crate::{Direction, Entry};

/// What a refusal says of an outbound packet that belongs to no flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Memory {
    /// Nothing.
    Nothing = 0,
    /// It may be a question of the host, though a packet of the conversation was refused.
    Doubt = 1,
    /// It answers what was refused.
    Answer = 2,
}

/// What all refusals say of a packet, as bits. The verifier does not know them: it would follow each answer through all of what is
/// decided by it, four times as many instructions in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memories(u32);

impl Memories {
    /// The strongest of them.
    #[inline(always)]
    pub(super) const fn is(self, memory: Memory) -> bool {
        match memory {
            Memory::Nothing => self.0 == Memory::Nothing as u32,
            Memory::Doubt => self.0 == Memory::Doubt as u32,
            Memory::Answer => self.0 & Memory::Answer as u32 != 0,
        }
    }
}

/// Remembers an inbound packet that was refused and let through.
#[inline(always)]
pub(super) fn remember<T: Tables>(tables: &T, seen: &Seen, outcome: Outcome) {
    let has_ports = seen.has(Seen::CONVERSATION) && (seen.protocol == TCP || is_datagram(seen.protocol));
    if !has_ports && !hides_ports(seen) {
        return;
    }
    let flags = if outcome.is_audited() { DenialState::BY_RULE } else { 0 };
    let state = DenialState { last: tables.now(), flags };
    if seen.family == 4 {
        let key = if has_ports { key4(seen) } else { address4(seen) };
        tables.remember_denial4(&key, &state);
    } else {
        let key = if has_ports { key6(seen) } else { address6(seen) };
        tables.remember_denial6(&key, &state);
    }
    tables.note(Statistic::DenialsRemembered);
}

/// Whether a protocol has ports and no notion of a connection that is needed here.
#[inline(always)]
pub(super) const fn is_datagram(protocol: u8) -> bool {
    protocol == UDP || protocol == SCTP
}

/// Whether it was refused before its ports could be read, and has some all the same. Later fragments have none: the host answers
/// the datagram, whose ports are in the first one.
#[inline(always)]
const fn hides_ports(seen: &Seen) -> bool {
    seen.family != 0
        && seen.flags & (Seen::LATER_FRAGMENT | Seen::CONVERSATION) == 0
        && (matches!(seen.protocol, TCP | UDP | SCTP) || seen.family == 6 && is_extension(seen.protocol as u32))
}

/// What is remembered of the conversation that an outbound packet belongs to.
#[inline(always)]
pub(super) fn memory<T: Tables>(tables: &T, seen: &Seen) -> Memories {
    let is_audit = tables.enforces(Direction::Inbound) == 0;
    // Asked only where something can be in it that counts: a look-up costs more than anything else here. TCP asks only before it
    // revives a flow.
    if seen.protocol != TCP && !is_audit && !tables.has(Config::RULES_IN_AUDIT) && tables.now() >= tables.memory_until()
    {
        return Memories(Memory::Nothing as u32);
    }
    let of_ports = if seen.family == 4 { tables.denial4(&key4(seen)) } else { tables.denial6(&key6(seen)) };
    let of_ports = tables.blur(counts(tables, seen, of_ports, is_audit, seen.protocol == TCP) as u32);
    let of_address = if seen.family == 4 { tables.denial4(&address4(seen)) } else { tables.denial6(&address6(seen)) };
    Memories(tables.blur(of_ports | counts(tables, seen, of_address, is_audit, false) as u32))
}

/// For what a refusal counts now. `stands`: also once enforcement has begun.
#[inline(always)]
fn counts<T: Tables>(tables: &T, seen: &Seen, found: Option<DenialState>, is_audit: bool, stands: bool) -> Memory {
    let Some(DenialState { last, flags }) = found else { return Memory::Nothing };
    let config = tables.config();
    let hz = load(&config.hz);
    let lifetime = if seen.protocol == TCP { load(&config.timeout_tcp) } else { load(&config.timeout_udp) };
    let age = tables.now().wrapping_sub(last);
    if age > u64::from(lifetime) {
        return Memory::Nothing;
    }
    if flags & DenialState::ENDED != 0 || stands {
        return Memory::Answer;
    }
    if !is_audit && flags & DenialState::BY_RULE == 0 {
        // From before enforcement began. What is refused now is dropped, and the host does not answer it.
        return if age < u64::from(hz / DenialState::ON_THE_WAY) { Memory::Answer } else { Memory::Nothing };
    }
    if age < u64::from(hz / DenialState::ANSWERS) { Memory::Answer } else { Memory::Doubt }
}

/// Whether the policy before this one let the answer to this packet pass, and this one, not long ago put in force, does not: then it
/// is the packet that may be an answer, to a peer whose conversation has ended with that policy.
#[inline(always)]
pub(super) fn has_ended<T: Tables>(tables: &T, answer: Entry) -> bool {
    answer.has(Entry::ENDED) && tables.now() < tables.ended_until()
}

#[inline(always)]
fn key4(seen: &Seen) -> DenialKey4 {
    let ports = Ports::new(seen.remote_port, seen.local_port);
    DenialKey4 { remote: seen.remote[3], ports, protocol: u32::from(seen.protocol) }
}

#[inline(always)]
fn key6(seen: &Seen) -> DenialKey6 {
    let ports = Ports::new(seen.remote_port, seen.local_port);
    DenialKey6 { remote: seen.remote, ports, protocol: u32::from(seen.protocol) }
}

/// The key of what was refused before its ports could be read.
#[inline(always)]
fn address4(seen: &Seen) -> DenialKey4 {
    DenialKey4 { remote: seen.remote[3], ports: Ports::new(0, 0), protocol: 0 }
}

#[inline(always)]
fn address6(seen: &Seen) -> DenialKey6 {
    DenialKey6 { remote: seen.remote, ports: Ports::new(0, 0), protocol: 0 }
}
