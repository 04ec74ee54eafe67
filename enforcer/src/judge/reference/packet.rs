//! Reading a packet, plainly: slices that shrink from header to header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::Reason;

/// A frame without its link header.
pub(super) struct Link<'p> {
    pub(super) ethertype: u16,
    pub(super) payload: &'p [u8],
}

/// What an IP header says by itself.
pub(super) struct Ip<'p> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) hop_limit: u8,
    /// It is a neighbour advertisement that no router has passed on, right behind the IPv6 header.
    pub(super) is_advertisement: bool,
    /// What is behind the header, and for IPv6 behind the extension headers.
    pub(super) rest: Result<Rest<'p>, Reason>,
}

/// What IP carries.
#[derive(Clone, Copy)]
pub(super) struct Rest<'p> {
    pub(super) protocol: u8,
    pub(super) fragment: Fragment,
    pub(super) body: &'p [u8],
}

/// Whether a packet is whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fragment {
    Whole,
    First { id: u32, protocol: u8 },
    Later { id: u32, protocol: u8, offset: u16 },
}

/// What is above IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Upper {
    Ports { source: u16, destination: u16, tcp: Option<Flags> },
    Icmp { kind: u8, echo: u16 },
    Igmp,
    Other,
}

/// The TCP flags that matter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Flags {
    pub(super) fin: bool,
    pub(super) syn: bool,
    pub(super) rst: bool,
    pub(super) ack: bool,
}

impl Flags {
    /// A SYN that opens a conversation.
    pub(super) const fn is_bare_syn(self) -> bool {
        self.syn && !self.ack
    }
}

/// Steps over the link header and at most two VLAN tags. `taken_out`: a tag that the hardware has removed already.
pub(super) fn link(frame: &[u8], taken_out: bool) -> Result<Link<'_>, Reason> {
    let (_, mut rest) = frame.split_at_checked(12).ok_or(Reason::Malformed)?;
    let mut tags = usize::from(taken_out);
    loop {
        let (ethertype, behind) = rest.split_at_checked(2).ok_or(Reason::Malformed)?;
        let ethertype = u16::from_be_bytes([ethertype[0], ethertype[1]]);
        if !matches!(ethertype, 0x8100 | 0x88a8) {
            return Ok(Link { ethertype, payload: behind });
        }
        tags += 1;
        if tags > 2 {
            return Err(Reason::VlanDepth);
        }
        // The tag's own two bytes; the next ethertype follows.
        rest = behind.get(2..).ok_or(Reason::Malformed)?;
    }
}

/// Reads an IPv4 header (RFC 791).
pub(super) fn ipv4(packet: &[u8], is_super_packet: bool) -> Result<Ip<'_>, Reason> {
    if packet.len() < 20 || packet[0] >> 4 != 4 {
        return Err(Reason::Malformed);
    }
    let header = usize::from(packet[0] & 15) * 4;
    let length = match usize::from(u16_at(packet, 2)) {
        0 if is_super_packet => packet.len(),
        length => length,
    };
    if header < 20 || length < header || length > packet.len() {
        return Err(Reason::Malformed);
    }
    let (id, word, protocol) = (u32::from(u16_at(packet, 4)), u16_at(packet, 6), packet[9]);
    let (more, offset) = (word & 0x2000 != 0, word & 0x1fff);
    let rest = Rest { protocol, fragment: fragment(offset, more, id, protocol), body: &packet[header..length] };
    Ok(Ip {
        source: Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]).into(),
        destination: Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]).into(),
        hop_limit: packet[8],
        is_advertisement: false,
        rest: Ok(rest),
    })
}

