//! `tests:` of an estate: whether each holds.

use std::collections::BTreeSet;
use std::net::IpAddr;

use enforcer_common::Direction;
use enforcer_common::numbers::{ICMP, SCTP, TCP, UDP};
use ipnet::IpNet;

use super::ends::{End, Ends, covers};
use crate::policy::estate::Test;
use crate::policy::ruleset::{Action, Match};
use crate::policy::site::{Echo, protocol_name};

/// Why a test does not hold; `None`: it does.
pub(super) fn failure(ends: &Ends<'_>, test: &Test) -> Option<String> {
    let what = match test.port {
        Some(port) => format!("{} {port}", protocol_name(test.protocol)),
        None => protocol_name(test.protocol),
    };
    let mut tried = false;
    let mut passed = None;
    let mut refused = None;
    for (from, to) in pairs(ends, test) {
        tried = true;
        match refusal(ends, test, from, to) {
            Some(why) => drop(refused.get_or_insert((from, why))),
            None => drop(passed.get_or_insert((from, to))),
        }
    }
    let Test { from, to, passes, .. } = test;
    if !tried {
        return Some(format!("the test from `{from}` to `{to}` compares no two addresses of one family"));
    }
    match (passes, refused, passed) {
        (true, Some((address, why)), _) => {
            Some(format!("{what} from `{from}` ({address}) to `{to}` must pass, and {why}"))
        }
        (false, _, Some((source, target))) => {
            Some(format!("{what} from `{from}` to `{to}` must be refused, and from {source} to {target} it passes"))
        }
        (true, None, _) | (false, _, None) => None,
    }
}

/// Pairs of addresses that stand for all: every rule treats those between them alike.
fn pairs(ends: &Ends<'_>, test: &Test) -> Vec<(IpAddr, IpAddr)> {
    let (from, to) = (ends.hosts.get(test.from.as_str()), ends.hosts.get(test.to.as_str()));
    let sources = samples(&test.sources, &told(to));
    let destinations = samples(&test.destinations, &told(from));
    let pairs = sources.iter().flat_map(|source| destinations.iter().map(move |target| (*source, *target)));
    pairs.filter(|(source, target)| source.is_ipv4() == target.is_ipv4() && source != target).collect()
}

/// The prefixes that the rules of an end tell apart.
fn told(end: Option<&End<'_>>) -> Vec<IpNet> {
    let rules = end.into_iter().flat_map(|end| &end.rules).filter_map(|rule| rule.prefixes.as_ref());
    let nets: BTreeSet<IpNet> = rules.flat_map(|prefixes| prefixes.iter().copied()).collect();
    nets.into_iter().collect()
}

/// The first and last address of each prefix, and those at the edges of what the rules tell apart within it.
fn samples(nets: &[IpNet], told: &[IpNet]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for net in nets {
        found.extend([net.network(), net.broadcast()]);
        for inner in told.iter().filter(|inner| net.contains(*inner)) {
            found.extend([inner.network(), inner.broadcast()]);
            let after = next(inner.broadcast()).filter(|after| net.contains(after));
            found.extend(after);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => u32::from(address).checked_add(1).map(|next| IpAddr::V4(next.into())),
        IpAddr::V6(address) => u128::from(address).checked_add(1).map(|next| IpAddr::V6(next.into())),
    }
}

/// Which end refuses the packet; `None`: it passes.
fn refusal(ends: &Ends<'_>, test: &Test, source: IpAddr, target: IpAddr) -> Option<String> {
    if let Some(end) = ends.hosts.get(test.from.as_str())
        && !passes(end, Direction::Outbound, test, target)
    {
        return Some(format!("`{}` does not let it out", test.from));
    }
    if let Some(end) = ends.hosts.get(test.to.as_str())
        && !passes(end, Direction::Inbound, test, source)
    {
        return Some(format!("`{}` does not let it in", test.to));
    }
    None
}

/// Whether the policy of a host lets a packet pass.
pub(super) fn passes(end: &End<'_>, direction: Direction, test: &Test, remote: IpAddr) -> bool {
    let fits = |found: &Match| match (found, test.port) {
        (Match::Ports { protocol, ports }, Some(port)) => {
            *protocol == test.protocol && ports.iter().any(|range| range.contains(&port))
        }
        (Match::Protocol(protocol), None) => *protocol == test.protocol,
        (Match::Echo, None) => test.protocol == ICMP,
        (Match::Ports { .. } | Match::Protocol(_) | Match::Ethertype(_) | Match::Echo, _) => false,
    };
    let rules =
        || end.rules.iter().filter(|rule| rule.direction == direction && covers(rule, remote) && fits(&rule.matches));
    if rules().any(|rule| rule.action == Action::Deny) {
        return false;
    }
    if direction == Direction::Outbound && (!end.site.outbound_judged || always_leaves(test)) {
        return true;
    }
    if test.protocol == ICMP {
        return direction == Direction::Outbound || end.site.icmp_echo == Echo::Any || rules().next().is_some();
    }
    rules().any(|rule| rule.action == Action::Permit)
}

/// Name resolution and time of the host itself leave whatever its connections are.
fn always_leaves(test: &Test) -> bool {
    matches!((test.protocol, test.port), (TCP | UDP, Some(53)) | (UDP, Some(123))) && test.protocol != SCTP
}
