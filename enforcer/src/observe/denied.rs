//! Denied flows: who tried what, why it was refused, how often and when.

use std::cmp::Reverse;
use std::net::IpAddr;

use enforcer_common::packet::{ICMP, ICMPV6, SCTP, TCP, UDP};
use enforcer_common::{Direction, Mode, Reason};
use jiff::Timestamp;

/// Everything that was refused to one remote address, for one port and one reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeniedFlow {
    /// Interface.
    pub interface: String,
    /// Direction.
    pub direction: Direction,
    /// Why it was refused.
    pub reason: Reason,
    /// [`Mode::Enforce`]: it was dropped. [`Mode::Audit`]: it was counted, and passed.
    pub mode: Mode,
    /// IP protocol; `None`: a frame without an IP header that could be read.
    pub protocol: Option<u8>,
    /// The other host, likewise.
    pub remote: Option<IpAddr>,
    /// This host, as the last packet of the flow had it.
    pub local: Option<IpAddr>,
    /// What was tried.
    pub asked: Asked,
    /// Packets, as far as the token bucket let them be seen: at least one. Counters are exact.
    pub packets: u64,
    /// Bytes, likewise.
    pub bytes: u64,
    /// When the first was seen.
    pub first: Timestamp,
    /// When the last was seen.
    pub last: Timestamp,
}

/// One refused packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeniedEvent {
    /// Who tried what, when and why it was refused.
    pub flow: DeniedFlow,
    /// Remote port, where the protocol has ports.
    pub remote_port: Option<u16>,
    /// Local port, likewise.
    pub local_port: Option<u16>,
}

/// What a refused packet asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Asked {
    /// A destination port.
    Port(u16),
    /// A message of ICMP or ICMPv6.
    IcmpType(u16),
    /// A link-layer protocol.
    Ethertype(u16),
    /// Nothing that its headers tell: another IP protocol, or part of a datagram.
    Nothing,
}

impl Asked {
    /// From what the programs record.
    #[must_use]
    pub const fn of(family: u8, protocol: u8, number: u16, reason: Reason) -> Self {
        // What cannot be read is recorded as 0. Port 0 itself can be asked for, in a packet that is whole.
        let is_partial =
            matches!(reason, Reason::FragmentDrop | Reason::TinyFragment | Reason::Malformed) && number == 0;
        match (family, protocol) {
            (0, _) => Self::Ethertype(number),
            _ if is_partial => Self::Nothing,
            (_, TCP | UDP | SCTP) => Self::Port(number),
            (4, ICMP) | (6, ICMPV6) => Self::IcmpType(number),
            _ => Self::Nothing,
        }
    }

    /// The destination port, where that is what was asked for.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::Port(port) => Some(port),
            Self::IcmpType(_) | Self::Ethertype(_) | Self::Nothing => None,
        }
    }
}

/// The denied flows of some interfaces, and how much of the truth they are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Denied {
    /// The flows.
    pub flows: Vec<DeniedFlow>,
    /// Flows that are remembered for all interfaces of this network namespace.
    pub remembered: usize,
    /// Flows that can be remembered: when more come, those that were quiet for longest are forgotten.
    pub capacity: u32,
    /// Refused packets that no flow tells of, because more came than are told in a second. Of all interfaces.
    pub suppressed: u64,
    /// Events that found the ring buffer full. Of all interfaces.
    pub lost: u64,
}

/// Which flows to show.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this direction.
    pub direction: Option<Direction>,
    /// Only these reasons, by name; empty: all.
    pub reasons: Vec<String>,
    /// Only what was dropped, or only what was counted.
    pub mode: Option<Mode>,
    /// Only this port.
    pub port: Option<u16>,
}

impl Filter {
    /// Whether a flow is wanted.
    #[must_use]
    pub fn admits(&self, flow: &DeniedFlow) -> bool {
        self.direction.is_none_or(|direction| direction == flow.direction)
            && (self.reasons.is_empty() || self.reasons.iter().any(|name| name == flow.reason.name()))
            && self.mode.is_none_or(|mode| mode == flow.mode)
            && self.port.is_none_or(|port| flow.asked.port() == Some(port))
    }
}

