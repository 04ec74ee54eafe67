//! Flows: made by what leaves the host, and only when the answer would not be permitted without one.

use super::denials::{self, Memory, is_datagram};
use crate::layout::{Config, FlowKey4, FlowKey6, FlowState, FlowState6, Ports, Statistic, load};
use crate::numbers::{DHCP_CLIENT, DHCP_SERVER, DHCPV6_CLIENT, DHCPV6_SERVER};
use crate::packet::{Address, ICMP, ICMPV6, TCP, UDP};
use crate::seen::Seen;
use crate::tables::{Flow, Tables, port_bit};
use crate::{Direction, Entry, EntryKind, ServiceIndex};

/// Whether an inbound packet answers a flow; notes it then.
#[inline(always)]
pub(super) fn answers<T: Tables>(tables: &T, seen: &Seen) -> bool {
    let closes = seen.protocol == TCP && seen.flags & Seen::FIN != 0;
    if !closes && is_hot(tables, seen, Direction::Inbound) {
        return true;
    }
    if let Some(flow) = answered(tables, seen) {
        if closes {
            close(tables, flow, FlowState::FIN_IN);
        }
        return true;
    }
    // A server that answers from another port: only datagrams do (TFTP, RFC 1350, section 4).
    seen.protocol != TCP
        && tables.has(Config::ANSWER_ANY)
        && answered(tables, &Seen { remote_port: 0, ..*seen }).is_some()
}

/// Whether an outbound packet belongs to a conversation that may go on whatever the connections say: one whose server answers
/// from another port, or one that is refused inbound but let through in audit.
#[inline(always)]
pub(super) fn goes_on<T: Tables>(tables: &T, seen: &Seen) -> bool {
    seen.protocol != TCP && tables.has(Config::ANSWER_ANY) && is_live(tables, &Seen { remote_port: 0, ..*seen })
        || !denials::memory(tables, seen).is(Memory::Nothing)
}

/// Tracks an outbound packet: makes, refreshes, closes or revives its flow.
#[inline(always)]
pub(super) fn track<T: Tables>(tables: &T, seen: &Seen) {
    if seen.protocol == TCP {
        track_tcp(tables, seen);
    } else if seen.protocol == ICMP || seen.protocol == ICMPV6 {
        if seen.has(Seen::ECHO_REQUEST)
            && !is_hot(tables, seen, Direction::Outbound)
            && refreshed(tables, seen).is_none()
        {
            make(tables, seen, load(&tables.config().timeout_icmp), 0, 0);
            tables.note(Statistic::FlowsMade);
        }
    } else {
        track_datagram(tables, seen);
    }
}

// Numbers are blurred ([`Tables::blur`]) where ways meet that differ in nothing else: the verifier went through a quarter of a million
// instructions without it.

#[inline(always)]
fn track_tcp<T: Tables>(tables: &T, seen: &Seen) {
    let config = tables.config();
    let Some(bit) = port_bit(TCP, seen.local_port) else { return };
    let bit = tables.blur(bit);
    if seen.is_bare_syn() && seen.flags & Seen::RST == 0 {
        // A new conversation replaces whatever the same ports stood for before.
        if !answer_is_permitted(tables, seen) {
            make(tables, seen, load(&config.timeout_tcp), 0, bit);
            tables.note(Statistic::FlowsMade);
        }
        return;
    }
    if seen.flags & (Seen::FIN | Seen::RST) == 0 && is_hot(tables, seen, Direction::Outbound) {
        return;
    }
    if tables.flow_uses_port(bit)
        && let Some(flow) = refreshed(tables, seen)
    {
        if seen.flags & Seen::RST != 0 {
            flow.close(load(&config.timeout_tcp_closing), FlowState::FIN_IN | FlowState::FIN_OUT);
        } else if seen.flags & Seen::FIN != 0 {
            close(tables, flow, FlowState::FIN_OUT);
        }
        return;
    }
    // In mid-conversation without a flow: evicted, or older than the programs. Revived only where this host is the client.
    let port = u32::from(seen.local_port);
    if seen.flags & (Seen::SYN | Seen::RST) == 0
        && port >= load(&config.ephemeral_first)
        && port <= load(&config.ephemeral_last)
        && !tables.has_listener(bit)
    {
        let answer = answer(tables, seen);
        if answer.kind() as u8 == EntryKind::Permit as u8
            || denials::has_ended(tables, answer)
            || !denials::memory(tables, seen).is(Memory::Nothing)
        {
            return;
        }
        make(tables, seen, load(&config.timeout_tcp), 0, bit);
        tables.note(Statistic::FlowsRevived);
    }
}

