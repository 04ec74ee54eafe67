//! Inbound: default deny. What a rule permits passes, and what answers a conversation that this host opened.

use core::hint::cold_path;

use super::claims::{self, defends_an_address};
use super::entries::{judge_link, look_up, permit_or_refuse, refuse};
use super::flows;
use super::fragments::{judge_later_fragment, remember_first_fragment};
use crate::frame::Frame;
use crate::layout::Config;
use crate::numbers::{DHCP_CLIENT, DHCP_SERVER, ESP};
use crate::outcome::Outcome;
use crate::packet::{self, Address, ICMP, ICMPV6, IGMP, Network, SCTP, Segment, TCP, UDP};
use crate::seen::Seen;
use crate::tables::Tables;
use crate::{Direction, Entry, EntryKind, Reason, ServiceIndex};

const IN: Direction = Direction::Inbound;

/// Judges a frame. `Ok` and `Err` both carry the outcome; `Err` is the early one.
#[inline(always)]
pub(super) fn judge<F: Frame, T: Tables>(frame: &F, tables: &T) -> Result<Outcome, Outcome> {
    // Before anything is read: where a link header would be, the IP header is. On the way to a guest there is one again.
    if frame.is_looped() && !tables.has(Config::GUEST) {
        cold_path();
        return Ok(Outcome::new(Reason::Loopback));
    }
    if tables.has(Config::CLAIMS) && claims::is_returned(&frame.afresh(), tables) {
        cold_path();
        return Err(Outcome::new(Reason::Martian));
    }
    let is_bridged = tables.has(Config::SCOPE_HOST) && tables.has(Config::BRIDGE_PORT) && is_bridged(frame, tables);
    // What a bridge passes to another station may be as broken as it likes.
    let broken = |outcome| if is_bridged { Outcome::new(Reason::Forwarded) } else { outcome };
    let link = packet::link(frame).map_err(broken)?;
    match link.ethertype {
        packet::IPV4 => {
            let network = packet::ipv4(frame, link.at).map_err(broken)?;
            pass_on(frame, tables, &network, is_bridged)?;
            judge_network(frame, tables, &network)
        }
        packet::IPV6 => {
            let network = packet::ipv6(frame, link.at).map_err(broken)?;
            // What is for somebody else passes whatever extension headers it has: they are not ours to judge.
            pass_on(frame, tables, &network, is_bridged)?;
            let network = packet::extensions(frame, network)?;
            judge_network(frame, tables, &network)
        }
        _ if is_bridged => Ok(Outcome::new(Reason::Forwarded)),
        _ => Ok(judge_link(frame, tables, IN, &link)),
    }
}

/// On a bridge port, whether a unicast frame is for a hardware address that is not ours: the bridge forwards it.
#[inline(always)]
fn is_bridged<F: Frame, T: Tables>(frame: &F, tables: &T) -> bool {
    use crate::frame::Header;
    // Too short to have an address: judged, and found malformed.
    let Some(header) = frame.header::<14>(0) else { return false };
    let destination = u64::from(header.word::<0>()) | (u64::from(header.be16::<4>().to_be()) << 32);
    let is_unicast = header.u8::<0>() & 1 == 0;
    is_unicast && !tables.is_own_hardware(destination)
}

/// Ends the judgement of what is for somebody else. A source that cannot come from the wire is refused all the same: forwarded, the
/// packet would leave this host in this host's name.
///
/// # Errors
/// `forwarded`, or `martian`.
#[inline(always)]
fn pass_on<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    is_bridged: bool,
) -> Result<(), Outcome> {
    if !tables.has(Config::SCOPE_HOST) || !is_for_somebody_else(frame, tables, network, is_bridged) {
        return Ok(());
    }
    let source = network.source;
    let is_martian = source.is_loopback()
        || source.is_multicast()
        || tables.is_own(source.mapped()) && !defends_an_address(frame, network);
    Err(Outcome::new(if is_martian { Reason::Martian } else { Reason::Forwarded }))
}

