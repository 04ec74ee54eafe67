//! Answers to what this host asked a group: they come from other addresses than it asked, and to another port each time.

use std::collections::BTreeSet;
use std::net::IpAddr;

use enforcer_common::packet::UDP;
use enforcer_common::{Direction, Reason};

use super::MOST_REMOTES;
use super::kinds::{Class, Denied, Flow, Tried, Unexplained};

/// The first port that Linux gives to clients, and the last (`ip_local_port_range`).
const CLIENT_PORTS: std::ops::RangeInclusive<u16> = 32768..=60999;
/// Ports of clients from which on nobody has chosen them.
const FEW: usize = 3;

/// Takes what looks like such answers away, and says once what would help; `None` where there are none.
pub(super) fn leave(open: &mut Vec<Denied>, unexplained: &mut Vec<Unexplained>) -> Option<String> {
    let ports: BTreeSet<u16> = open.iter().filter_map(client_port).collect();
    if ports.len() < FEW {
        return None;
    }
    let (answers, rest): (Vec<_>, Vec<_>) =
        std::mem::take(open).into_iter().partition(|flow| client_port(flow).is_some());
    *open = rest;
    let remotes: BTreeSet<IpAddr> = answers.iter().filter_map(|flow| flow.remote).collect();
    let why = "looks like an answer to multicast or broadcast, which comes to another port each time";
    let left = |flow| Unexplained { flow: Flow::from(flow), class: Class::Answer, why: why.to_owned() };
    unexplained.extend(answers.iter().map(left));
    let end = if ports.last().is_some_and(|last| CLIENT_PORTS.contains(last)) { *CLIENT_PORTS.end() } else { u16::MAX };
    let from = if remotes.len() > MOST_REMOTES {
        "...".to_owned()
    } else {
        let quoted = |one: &IpAddr| if one.is_ipv6() { format!("\"{one}\"") } else { one.to_string() };
        remotes.iter().map(quoted).collect::<Vec<_>>().join(", ")
    };
    let hosts = if remotes.len() == 1 { "1 address".to_owned() } else { format!("{} addresses", remotes.len()) };
    Some(format!(
        "UDP to {} ports that a system gives to its clients, from {hosts}, looks like answers to multicast or broadcast: they \
         come from other addresses than were asked, so no flow lets them in, and the next one comes to another port. An entry \
         for each port would not help. One for all such ports does, and lets these hosts reach every UDP port in the range:\n\
         allow:\n  - {{name: answers-to-multicast, protocol: udp, ports: [{}-{end}], from: [{from}]}}",
        ports.len(),
        CLIENT_PORTS.start()
    ))
}

/// The port of a flow that no rule names and that a system gives to its clients.
fn client_port(flow: &Denied) -> Option<u16> {
    let is_unknown = flow.direction == Direction::Inbound && flow.reason == Reason::NoRule;
    match flow.tried {
        Tried::Port { protocol: UDP, port } if is_unknown && port >= *CLIENT_PORTS.start() => Some(port),
        Tried::Port { .. } | Tried::Protocol(_) | Tried::Icmp { .. } | Tried::Ethertype(_) => None,
    }
}