#[inline(always)]
fn track_datagram<T: Tables>(tables: &T, seen: &Seen) {
    let config = tables.config();
    if is_hot(tables, seen, Direction::Outbound) {
        return;
    }
    let Some(bit) = port_bit(seen.protocol, seen.local_port) else { return };
    let bit = tables.blur(bit);
    let mut was_in_doubt = tables.blur(0);
    if tables.flow_uses_port(bit) {
        if let Some(flow) = refreshed(tables, seen) {
            was_in_doubt = tables.blur(flow.state().flags & FlowState::IN_DOUBT);
            if was_in_doubt == 0 {
                return;
            }
        }
        if tables.has(Config::ANSWER_ANY) && refreshed(tables, &Seen { remote_port: 0, ..*seen }).is_some() {
            return;
        }
    }
    if is_multicast(seen) {
        return;
    }
    let answer = answer(tables, seen);
    if passes(answer, seen) || denials::has_ended(tables, answer) {
        return;
    }
    let memory = denials::memory(tables, seen);
    if memory.is(Memory::Answer) {
        return;
    }
    let flags = if memory.is(Memory::Doubt) { FlowState::IN_DOUBT } else { 0 };
    let timeout = load(&config.timeout_udp);
    if tables.has(Config::ANSWER_ANY) && answers_from_any_port(tables, seen) {
        make(tables, &Seen { remote_port: 0, ..*seen }, timeout, 0, bit);
    } else if seen.remote_port != 0 {
        // Nobody answers from port 0, and in a key it stands for any.
        make(tables, seen, timeout, flags, bit);
    } else {
        return;
    }
    if was_in_doubt == 0 {
        tables.note(Statistic::FlowsMade);
    }
}

/// Whether the answer to this outbound packet would pass by an inbound rule, without a flow.
#[inline(always)]
pub(super) fn answer_is_permitted<T: Tables>(tables: &T, seen: &Seen) -> bool {
    answer(tables, seen).kind() as u8 == EntryKind::Permit as u8
}

/// What the policy says of the answer to this outbound packet.
#[inline(always)]
fn answer<T: Tables>(tables: &T, seen: &Seen) -> Entry {
    let Some(index) = ServiceIndex::port(seen.protocol, seen.local_port) else { return Entry::NONE };
    look_up(tables, Direction::Inbound, index, seen)
}

/// Whether an answer passes by such an entry; or because it needs no rule: that to a DHCP request.
#[inline(always)]
fn passes(entry: Entry, seen: &Seen) -> bool {
    entry.kind() as u8 == EntryKind::Permit as u8 || entry.kind() as u8 != EntryKind::Deny as u8 && is_dhcp_answer(seen)
}

/// Whether the ports are those of an address assignment: of the answer, or of the request that asks for it.
#[inline(always)]
pub(super) fn is_dhcp_answer(seen: &Seen) -> bool {
    let (server, client) = if seen.family == 4 { (DHCP_SERVER, DHCP_CLIENT) } else { (DHCPV6_SERVER, DHCPV6_CLIENT) };
    seen.protocol == UDP && seen.remote_port == server && seen.local_port == client
}

#[inline(always)]
fn answers_from_any_port<T: Tables>(tables: &T, seen: &Seen) -> bool {
    let Some(index) = ServiceIndex::port(seen.protocol, seen.remote_port) else { return false };
    let entry = look_up(tables, Direction::Outbound, index, seen);
    entry.has(Entry::ANSWER_ANY) && entry.kind() as u8 == EntryKind::Permit as u8
}

#[inline(always)]
fn look_up<T: Tables>(tables: &T, direction: Direction, index: ServiceIndex, seen: &Seen) -> Entry {
    if seen.family == 4 {
        super::entries::look_up(tables, direction, index, seen.remote[3])
    } else {
        super::entries::look_up(tables, direction, index, seen.remote)
    }
}

/// Answers to multicast and broadcast come from other addresses: a flow would match nothing.
#[inline(always)]
fn is_multicast(seen: &Seen) -> bool {
    if seen.family == 4 { seen.remote[3].is_multicast() } else { seen.remote.is_multicast() }
}

