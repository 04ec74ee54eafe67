//! A packet as far as it can be read, and what is told from its headers alone.

use std::net::IpAddr;

use enforcer_common::frame::Bytes;
use enforcer_common::{Direction, Reason};

use super::UDP;
use super::packet::{self, Fragment, Ip, Link, Upper};

/// How much of a packet was read.
#[derive(Clone, Copy)]
pub(super) enum Extent {
    /// Nothing that matters later.
    Nothing,
    /// All but its ports, which it must have; from this address.
    NoPorts(IpAddr),
    /// Everything.
    Whole(Read),
}

/// A packet with everything that was read of it.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) direction: Direction,
    pub(super) remote: IpAddr,
    pub(super) local: IpAddr,
    pub(super) protocol: u8,
    pub(super) upper: Upper,
}

/// The link header, and the IP header where there is one.
pub(super) fn read(frame: Bytes<'_>) -> Result<(Link<'_>, Option<Ip<'_>>), Reason> {
    let link = packet::link(frame.bytes, frame.tag_taken_out)?;
    let ip = match link.ethertype {
        0x0800 => Some(packet::ipv4(link.payload, frame.is_super_packet)?),
        0x86dd => Some(packet::ipv6(link.payload, frame.is_super_packet)?),
        _ => None,
    };
    Ok((link, ip))
}

/// Whether a frame has an IP header that can be read.
pub(super) fn is_ip(frame: Bytes<'_>) -> bool {
    matches!(read(frame), Ok((_, Some(_))))
}

/// What an inbound packet is read as where nothing has been judged of it.
pub(super) fn conversation_of(ip: &Ip<'_>, is_super_packet: bool) -> Option<Read> {
    let rest = ip.rest.as_ref().ok().filter(|rest| !matches!(rest.fragment, Fragment::Later { .. }))?;
    let upper = packet::upper(rest, ip.source.is_ipv6(), is_super_packet).ok()?;
    let (direction, remote, local) = (Direction::Inbound, ip.source, ip.destination);
    Some(Read { direction, remote, local, protocol: rest.protocol, upper })
}

/// STP, CDP and the like pass. IP in SNAP does not: it would be a way around the policy.
pub(super) fn logical_link_control(link: &Link<'_>, frame: usize) -> Reason {
    let header = frame - link.payload.len();
    match link.payload {
        _ if header + usize::from(link.ethertype) > frame => Reason::Malformed,
        [0xaa, 0xaa, _, 0, 0, 0, _, _, ..] => Reason::Ethertype,
        [0xaa, 0xaa, _, _, _, _, _, _, ..] => Reason::LinkControl,
        [0xaa, 0xaa, _, ..] | [] | [_] | [_, _] => Reason::Malformed,
        [..] => Reason::LinkControl,
    }
}

/// Multicast, and the limited broadcast of IPv4.
pub(super) fn is_multicast(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

/// Who has no address yet asks for one, makes sure that nobody else has it (RFC 4862), asks for routers and reports its
/// groups; a snooping switch asks for groups.
pub(super) fn may_be_unspecified(packet: Read) -> bool {
    match packet.upper {
        Upper::Igmp => true,
        Upper::Icmp { kind, .. } => packet.remote.is_ipv6() && matches!(kind, 130..=133 | 135 | 143),
        Upper::Ports { source, destination, .. } => {
            packet.remote.is_ipv4() && packet.protocol == UDP && (source, destination) == (68, 67)
        }
        Upper::Other => false,
    }
}

pub(super) fn is_dhcp_answer(packet: Read) -> bool {
    let Upper::Ports { source, destination, .. } = packet.upper else { return false };
    let ports = if packet.remote.is_ipv4() { (67, 68) } else { (547, 546) };
    packet.protocol == UDP && (source, destination) == ports
}
