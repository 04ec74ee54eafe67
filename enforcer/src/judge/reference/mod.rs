//! The plain slow reading of what the design says happens to each packet, and what the decision code is compared with.
//!
//! It parses packets by itself, reads the rules instead of the tables, and keeps its own memory: with the decision code it
//! shares the names of directions, modes, verdicts and reasons, and nothing else. It is not fast and need not be.

mod claims;
mod finding;
mod look;
mod memory;
mod packet;
mod policy;
mod read;
mod track;

use std::collections::HashMap;
use std::net::IpAddr;

use enforcer_common::frame::Bytes;
use enforcer_common::{Direction, Mode, Reason, Verdict};
use memory::{Datagram, First, Flows, Refusal, Refused};
use packet::{Fragment, Ip, Link, Rest, Upper};

use crate::judge::host::Host;
use crate::judge::reference::finding::Finding;
use crate::judge::reference::read::{
    Extent, Read, conversation_of, is_dhcp_answer, is_ip, is_multicast, logical_link_control, may_be_unspecified, read,
};
use crate::policy::ruleset::{Ruleset, Scope};

pub use look::{Looked, ethertype, look};
pub use policy::{Asked, Ruling, is_for, ruling};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What was decided about a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Judged {
    /// Why.
    pub reason: Reason,
    /// The rule that is responsible, by its index.
    pub rule: Option<usize>,
    /// Refused by rules that are in audit by themselves.
    pub audited: bool,
    /// Whether the packet goes on.
    pub goes_on: bool,
}

/// A policy, a host, and what is remembered of the packets so far.
#[derive(Debug)]
pub struct Reference<'a> {
    ruleset: &'a Ruleset,
    /// The policy before, and when this one took its place.
    before: Option<(&'a Ruleset, u64)>,
    host: &'a Host,
    modes: [Mode; 2],
    now: u64,
    flows: Flows,
    /// What was refused and went on all the same.
    denials: HashMap<Refused, Refusal>,
    fragments: HashMap<Datagram, First>,
}

impl<'a> Reference<'a> {
    /// Nothing remembered, at time 0, in `audit`.
    #[must_use]
    pub fn new(ruleset: &'a Ruleset, host: &'a Host) -> Self {
        Self {
            ruleset,
            before: None,
            host,
            modes: [Mode::Audit; 2],
            now: 0,
            flows: Flows::new(u64::from(ruleset.settings.flows.one_way) * 1000),
            denials: HashMap::new(),
            fragments: HashMap::new(),
        }
    }

    /// Sets the clock, in milliseconds. It must not go back.
    pub const fn set_time(&mut self, milliseconds: u64) {
        self.now = milliseconds;
    }

    /// Says that this policy has now taken the place of another one.
    pub const fn follows(&mut self, before: &'a Ruleset) {
        self.before = Some((before, self.now));
    }

    /// Sets the mode of a direction.
    pub const fn set_mode(&mut self, direction: Direction, mode: Mode) {
        self.modes[direction as usize] = mode;
    }

    /// Judges a packet, and remembers what follows from it.
    pub fn judge(&mut self, direction: Direction, frame: Bytes<'_>) -> Judged {
        let mut read = Extent::Nothing;
        let finding = match direction {
            // Where it comes in, from this machine to itself.
            Direction::Inbound if frame.is_looped && !self.host.guest => Reason::Loopback.into(),
            Direction::Outbound if frame.is_looped && self.host.guest => Reason::Loopback.into(),
            Direction::Inbound => self.inbound(frame, &mut read),
            Direction::Outbound => self.outbound(frame, &mut read),
        };
        let finding = if direction == Direction::Inbound && self.was_decrypted(finding, frame) {
            Reason::Decrypted.into()
        } else {
            finding
        };
        let refused = finding.reason.verdict() == Verdict::Drop;
        let enforced = self.modes[direction as usize] == Mode::Enforce && !finding.audited;
        let goes_on = !refused || !enforced;
        match (direction, read) {
            _ if !goes_on => {}
            (Direction::Inbound, read) if refused => self.remember_denial(read, finding.audited),
            (Direction::Outbound, Extent::Whole(read)) => self.track(read),
            (Direction::Inbound, _) | (Direction::Outbound, Extent::Nothing | Extent::NoPorts(_)) => {}
        }
        Judged { reason: finding.reason, rule: finding.rule, audited: refused && finding.audited, goes_on }
    }