/// A source that is our own address, loopback, multicast or broadcast is none. The unspecified address is judged by what it is used
/// for.
#[inline(always)]
fn judge_network<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
) -> Result<Outcome, Outcome> {
    if network.source.may_be_special() {
        cold_path();
        if network.source.is_loopback() || network.source.is_multicast() {
            return Ok(Outcome::new(Reason::Martian));
        }
    }
    // Whether it is ours for certain is asked at the end: that is a call, and around a call in the middle everything that was read
    // so far goes through memory, for every packet. Nothing that is looked up in between is made for our own address.
    // For guests no address is ours. Their 0 is made by an instruction, which has a block of its own: where there are no guests the
    // verifier removes it with the branch, and could not remove a branch around nothing.
    let suspect = if tables.has(Config::GUEST) { frame.blur(0) } else { tables.may_be_own(network.source.mapped()) };
    if network.fragment.is_later() {
        cold_path();
        return Ok(if suspect != 0 && tables.is_own_indeed(network.source.mapped()) {
            Outcome::new(Reason::Martian)
        } else {
            judge_later_fragment(frame, tables, network)
        });
    }
    let mut outcome = match packet::transport(frame, network) {
        Ok(segment) => judge_transport(frame, tables, network, segment),
        Err(outcome) => outcome,
    };
    if suspect | u32::from(network.fragment.more) != 0 {
        cold_path();
        outcome = outcome.map(|word| frame.blur(word));
        if suspect != 0 && tables.is_own_indeed(network.source.mapped()) && !defends_an_address(frame, network) {
            // Nothing is remembered of it: that would stop our own datagram of this number.
            return Ok(Outcome::new(Reason::Martian));
        }
        remember_first_fragment(frame, tables, network, outcome);
    }
    Ok(outcome)
}

/// Scope `host`: multicast and broadcast are always ours; of unicast the address table decides, and the kernel where it does
/// not know. Whatever is not certainly forwarded is judged.
#[inline(always)]
fn is_for_somebody_else<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    is_bridged: bool,
) -> bool {
    let (source, destination) = (network.source, network.destination(frame));
    (is_bridged || !destination.is_multicast())
        && !tables.is_own(destination.mapped())
        && (is_bridged || tables.would_forward(A::FAMILY, source.mapped(), destination.mapped()))
}

