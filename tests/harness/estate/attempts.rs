//! Who tries what: each port that a host serves from every other host, and one unserved port a pair.

use std::collections::BTreeSet;
use std::net::IpAddr;

use enforcer::policy::ruleset::{Action, Match, Ruleset};
use enforcer_common::Direction;

use super::lan::Station;
use crate::packet::protocol::{TCP, UDP};

/// Where the search for a port that a host does not serve begins.
const UNSERVED: u16 = 4444;

/// One host tries one port of another one.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The station that sends, by its place.
    pub from: usize,
    /// Its address.
    pub source: IpAddr,
    /// The station that it sends to.
    pub to: usize,
    /// Its address.
    pub target: IpAddr,
    /// TCP or UDP.
    pub protocol: u8,
    /// The port that is tried.
    pub port: u16,
    /// Whether any rule of the target is about the port.
    pub is_served: bool,
}

/// The ports of a host that are tried, by protocol.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    /// Ports that it serves: every port of a rule, of ranges the ends and the middle.
    pub served: BTreeSet<(u8, u16)>,
    /// A port of each protocol that it does not.
    pub unserved: [(u8, u16); 2],
}

impl Tried {
    /// What is to be tried at a host with these rules; at one without, what nobody serves.
    #[must_use]
    pub fn of(ruleset: Option<&Ruleset>) -> Self {
        let ranges: Vec<_> = ruleset
            .iter()
            .flat_map(|ruleset| &ruleset.rules)
            .filter(|rule| rule.direction == Direction::Inbound && rule.action != Action::Deny)
            .filter_map(|rule| match &rule.matches {
                Match::Ports { protocol, ports } => Some((*protocol, ports)),
                Match::Protocol(_) | Match::Ethertype(_) | Match::Echo => None,
            })
            .filter(|(protocol, _)| matches!(*protocol, TCP | UDP))
            .flat_map(|(protocol, ports)| ports.iter().map(move |range| (protocol, *range.start(), *range.end())))
            .collect();
        let served = ranges.iter().flat_map(|&(protocol, start, end)| {
            // Nobody can listen on port 0.
            [start.max(1), start + (end - start) / 2, end].map(|port| (protocol, port))
        });
        let unserved = [TCP, UDP].map(|protocol| {
            let is_free =
                |port: &u16| !ranges.iter().any(|(of, start, end)| *of == protocol && (*start..=*end).contains(port));
            (protocol, (UNSERVED..).find(is_free).expect("no host serves every port"))
        });
        Self { served: served.filter(|(_, port)| *port > 0).collect(), unserved }
    }

    /// All of them, each with whether it is served.
    pub fn all(&self) -> impl Iterator<Item = ((u8, u16), bool)> {
        self.served.iter().map(|port| (*port, true)).chain(self.unserved.map(|port| (port, false)))
    }
}

/// Every attempt, by the station that sends; one target after the other, so that no queue of one of them fills.
#[must_use]
pub fn attempts(stations: &[Station], tried: &[Tried]) -> Vec<Attempt> {
    let mut all = Vec::new();
    for (from, sender) in stations.iter().enumerate() {
        let mut own: Vec<(usize, Attempt)> = Vec::new();
        for (to, receiver) in stations.iter().enumerate().filter(|(to, _)| *to != from) {
            for (source, target) in ways(sender, receiver) {
                own.extend(tried[to].all().enumerate().map(|(round, ((protocol, port), is_served))| {
                    (round, Attempt { from, source, to, target, protocol, port, is_served })
                }));
            }
        }
        own.sort_by_key(|(round, attempt)| (*round, attempt.to));
        all.extend(own.into_iter().map(|(_, attempt)| attempt));
    }
    all
}

/// The pairs of addresses by which one station reaches another, one of each family.
fn ways(from: &Station, to: &Station) -> Vec<(IpAddr, IpAddr)> {
    let of = |station: &Station, v4: bool| station.addresses.iter().copied().find(|address| address.is_ipv4() == v4);
    [true, false].into_iter().filter_map(|v4| Some((of(from, v4)?, of(to, v4)?))).collect()
}

/// A port that clients send from, the first of several in a row on which nobody listens.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn client_port(tried: &[Tried]) -> u16 {
    const ROW: u16 = 8;
    let taken: BTreeSet<u16> = tried.iter().flat_map(Tried::all).map(|((_, port), _)| port).collect();
    let is_free = |first: &u16| taken.range(first..&(first + ROW)).next().is_none();
    (33_000..60_000).find(is_free).expect("nobody listens on thousands of ports")
}
