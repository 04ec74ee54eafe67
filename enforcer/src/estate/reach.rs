//! Who may talk to whom: the conversations that both ends of an estate permit.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use enforcer_common::Direction;
use ipnet::IpNet;

use super::ends::{End, Ends, covers};
use super::ports::{Ports, common, without};
use crate::policy::catalogue::merge_ranges;
use crate::policy::ruleset::{Action, Match, Rule};

/// A conversation that may begin.
#[derive(Clone, Debug)]
pub struct Conversation<'r> {
    /// Who connects: a host, or a name of `outside:`.
    pub from: &'r str,
    /// Where to: the same.
    pub to: &'r str,
    /// IP protocol.
    pub protocol: u8,
    /// Ports.
    pub ports: Ports,
    /// The rule that lets it out; none where it comes from outside, or what leaves the host is not judged.
    pub out_by: Option<&'r Rule>,
    /// The rule that lets it in; none where it leads outside.
    pub in_by: Option<&'r Rule>,
}

/// The permits of TCP, UDP and SCTP of an end in a direction.
fn permits<'r>(end: &'r End<'_>, direction: Direction) -> impl Iterator<Item = (&'r Rule, u8, &'r Ports)> {
    of_action(end, direction, Action::Permit)
}

fn of_action<'r>(
    end: &'r End<'_>,
    direction: Direction,
    action: Action,
) -> impl Iterator<Item = (&'r Rule, u8, &'r Ports)> {
    end.rules.iter().filter(move |rule| rule.direction == direction && rule.action == action).filter_map(|rule| {
        match &rule.matches {
            Match::Ports { protocol, ports } => Some((rule, *protocol, ports)),
            Match::Protocol(_) | Match::Ethertype(_) | Match::Echo => None,
        }
    })
}

/// Every conversation that both ends permit, in the order of hosts.
#[must_use]
pub fn conversations<'r>(ends: &'r Ends<'_>) -> Vec<Conversation<'r>> {
    let mut found = Vec::new();
    for from in ends.hosts.values() {
        for to in ends.hosts.values().filter(|to| to.host.name != from.host.name) {
            between(from, to, &mut found);
        }
    }
    let outside = samples(ends);
    for end in ends.hosts.values() {
        for (name, addresses) in &outside {
            with_outside(end, name, addresses, &mut found);
        }
    }
    found
}

/// The conversations from one host to another.
fn between<'r>(from: &'r End<'_>, to: &'r End<'_>, found: &mut Vec<Conversation<'r>>) {
    let ways = from.ways(to);
    if ways.is_empty() {
        return;
    }
    let leaves = |rule: &Rule| ways.iter().any(|(_, target)| covers(rule, *target));
    let outs: Vec<_> = permits(from, Direction::Outbound).filter(|(rule, ..)| leaves(rule)).collect();
    if outs.is_empty() && from.site.outbound_judged {
        return;
    }
    let closed_out = denied(from, Direction::Outbound, &ways, true);
    let closed_in = denied(to, Direction::Inbound, &ways, false);
    for (in_by, protocol, ports) in permits(to, Direction::Inbound) {
        let fitting: Vec<_> = ways.iter().filter(|(source, _)| covers(in_by, *source)).collect();
        if fitting.is_empty() {
            continue;
        }
        let open = open(ports, protocol, [&closed_out, &closed_in]);
        if open.is_empty() {
            continue;
        }
        if !from.site.outbound_judged {
            found.push(Conversation {
                from: &from.host.name,
                to: &to.host.name,
                protocol,
                ports: open,
                out_by: None,
                in_by: Some(in_by),
            });
            continue;
        }
        for (out_by, of, leaving) in &outs {
            if *of != protocol || !fitting.iter().any(|(_, target)| covers(out_by, *target)) {
                continue;
            }
            let ports = common(&open, leaving);
            if !ports.is_empty() {
                found.push(Conversation {
                    from: &from.host.name,
                    to: &to.host.name,
                    protocol,
                    ports,
                    out_by: Some(out_by),
                    in_by: Some(in_by),
                });
            }
        }
    }
}

/// The conversations between a host and remote devices that are none.
fn with_outside<'r>(end: &'r End<'_>, name: &'r str, addresses: &[IpAddr], found: &mut Vec<Conversation<'r>>) {
    for direction in Direction::ALL {
        let named = |rule: &Rule| match (&rule.peers, &rule.prefixes) {
            // A rule for anybody says nothing of these devices.
            (_, None) => false,
            (Some(peers), _) if peers.iter().any(|peer| peer == name) => true,
            _ => addresses.iter().any(|address| covers(rule, *address)),
        };
        let mut closed: BTreeMap<u8, Ports> = BTreeMap::new();
        for (rule, protocol, ports) in of_action(end, direction, Action::Deny) {
            if addresses.iter().all(|address| covers(rule, *address)) {
                closed.entry(protocol).or_default().extend(ports.iter().cloned());
            }
        }
        for (rule, protocol, ports) in permits(end, direction).filter(|(rule, ..)| named(rule)) {
            let ports = open(ports, protocol, [&closed]);
            if ports.is_empty() {
                continue;
            }
            let host = end.host.name.as_str();
            found.push(match direction {
                Direction::Inbound => {
                    Conversation { from: name, to: host, protocol, ports, out_by: None, in_by: Some(rule) }
                }
                Direction::Outbound => {
                    Conversation { from: host, to: name, protocol, ports, out_by: Some(rule), in_by: None }
                }
            });
        }
    }
}

/// Ports that deny rules close on every way between two hosts.
fn denied(end: &End<'_>, direction: Direction, ways: &[(IpAddr, IpAddr)], outbound: bool) -> BTreeMap<u8, Ports> {
    let mut closed: BTreeMap<u8, Ports> = BTreeMap::new();
    for (rule, protocol, ports) in of_action(end, direction, Action::Deny) {
        if ways.iter().all(|(source, target)| covers(rule, if outbound { *target } else { *source })) {
            closed.entry(protocol).or_default().extend(ports.iter().cloned());
        }
    }
    closed
}

fn open<const N: usize>(ports: &Ports, protocol: u8, closed: [&BTreeMap<u8, Ports>; N]) -> Ports {
    let mut open = ports.clone();
    for closed in closed {
        if let Some(closed) = closed.get(&protocol) {
            open = without(&open, &merge_ranges(closed.clone()));
        }
    }
    open
}

/// Names of `outside:` that are no list of hosts alone, each with the first addresses of its prefixes.
fn samples<'r>(ends: &'r Ends<'_>) -> BTreeMap<&'r str, Vec<IpAddr>> {
    /// Further prefixes of a name are found by the name.
    const MOST: usize = 16;
    let hosts: BTreeSet<IpNet> =
        ends.estate.hosts.values().flat_map(|host| &host.addresses).map(|address| IpNet::from(*address)).collect();
    let outside = ends.estate.outside.iter().map(|(name, outside)| {
        let nets = outside.nets.keys().filter(|net| !hosts.contains(*net)).take(MOST);
        (name.as_str(), nets.map(IpNet::network).collect::<Vec<_>>())
    });
    outside.filter(|(_, addresses)| !addresses.is_empty()).collect()
}