    fn inbound(&mut self, frame: Bytes<'_>, read: &mut Extent) -> Finding {
        let is_bridged = self.is_bridged(frame.bytes);
        let (link, ip) = match self::read(frame) {
            _ if is_bridged && !is_ip(frame) => return Reason::Forwarded.into(),
            Ok(read) => read,
            Err(reason) => return reason.into(),
        };
        let Some(ip) = ip else { return self.ethertype(Direction::Inbound, &link, frame.bytes.len()) };
        let is_martian = self.is_martian(&ip);
        // Of a guest that is asked before anything else, and of this machine before it forwards.
        let is_returned = claims::is_returned(self.host, &ip);
        if is_returned || self.is_for_somebody_else(ip.source, ip.destination, is_bridged) {
            if !is_martian {
                return Reason::Forwarded.into();
            }
            *read = match (conversation_of(&ip, frame.is_super_packet), &ip.rest) {
                (Some(packet), _) => Extent::Whole(packet),
                (None, Ok(Rest { fragment: Fragment::Later { .. }, .. })) => Extent::Nothing,
                (None, Ok(rest)) if ![6, 17, 132].contains(&rest.protocol) => Extent::Nothing,
                (None, _) => Extent::NoPorts(ip.source),
            };
            return Reason::Martian.into();
        }
        let rest = match ip.rest {
            Ok(rest) => rest,
            Err(reason) => {
                *read = Extent::NoPorts(ip.source);
                return reason.into();
            }
        };
        if let Fragment::Later { id, protocol, offset } = rest.fragment {
            return if is_martian { Reason::Martian.into() } else { self.later_fragment(&ip, id, protocol, offset) };
        }
        if [6, 17, 132].contains(&rest.protocol) {
            *read = Extent::NoPorts(ip.source);
        }
        let finding = match packet::upper(&rest, ip.source.is_ipv6(), frame.is_super_packet) {
            Err(_) if is_martian => return Reason::Martian.into(),
            Err(reason) => reason.into(),
            Ok(upper) => {
                let (remote, local) = (ip.source, ip.destination);
                let packet = Read { direction: Direction::Inbound, remote, local, protocol: rest.protocol, upper };
                *read = Extent::Whole(packet);
                if is_martian {
                    return Reason::Martian.into();
                }
                self.inbound_packet(packet, ip.hop_limit)
            }
        };
        self.remember_first(&ip, &rest, finding);
        finding
    }

    /// Whether a packet that would be refused came by IPsec from somebody who may send it.
    fn was_decrypted(&self, finding: Finding, frame: Bytes<'_>) -> bool {
        let Some(outer) = frame.decrypted_from else { return false };
        let octets = outer.remote.map(u32::to_ne_bytes);
        let remote = match outer.family {
            4 => IpAddr::from(octets[3]),
            _ => {
                let mut all = [0; 16];
                all.copy_from_slice(octets.as_flattened());
                IpAddr::from(all)
            }
        };
        let may_send = |asked| ruling(self.ruleset, Direction::Inbound, asked, Some(remote)).permits();
        finding.reason.verdict() == Verdict::Drop
            && !self.host.guest
            && (may_send(Asked::Protocol(50)) || may_send(Asked::Port { protocol: UDP, port: 4500 }))
    }

    fn outbound(&mut self, frame: Bytes<'_>, read: &mut Extent) -> Finding {
        if let Some(reason) = claims::refusal(self.host, frame) {
            return reason.into();
        }
        let finding = self.outbound_finding(frame, read);
        let is_judged = self.ruleset.settings.outbound_judged;
        if is_judged || matches!(finding.reason, Reason::Denied | Reason::Forwarded) {
            finding
        } else {
            Reason::Open.into()
        }
    }