/// The flow that an inbound packet answers, if it has not expired. Datagrams are noted, at most once a second; nothing else that comes
/// in prolongs a flow.
#[inline(always)]
fn answered<T: Tables>(tables: &T, seen: &Seen) -> Option<T::Flow> {
    let flow = entry(tables, seen)?;
    let state = flow.state();
    let now = tables.now();
    let hz = load(&tables.config().hz);
    if !state.is_alive(now, load(&tables.config().one_way)) {
        return None;
    }
    if state.flags & FlowState::IN_DOUBT != 0 {
        return if state.silence(now) <= hz / FlowState::ANSWERED { Some(flow) } else { None };
    }
    let mut last = state.last;
    if is_datagram(seen.protocol) && now.wrapping_sub(last) >= u64::from(hz) {
        flow.hear(now);
        last = now;
    }
    note_hot(tables, seen, last, state.last_out);
    Some(flow)
}

/// The flow of an outbound packet, if it has not expired. Refreshed, at most once a second.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is kept")]
fn refreshed<T: Tables>(tables: &T, seen: &Seen) -> Option<T::Flow> {
    let flow = entry(tables, seen)?;
    let state = flow.state();
    let now = tables.now();
    if !state.is_alive(now, load(&tables.config().one_way)) {
        return None;
    }
    if state.flags & FlowState::IN_DOUBT != 0 {
        return Some(flow);
    }
    let (mut last, mut last_out) = (state.last, state.last_out);
    if state.silence(now) >= load(&tables.config().hz) {
        flow.refresh(now);
        (last, last_out) = (now, now as u32);
    }
    note_hot(tables, seen, last, last_out);
    Some(flow)
}

#[inline(always)]
fn note_hot<T: Tables>(tables: &T, seen: &Seen, last: u64, last_out: u32) {
    if seen.family == 4 {
        tables.note_hot4(&key4(seen), last, last_out);
    } else {
        tables.note_hot6(&key6(seen), seen.local, last, last_out);
    }
}

/// Whether the flow was found within the last second: it lives, and there is nothing to note.
#[inline(always)]
fn is_hot<T: Tables>(tables: &T, seen: &Seen, direction: Direction) -> bool {
    if seen.family == 4 {
        tables.is_hot4(&key4(seen), direction)
    } else {
        tables.is_hot6(&key6(seen), seen.local, direction)
    }
}

/// Whether there is such a flow, and it has not expired.
#[inline(always)]
fn is_live<T: Tables>(tables: &T, seen: &Seen) -> bool {
    let Some(flow) = entry(tables, seen) else { return false };
    let state = flow.state();
    state.is_alive(tables.now(), load(&tables.config().one_way))
}

#[inline(always)]
fn entry<T: Tables>(tables: &T, seen: &Seen) -> Option<T::Flow> {
    if seen.family == 4 { tables.flow4(&key4(seen)) } else { tables.flow6(&key6(seen), seen.local) }
}

/// Notes a FIN; once both sides have sent one, the flow has only `tcp_closing` left.
#[inline(always)]
fn close<T: Tables>(tables: &T, flow: T::Flow, fin: u32) {
    let state = flow.state();
    let flags = state.flags | fin;
    if flags == state.flags {
        return;
    }
    let both = FlowState::FIN_IN | FlowState::FIN_OUT;
    if flags & both == both {
        // From now on, also where the last packet that left is older than that.
        flow.refresh(tables.now());
        flow.close(load(&tables.config().timeout_tcp_closing), flags);
    } else {
        flow.close(state.timeout, flags);
    }
}

#[inline(always)]
fn make<T: Tables>(tables: &T, seen: &Seen, timeout: u32, flags: u32, bit: u32) {
    let state = FlowState::new(tables.now(), timeout, flags);
    if seen.family == 4 {
        tables.make_flow4(&key4(seen), &state);
    } else {
        tables.make_flow6(&key6(seen), &FlowState6 { state, local: seen.local });
    }
    if seen.protocol != ICMP && seen.protocol != ICMPV6 && !tables.flow_uses_port(bit) {
        tables.note_flow_port(bit);
    }
}

#[inline(always)]
fn key4(seen: &Seen) -> FlowKey4 {
    FlowKey4 {
        remote: seen.remote[3],
        local: seen.local[3],
        ports: Ports::new(seen.remote_port, seen.local_port),
        protocol: u32::from(seen.protocol),
    }
}

#[inline(always)]
fn key6(seen: &Seen) -> FlowKey6 {
    FlowKey6::new(seen.remote, seen.local, Ports::new(seen.remote_port, seen.local_port), seen.protocol)
}
