//! Outbound: judged by the connections of the roles (`outbound: role`), or not judged (`open`). Always read, because what
//! leaves the host makes the flows that its answers come back by.

use super::claims;
use super::entries::{judge_link, look_up, permit_or_refuse, refuse};
use super::flows;
use super::fragments::{judge_later_fragment, remember_first_fragment};
use crate::frame::Frame;
use crate::layout::Config;
use crate::numbers::{DHCP_CLIENT, DHCP_SERVER, DHCPV6_CLIENT, DHCPV6_SERVER, DNS, NTP};
use crate::outcome::Outcome;
use crate::packet::{self, Address, ICMP, ICMPV6, IGMP, Network, SCTP, Segment, TCP, UDP};
use crate::seen::Seen;
use crate::tables::Tables;
use crate::{Direction, EntryKind, Reason, ServiceIndex};

const OUT: Direction = Direction::Outbound;

/// Judges a frame, and tracks the conversation of one that passes. `Ok` and `Err` both carry the outcome.
///
/// It is tracked here and not behind the judgement, because here the headers are in registers.
#[inline(always)]
pub(super) fn judge<F: Frame, T: Tables>(frame: &F, tables: &T) -> Result<Outcome, Outcome> {
    // What leaves a guest comes in here, and so does what this machine sent to itself on that interface.
    if tables.has(Config::GUEST) {
        if frame.is_looped() {
            return Ok(Outcome::new(Reason::Loopback));
        }
        // Refused whether or not anything else is judged.
        claims::check(&frame.afresh(), tables).map_err(|outcome| outcome.map(|word| frame.blur(word)))?;
    }
    let (Ok(outcome) | Err(outcome)) = judge_frame(frame, tables);
    // Where nothing is refused the verifier sees a constant, and removes all that follows a refusal.
    if !tables.has(Config::OUTBOUND_JUDGED | Config::OUTBOUND_DENIES | Config::SCOPE_HOST) {
        return Ok(Outcome::new(Reason::Open));
    }
    let outcome = outcome.map(|word| frame.blur(word));
    if !tables.has(Config::OUTBOUND_JUDGED) && !outcome.is(Reason::Denied) && !outcome.is(Reason::Forwarded) {
        return Ok(Outcome::new(Reason::Open));
    }
    Ok(outcome)
}

#[inline(always)]
fn judge_frame<F: Frame, T: Tables>(frame: &F, tables: &T) -> Result<Outcome, Outcome> {
    let link = packet::link(frame)?;
    match link.ethertype {
        packet::IPV4 => {
            let network = packet::ipv4(frame, link.at)?;
            pass_on(frame, tables, &network)?;
            judge_network(frame, tables, &network)
        }
        packet::IPV6 => {
            let network = packet::ipv6(frame, link.at)?;
            pass_on(frame, tables, &network)?;
            let network = packet::extensions(frame, network)?;
            judge_network(frame, tables, &network)
        }
        _ => Ok(judge_link(frame, tables, OUT, &link)),
    }
}

/// Ends the judgement of what this host only passes on. What it routes with one of its own addresses as the source it has translated
/// (masquerade), so the answers are its own to judge; a bridge translates nothing.
///
/// # Errors
/// `forwarded`.
#[inline(always)]
fn pass_on<A: Address, F: Frame, T: Tables>(frame: &F, tables: &T, network: &Network<A>) -> Result<(), Outcome> {
    if tables.has(Config::SCOPE_HOST)
        && frame.is_forwarded()
        && (frame.is_bridged() || !tables.is_own(network.source.mapped()))
    {
        return Err(Outcome::new(Reason::Forwarded));
    }
    Ok(())
}

/// Whether a packet that another station sent over a bridge of this host claims to be from this host: it makes no flow.
#[inline(always)]
pub(super) fn is_forged<F: Frame, T: Tables>(frame: &F, tables: &T, source: [u32; 4]) -> bool {
    frame.is_forwarded() && frame.is_bridged() && !tables.has(Config::GUEST) && tables.is_own(source)
}

#[inline(always)]
fn judge_network<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
) -> Result<Outcome, Outcome> {
    let judged = tables.has(Config::OUTBOUND_JUDGED);
    if network.fragment.is_later() {
        return Ok(if judged { judge_later_fragment(frame, tables, network) } else { Outcome::new(Reason::Open) });
    }
    let segment = packet::transport(frame, network);
    let outcome = match segment {
        Ok(segment) if judged || tables.has(Config::OUTBOUND_DENIES) => {
            judge_transport(frame, tables, network, segment).map(|word| frame.blur(word))
        }
        Ok(_) => Outcome::new(Reason::Open),
        Err(outcome) => outcome,
    };
    if judged {
        remember_first_fragment(frame, tables, network, outcome);
    }
    if let Ok(segment) = segment
        && segment.flags & Seen::CONVERSATION != 0
        && (outcome.passes() || !judged && !outcome.is(Reason::Denied))
        && !is_forged(frame, tables, network.source.mapped())
    {
        flows::track(tables, &Seen::of(frame, network, OUT, segment));
    }
    Ok(outcome)
}

#[inline(always)]
fn judge_transport<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    segment: Segment,
) -> Outcome {
    match network.protocol {
        TCP | UDP | SCTP => judge_port(frame, tables, network, segment),
        // The host's own ICMP and neighbour discovery always leave.
        ICMP if A::FAMILY == 4 => Outcome::new(Reason::Icmp),
        ICMPV6 if A::FAMILY == 6 => Outcome::new(Reason::Icmp),
        IGMP if A::FAMILY == 4 => Outcome::new(Reason::Igmp),
        protocol => {
            let entry = look_up(tables, OUT, ServiceIndex::protocol(protocol), network.destination(frame));
            permit_or_refuse(entry, Reason::Protocol)
        }
    }
}

#[inline(always)]
fn judge_port<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    segment: Segment,
) -> Outcome {
    let seen = &Seen::of(frame, network, OUT, segment);
    let index = match network.protocol {
        TCP => ServiceIndex::tcp(seen.remote_port),
        UDP => ServiceIndex::udp(seen.remote_port),
        _ => ServiceIndex::sctp(seen.remote_port),
    };
    let entry = look_up(tables, OUT, index, network.destination(frame));
    if entry.kind() as u8 == EntryKind::Permit as u8 {
        return Outcome::by_rule(Reason::Rule, entry.number(), false);
    }
    if !seen.is_bare_syn() {
        // The inbound rule that permits the question permits the answer; it is counted where the question came in.
        if flows::answer_is_permitted(tables, seen) {
            return Outcome::new(Reason::Rule);
        }
        if flows::goes_on(tables, seen) {
            return Outcome::new(Reason::Flow);
        }
    }
    if entry.kind() as u8 == EntryKind::Deny as u8 {
        return refuse(entry, Reason::NoConnection);
    }
    match (network.protocol, seen.remote_port) {
        // The host's own name resolution, time and address assignment always leave.
        (TCP | UDP, DNS) | (UDP, NTP) => return Outcome::new(Reason::Open),
        (UDP, DHCP_SERVER) if A::FAMILY == 4 && seen.local_port == DHCP_CLIENT => return Outcome::new(Reason::Dhcp),
        (UDP, DHCPV6_SERVER) if A::FAMILY == 6 && seen.local_port == DHCPV6_CLIENT => {
            return Outcome::new(Reason::Dhcp);
        }
        _ => {}
    }
    if entry.has(crate::Entry::AUDIT) {
        return Outcome::audited(Reason::NoConnection);
    }
    Outcome::new(Reason::NoConnection)
}
