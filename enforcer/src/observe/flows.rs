//! Which flows are meant, and in which order they are shown.

use std::cmp::Reverse;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::dataplane::Flow;

/// Which flows are meant. A flow is meant that fits all of it.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only with these peers; empty: all.
    pub peers: Vec<IpNet>,
    /// Only this port of the peer.
    pub port: Option<u16>,
    /// Only this port of the protected host.
    pub local_port: Option<u16>,
    /// Only this IP protocol.
    pub protocol: Option<u8>,
    /// Only those that were opened at least so long ago.
    pub older_than: Option<Duration>,
    /// Only those of which nothing has left for at least so long.
    pub silent_for: Option<Duration>,
}

impl Filter {
    /// Whether every flow is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { peers, port, local_port, protocol, older_than, silent_for } = self;
        peers.is_empty()
            && port.is_none()
            && local_port.is_none()
            && protocol.is_none()
            && older_than.is_none()
            && silent_for.is_none()
    }

    /// Whether a flow is meant, at this moment.
    #[must_use]
    pub fn admits(&self, flow: &Flow, now: Timestamp) -> bool {
        let is_long_ago =
            |wanted: Option<Duration>, then: Timestamp| wanted.is_none_or(|wanted| age(then, now) >= wanted);
        (self.peers.is_empty() || self.peers.iter().any(|net| net.contains(&flow.remote)))
            && self.port.is_none_or(|port| flow.remote_port == Some(port))
            && self.local_port.is_none_or(|port| flow.local_port == port)
            && self.protocol.is_none_or(|protocol| flow.protocol == protocol)
            && is_long_ago(self.older_than, flow.opened)
            && is_long_ago(self.silent_for, flow.last_out)
    }
}

/// How long ago something was, in whole seconds.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.as_second() - then.as_second()).unwrap_or(0))
}

/// By what flows are sorted; flows that are equal in it are in the order of their addresses and ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Order {
    /// Those of which a packet has left last come first.
    Last,
    /// The oldest first.
    Age,
    /// By the peer's address.
    Peer,
    /// By protocol and port of the peer.
    Port,
}

/// Sorts flows.
pub fn sort(flows: &mut [Flow], order: Order) {
    flows.sort_by_cached_key(|flow| {
        let second = match order {
            Order::Last => Reverse(flow.last_out.as_second()),
            Order::Age => Reverse(-flow.opened.as_second()),
            Order::Peer | Order::Port => Reverse(0),
        };
        let port = (flow.protocol, flow.remote_port);
        let by_port = (order == Order::Port).then_some(port);
        (second, by_port, flow.remote, port, flow.local, flow.local_port)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(10_000).unwrap()
    }

    #[test]
    fn a_filter_takes_what_fits_all_of_it() {
        let flow = Flow::example(17, "10.0.0.9", 53, "10.0.0.1", 9_000, 9_990);
        assert!(Filter::default().is_empty() && Filter::default().admits(&flow, now()));
        let fits = Filter {
            peers: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            port: Some(53),
            local_port: Some(40_000),
            protocol: Some(17),
            older_than: Some(Duration::from_secs(1000)),
            silent_for: Some(Duration::from_secs(10)),
        };
        assert!(!fits.is_empty() && fits.admits(&flow, now()));
        for other in [
            Filter { peers: vec!["10.1.0.0/16".parse().unwrap()], ..fits.clone() },
            Filter { port: Some(54), ..fits.clone() },
            Filter { local_port: Some(40_001), ..fits.clone() },
            Filter { protocol: Some(6), ..fits.clone() },
            Filter { older_than: Some(Duration::from_secs(1001)), ..fits.clone() },
            Filter { silent_for: Some(Duration::from_secs(11)), ..fits.clone() },
        ] {
            assert!(!other.admits(&flow, now()), "{other:?}");
        }
    }

    #[test]
    fn flows_are_sorted_and_equal_ones_by_address() {
        let mut flows = vec![
            Flow::example(17, "10.0.0.9", 53, "10.0.0.1", 9_000, 9_500),
            Flow::example(6, "10.0.0.10", 443, "10.0.0.1", 8_000, 9_500),
            Flow::example(6, "10.0.0.1", 80, "10.0.0.1", 9_500, 9_990),
        ];
        let ports = |flows: &[Flow]| flows.iter().filter_map(|flow| flow.remote_port).collect::<Vec<_>>();
        sort(&mut flows, Order::Last);
        assert_eq!(ports(&flows), [80, 53, 443]);
        sort(&mut flows, Order::Age);
        assert_eq!(ports(&flows), [443, 53, 80]);
        sort(&mut flows, Order::Peer);
        assert_eq!(ports(&flows), [80, 53, 443]);
        sort(&mut flows, Order::Port);
        assert_eq!(ports(&flows), [80, 443, 53]);
    }
}