/// Reads an IPv6 header and its extension headers (RFC 8200).
pub(super) fn ipv6(packet: &[u8], is_super_packet: bool) -> Result<Ip<'_>, Reason> {
    if packet.len() < 40 || packet[0] >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    let payload = &packet[40..];
    let length = match usize::from(u16_at(packet, 4)) {
        0 if is_super_packet => payload.len(),
        length => length,
    };
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&packet[at..at + 16]);
        IpAddr::from(Ipv6Addr::from(octets))
    };
    let payload = payload.get(..length).ok_or(Reason::Malformed)?;
    Ok(Ip {
        source: address(8),
        destination: address(24),
        hop_limit: packet[7],
        is_advertisement: packet[6] == 58 && packet[7] == 255 && payload.first() == Some(&136),
        rest: extensions(packet[6], payload),
    })
}

fn extensions(mut next: u8, mut rest: &[u8]) -> Result<Rest<'_>, Reason> {
    let mut fragment = Fragment::Whole;
    let mut seen = 0;
    // Hop-by-hop options, routing, fragment, authentication, destination options, mobility.
    while [0, 43, 44, 51, 60, 135].contains(&next) {
        seen += 1;
        if seen > 8 {
            return Err(Reason::ExtensionHeaders);
        }
        if rest.len() < 8 {
            return Err(too_short(fragment));
        }
        if next == 43 && rest[2] == 0 {
            return Err(Reason::RoutingHeader);
        }
        let length = match next {
            44 => 8,
            51 => (usize::from(rest[1]) + 2) * 4,
            _ => (usize::from(rest[1]) + 1) * 8,
        };
        let behind = rest.get(length..);
        if next == 44 {
            if fragment != Fragment::Whole {
                return Err(Reason::Malformed);
            }
            let (word, id) = (u16_at(rest, 2), u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]));
            fragment = self::fragment(word >> 3, word & 1 != 0, id, rest[0]);
            if let Fragment::Later { protocol, .. } = fragment {
                return Ok(Rest { protocol, fragment, body: behind.unwrap_or_default() });
            }
        }
        next = rest[0];
        rest = behind.ok_or_else(|| too_short(fragment))?;
    }
    Ok(Rest { protocol: next, fragment, body: rest })
}

const fn fragment(offset: u16, more: bool, id: u32, protocol: u8) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First { id, protocol },
        _ => Fragment::Later { id, protocol, offset },
    }
}

/// Reads what is above IP.
pub(super) fn upper(rest: &Rest<'_>, is_ipv6: bool, is_super_packet: bool) -> Result<Upper, Reason> {
    let body = rest.body;
    let at_least = |length: usize| if body.len() < length { Err(too_short(rest.fragment)) } else { Ok(()) };
    match (rest.protocol, is_ipv6) {
        (6, _) => {
            at_least(20)?;
            let header = usize::from(body[12] >> 4) * 4;
            if header < 20 {
                return Err(Reason::Malformed);
            }
            at_least(header)?;
            let flag = |bit: u8| body[13] & bit != 0;
            let flags = Flags { fin: flag(1), syn: flag(2), rst: flag(4), ack: flag(16) };
            Ok(Upper::Ports { source: u16_at(body, 0), destination: u16_at(body, 2), tcp: Some(flags) })
        }
        (17, _) => {
            at_least(8)?;
            let length = usize::from(u16_at(body, 4));
            let is_whole = rest.fragment == Fragment::Whole && !is_super_packet;
            if is_whole && !(8..=body.len()).contains(&length) || !is_whole && (1..8).contains(&length) {
                return Err(Reason::Malformed);
            }
            Ok(Upper::Ports { source: u16_at(body, 0), destination: u16_at(body, 2), tcp: None })
        }
        (132, _) => {
            at_least(12)?;
            Ok(Upper::Ports { source: u16_at(body, 0), destination: u16_at(body, 2), tcp: None })
        }
        (1, false) | (58, true) => {
            at_least(8)?;
            Ok(Upper::Icmp { kind: body[0], echo: u16_at(body, 4) })
        }
        (2, false) => {
            at_least(8)?;
            Ok(Upper::Igmp)
        }
        _ => Ok(Upper::Other),
    }
}

fn too_short(fragment: Fragment) -> Reason {
    if matches!(fragment, Fragment::First { .. }) { Reason::TinyFragment } else { Reason::Malformed }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