/// By what flows are sorted; flows that are equal in it are in the order of their addresses and ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Order {
    /// Most packets first.
    Packets,
    /// Most bytes first.
    Bytes,
    /// Latest first.
    Last,
    /// Newest first: when it was seen for the first time.
    First,
    /// By remote address.
    Remote,
    /// By protocol and port.
    Port,
}

/// Sorts flows.
pub fn sort(flows: &mut [DeniedFlow], order: Order) {
    flows.sort_by_cached_key(|flow| {
        // Larger numbers first, where the order is one of numbers.
        let number = match order {
            Order::Packets => Reverse(i128::from(flow.packets)),
            Order::Bytes => Reverse(i128::from(flow.bytes)),
            Order::Last => Reverse(flow.last.as_nanosecond()),
            Order::First => Reverse(flow.first.as_nanosecond()),
            Order::Remote | Order::Port => Reverse(0),
        };
        let port = (flow.protocol, flow.asked);
        let by_port = (order == Order::Port).then_some(port);
        (number, by_port, flow.remote, port, flow.direction, flow.reason, flow.mode, flow.interface.clone())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remote: &str, port: u16, packets: u64) -> DeniedFlow {
        DeniedFlow {
            interface: "eth0".to_owned(),
            direction: Direction::Inbound,
            reason: Reason::NoRule,
            mode: Mode::Audit,
            protocol: Some(TCP),
            remote: Some(remote.parse().unwrap()),
            local: None,
            asked: Asked::Port(port),
            packets,
            bytes: packets * 60,
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::from_second(i64::from(port)).unwrap(),
        }
    }

    #[test]
    fn what_was_asked_for_follows_from_the_protocol() {
        assert_eq!(Asked::of(4, TCP, 23, Reason::NoRule), Asked::Port(23));
        assert_eq!(Asked::of(6, ICMPV6, 137, Reason::Redirect), Asked::IcmpType(137));
        assert_eq!(Asked::of(4, ICMPV6, 0, Reason::Protocol), Asked::Nothing, "ICMPv6 over IPv4 is no ICMP");
        assert_eq!(Asked::of(0, 0, 0x8892, Reason::Ethertype), Asked::Ethertype(0x8892));
        assert_eq!(Asked::of(4, 47, 0, Reason::Protocol), Asked::Nothing);
        assert_eq!(Asked::of(4, UDP, 0, Reason::NoRule), Asked::Port(0), "port 0 can be tried");
        assert_eq!(Asked::of(4, UDP, 0, Reason::FragmentDrop), Asked::Nothing, "a later fragment has no ports");
    }

    #[test]
    fn flows_are_sorted_and_equal_ones_by_address() {
        let mut flows = vec![flow("10.0.0.9", 80, 5), flow("10.0.0.10", 25, 5), flow("10.0.0.1", 443, 7)];
        let ports = |flows: &[DeniedFlow]| flows.iter().filter_map(|flow| flow.asked.port()).collect::<Vec<_>>();
        sort(&mut flows, Order::Packets);
        assert_eq!(ports(&flows), [443, 80, 25]);
        sort(&mut flows, Order::Last);
        assert_eq!(ports(&flows), [443, 80, 25]);
        sort(&mut flows, Order::Port);
        assert_eq!(ports(&flows), [25, 80, 443]);
        sort(&mut flows, Order::Remote);
        assert_eq!(ports(&flows), [443, 80, 25]);
    }

    #[test]
    fn a_filter_takes_what_fits_all_of_it() {
        let one = flow("10.0.0.9", 80, 5);
        assert!(Filter::default().admits(&one));
        let reasons = vec!["peer".to_owned(), "no-rule".to_owned()];
        assert!(Filter { reasons, port: Some(80), ..Filter::default() }.admits(&one));
        assert!(!Filter { mode: Some(Mode::Enforce), ..Filter::default() }.admits(&one));
        assert!(!Filter { direction: Some(Direction::Outbound), ..Filter::default() }.admits(&one));
        assert!(!Filter { port: Some(81), ..Filter::default() }.admits(&one));
    }
}
