//! Denied flows: who tried what, why it was refused, how often and when.

use std::cmp::Reverse;

use enforcer_common::{Direction, Mode};

use crate::dataplane::DeniedFlow;

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
    /// Last seen most recently first.
    Last,
    /// First seen most recently first.
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
    use crate::dataplane::Asked;
    use enforcer_common::Reason;
    use enforcer_common::packet::{ICMPV6, TCP, UDP};
    use jiff::Timestamp;

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