    fn outbound_finding(&mut self, frame: Bytes<'_>, read: &mut Extent) -> Finding {
        let (link, ip) = match self::read(frame) {
            Ok(read) => read,
            Err(reason) => return reason.into(),
        };
        let Some(ip) = ip else { return self.ethertype(Direction::Outbound, &link, frame.bytes.len()) };
        if self.scope_is_host() && frame.is_forwarded && (frame.is_bridged || !self.is_own(ip.source)) {
            return Reason::Forwarded.into();
        }
        // From another station, in the name of this host: judged, but nothing is remembered of it.
        let is_forged = !self.host.guest && frame.is_forwarded && frame.is_bridged && self.is_own(ip.source);
        let rest = match ip.rest {
            Ok(rest) => rest,
            Err(reason) => return reason.into(),
        };
        if let Fragment::Later { id, protocol, offset } = rest.fragment {
            return self.later_fragment(&ip, id, protocol, offset);
        }
        let finding = match packet::upper(&rest, ip.source.is_ipv6(), frame.is_super_packet) {
            Err(reason) => reason.into(),
            Ok(upper) => {
                let (remote, local) = (ip.destination, ip.source);
                let packet = Read { direction: Direction::Outbound, remote, local, protocol: rest.protocol, upper };
                *read = if is_forged { Extent::Nothing } else { Extent::Whole(packet) };
                self.outbound_packet(packet)
            }
        };
        if self.ruleset.settings.outbound_judged {
            self.remember_first(&ip, &rest, finding);
        }
        finding
    }

    /// A bridge port with scope `host`: unicast frames for other stations are not ours.
    fn is_bridged(&self, frame: &[u8]) -> bool {
        let Some(destination) = frame.get(..6).filter(|_| frame.len() >= 14) else { return false };
        self.scope_is_host()
            && self.host.bridge_port
            && destination[0] & 1 == 0
            && !self.host.macs.iter().any(|mac| mac == destination)
    }

    fn scope_is_host(&self) -> bool {
        self.ruleset.settings.scope == Some(Scope::Host) && !self.host.guest
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.host.addresses.contains(&address.to_canonical())
    }

    fn is_for_somebody_else(&self, source: IpAddr, destination: IpAddr, is_bridged: bool) -> bool {
        self.scope_is_host()
            && !self.is_own(destination)
            && (is_bridged || !is_multicast(destination) && self.host.would_forward(source, destination))
    }

    fn is_martian(&self, ip: &Ip<'_>) -> bool {
        let source = ip.source;
        // Who defends an address that we also have answers from it.
        let is_ours = !self.host.guest && self.is_own(source) && !ip.is_advertisement;
        source.is_loopback() || is_multicast(source) || is_ours || claims::is_returned(self.host, ip)
    }

    fn ethertype(&self, direction: Direction, link: &Link<'_>, frame: usize) -> Finding {
        match link.ethertype {
            0x0806 if link.payload.len() < 28 => Reason::Malformed.into(),
            // ARP, LLDP, LACP, EAPOL, PTP.
            0x0806 | 0x88cc | 0x8809 | 0x888e | 0x88f7 => Reason::LinkControl.into(),
            length if length < 0x600 => logical_link_control(link, frame).into(),
            ethertype => {
                Finding::of(ruling(self.ruleset, direction, Asked::Ethertype(ethertype), None), Reason::Ethertype)
            }
        }
    }

    /// A fragment follows the first of its datagram, for as long as Linux keeps fragments: 30 seconds.
    fn later_fragment(&self, ip: &Ip<'_>, id: u32, protocol: u8, offset: u16) -> Finding {
        if protocol == TCP && offset == 1 {
            return Reason::TinyFragment.into();
        }
        let datagram = Datagram { source: ip.source, destination: ip.destination, protocol, id };
        match self.fragments.get(&datagram).filter(|first| self.now - first.at <= 30_000) {
            Some(First { verdict: Verdict::Pass, .. }) => Reason::FragmentPass.into(),
            Some(First { verdict: Verdict::Drop, audited, .. }) => {
                Finding { audited: *audited, ..Reason::FragmentDrop.into() }
            }
            None => Reason::FragmentDrop.into(),
        }
    }

    fn remember_first(&mut self, ip: &Ip<'_>, rest: &Rest<'_>, finding: Finding) {
        let Fragment::First { id, protocol } = rest.fragment else { return };
        let datagram = Datagram { source: ip.source, destination: ip.destination, protocol, id };
        let Finding { reason, audited, .. } = finding;
        self.fragments.insert(datagram, First { verdict: reason.verdict(), audited, at: self.now });
    }