/// Whether this host decrypted the packet, and is meant to: what is inside IPsec is not judged where the policy lets IPsec in from that
/// peer.
#[inline(always)]
pub(super) fn is_decrypted<F: Frame, T: Tables>(frame: &F, tables: &T) -> bool {
    // RFC 3948: ESP in UDP.
    const NAT_TRAVERSAL: u16 = 4500;
    let Some(outer) = frame.decrypted_from() else { return false };
    let ways = [ServiceIndex::protocol(ESP), ServiceIndex::udp(NAT_TRAVERSAL)].map(|index| tables.service(IN, index));
    let is = |entry: Entry, kind: EntryKind| entry.kind() as u8 == kind as u8;
    if is(ways[0], EntryKind::Permit) || is(ways[1], EntryKind::Permit) {
        return true;
    }
    if !tables.has(Config::SCOPED_IN) {
        return false;
    }
    let column = if outer.family == 4 { outer.remote[3].column(tables, IN) } else { outer.remote.column(tables, IN) };
    let permits =
        |way: Entry| is(way, EntryKind::Scoped) && is(tables.scoped(IN, way.number(), column), EntryKind::Permit);
    permits(ways[0]) || permits(ways[1])
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
        ICMPV6 if A::FAMILY == 6 => judge_icmp6(frame, tables, network, segment),
        // RFC 4541, section 2.1.1: a snooping switch asks from 0.0.0.0.
        IGMP if A::FAMILY == 4 => Outcome::new(Reason::Igmp),
        _ if network.source.is_unspecified() => Outcome::new(Reason::Martian),
        ICMP if A::FAMILY == 4 => judge_icmp4(frame, tables, network, segment),
        protocol => {
            let entry = look_up(tables, IN, ServiceIndex::protocol(protocol), network.source);
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
    if network.source.is_unspecified() && !is_dhcp_request(network, segment) {
        return Outcome::new(Reason::Martian);
    }
    let index = match network.protocol {
        TCP => ServiceIndex::tcp(segment.destination_port),
        UDP => ServiceIndex::udp(segment.destination_port),
        _ => ServiceIndex::sctp(segment.destination_port),
    };
    let entry = look_up(tables, IN, index, network.source);
    if entry.kind() as u8 == EntryKind::Permit as u8 {
        return Outcome::by_rule(Reason::Rule, entry.number(), false);
    }
    let seen = &Seen::of(frame, network, IN, segment);
    // A bare SYN opens a conversation; it answers none.
    if !seen.is_bare_syn() && tables.flow_uses_port(index.0) && flows::answers(tables, seen) {
        return Outcome::new(Reason::Flow);
    }
    // Rules need not permit it, and one that permits the port to others does not refuse it; only a deny rule does.
    if flows::is_dhcp_answer(seen) && entry.kind() as u8 != EntryKind::Deny as u8 {
        return Outcome::new(Reason::Dhcp);
    }
    // Most of what is refused, and one comparison.
    if entry == Entry::NONE {
        return Outcome::new(Reason::NoRule);
    }
    cold_path();
    refuse(entry, Reason::NoRule)
}

/// RFC 2131, section 4.1: a client that has no address yet.
#[inline(always)]
fn is_dhcp_request<A: Address>(network: &Network<A>, segment: Segment) -> bool {
    A::FAMILY == 4
        && network.protocol == UDP
        && segment.source_port == DHCP_CLIENT
        && segment.destination_port == DHCP_SERVER
}

#[inline(always)]
fn judge_icmp4<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    segment: Segment,
) -> Outcome {
    match segment.asked {
        // Unreachable, time exceeded, parameter problem.
        3 | 11 | 12 => Outcome::new(Reason::Icmp),
        8 => judge_echo(tables, network),
        0 => judge_echo_reply(frame, tables, network, segment),
        5 => Outcome::new(Reason::Redirect),
        _ => Outcome::new(Reason::IcmpType),
    }
}

/// RFC 4890, section 4.4: what a host needs to be reachable.
#[inline(always)]
fn judge_icmp6<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    segment: Segment,
) -> Outcome {
    // Without an address a node solicits (duplicate address detection, router discovery) and reports its groups; no more.
    if network.source.is_unspecified() && !matches!(segment.asked, 130..=133 | 135 | 143) {
        return Outcome::new(Reason::Martian);
    }
    match segment.asked {
        // Errors; multicast listener discovery and multicast router discovery.
        1..=4 | 130..=132 | 143 | 151..=153 => Outcome::new(Reason::Icmp),
        128 => judge_echo(tables, network),
        129 => judge_echo_reply(frame, tables, network, segment),
        // Neighbour discovery, inverse and secured included. RFC 4861, section 7.1: hop limit 255 proves that it is from the link.
        133..=136 | 141 | 142 | 148 | 149 => {
            if A::hop_limit(frame, network.header) == 255 {
                Outcome::new(Reason::Icmp)
            } else {
                Outcome::new(Reason::IcmpType)
            }
        }
        137 => Outcome::new(Reason::Redirect),
        _ => Outcome::new(Reason::IcmpType),
    }
}

#[inline(always)]
fn judge_echo<A: Address, T: Tables>(tables: &T, network: &Network<A>) -> Outcome {
    let entry = look_up(tables, IN, ServiceIndex::ECHO, network.source);
    match entry.kind() {
        EntryKind::Permit => Outcome::by_rule(Reason::EchoPass, entry.number(), false),
        EntryKind::Deny => refuse(entry, Reason::EchoDrop),
        EntryKind::None | EntryKind::Internal | EntryKind::Peer | EntryKind::Scoped => Outcome::new(Reason::EchoDrop),
    }
}

#[inline(always)]
fn judge_echo_reply<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    segment: Segment,
) -> Outcome {
    let seen = Seen::of(frame, network, IN, segment);
    Outcome::new(if flows::answers(tables, &seen) { Reason::Flow } else { Reason::IcmpType })
}