    fn inbound_packet(&mut self, packet: Read, hop_limit: u8) -> Finding {
        let Read { remote, protocol, upper, .. } = packet;
        if remote.is_unspecified() && !may_be_unspecified(packet) {
            return Reason::Martian.into();
        }
        match upper {
            Upper::Igmp => Reason::Igmp.into(),
            Upper::Ports { .. } => self.inbound_port(packet),
            Upper::Icmp { kind, .. } if remote.is_ipv6() => match kind {
                1..=4 | 130..=132 | 143 | 151..=153 => Reason::Icmp.into(),
                133..=136 | 141 | 142 | 148 | 149 if hop_limit == 255 => Reason::Icmp.into(),
                128 => self.echo_request(remote),
                129 => self.echo_reply(packet),
                137 => Reason::Redirect.into(),
                _ => Reason::IcmpType.into(),
            },
            Upper::Icmp { kind, .. } => match kind {
                3 | 11 | 12 => Reason::Icmp.into(),
                8 => self.echo_request(remote),
                0 => self.echo_reply(packet),
                5 => Reason::Redirect.into(),
                _ => Reason::IcmpType.into(),
            },
            Upper::Other => {
                let ruling = ruling(self.ruleset, Direction::Inbound, Asked::Protocol(protocol), Some(remote));
                Finding::of(ruling, Reason::Protocol)
            }
        }
    }

    fn inbound_port(&mut self, packet: Read) -> Finding {
        let Upper::Ports { destination, tcp, .. } = packet.upper else { return Reason::Malformed.into() };
        let asked = Asked::Port { protocol: packet.protocol, port: destination };
        let ruling = ruling(self.ruleset, Direction::Inbound, asked, Some(packet.remote));
        if ruling.permits() {
            return Finding::of(ruling, Reason::NoRule);
        }
        if !tcp.is_some_and(packet::Flags::is_bare_syn) && self.answers_a_flow(packet) {
            return Reason::Flow.into();
        }
        if is_dhcp_answer(packet) && !matches!(ruling, Ruling::Deny { .. }) {
            return Reason::Dhcp.into();
        }
        Finding::of(ruling, Reason::NoRule)
    }

    fn echo_request(&self, remote: IpAddr) -> Finding {
        match ruling(self.ruleset, Direction::Inbound, Asked::Echo, Some(remote)) {
            Ruling::Permit { rule, .. } => Finding { rule: Some(rule), ..Reason::EchoPass.into() },
            deny @ Ruling::Deny { .. } => Finding::of(deny, Reason::EchoDrop),
            Ruling::Peer { .. } | Ruling::Internal { .. } | Ruling::Nothing => Reason::EchoDrop.into(),
        }
    }

    fn echo_reply(&mut self, packet: Read) -> Finding {
        if self.answers_a_flow(packet) { Reason::Flow.into() } else { Reason::IcmpType.into() }
    }

    fn outbound_packet(&mut self, packet: Read) -> Finding {
        match packet.upper {
            Upper::Icmp { .. } => Reason::Icmp.into(),
            Upper::Igmp => Reason::Igmp.into(),
            Upper::Ports { .. } => self.outbound_port(packet),
            Upper::Other => {
                let asked = Asked::Protocol(packet.protocol);
                Finding::of(ruling(self.ruleset, Direction::Outbound, asked, Some(packet.remote)), Reason::Protocol)
            }
        }
    }

    fn outbound_port(&mut self, packet: Read) -> Finding {
        let Upper::Ports { source, destination, tcp } = packet.upper else { return Reason::Malformed.into() };
        let asked = Asked::Port { protocol: packet.protocol, port: destination };
        let ruling = ruling(self.ruleset, Direction::Outbound, asked, Some(packet.remote));
        if ruling.permits() {
            return Finding::of(ruling, Reason::NoConnection);
        }
        if !tcp.is_some_and(packet::Flags::is_bare_syn) {
            if self.answer_is_permitted(packet) {
                return Reason::Rule.into();
            }
            if self.goes_on(packet) {
                return Reason::Flow.into();
            }
        }
        match (ruling, packet.protocol, source, destination) {
            (Ruling::Deny { .. }, ..) => Finding::of(ruling, Reason::NoConnection),
            // Name resolution and time.
            (_, TCP | UDP, _, 53) | (_, UDP, _, 123) => Reason::Open.into(),
            (_, UDP, 68, 67) if packet.remote.is_ipv4() => Reason::Dhcp.into(),
            (_, UDP, 546, 547) if packet.remote.is_ipv6() => Reason::Dhcp.into(),
            (Ruling::Peer { audit, .. } | Ruling::Internal { audit, .. }, ..) => {
                Finding { audited: audit, ..Reason::NoConnection.into() }
            }
            (Ruling::Nothing | Ruling::Permit { .. }, ..) => Reason::NoConnection.into(),
        }
    }
}
