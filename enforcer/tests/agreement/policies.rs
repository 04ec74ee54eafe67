//! Random policies and hosts, over few enough ports and prefixes that packets and rules meet.

use enforcer::host::sockets::EPHEMERAL_OF_GUESTS;
use enforcer::judge::host::Host;
use enforcer::policy::claims::{Claims, Mac};
use enforcer::policy::compile::assemble;
use enforcer::policy::ruleset::{Action, FlowSettings, Match, Rule, Ruleset, Scope, Settings};
use enforcer_common::layout::holder;
use enforcer_common::{Direction, Mode};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Ports that rules and packets use.
pub(crate) const PORTS: &[u16] =
    &[0, 22, 53, 67, 68, 69, 80, 123, 443, 500, 546, 547, 4500, 5000, 5001, 32768, 40000, 40001, 60999, 61000, 65535];

const PREFIXES: &[&str] = &[
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.0/24",
    "10.1.1.5/32",
    "10.2.0.0/15",
    "::/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "2001:db8:1::5/128",
    "fe80::/10",
];

/// A policy and the host that it is for.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) ruleset: Ruleset,
    pub(crate) host: Host,
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    (vec(rule(), 0..14), settings(), host()).prop_map(|(mut rules, settings, host)| {
        rules.sort_by_key(|rule| rule.action);
        for (number, rule) in rules.iter_mut().enumerate() {
            rule.id = format!("site/{number}");
        }
        World { ruleset: assemble(rules, settings).expect("few rules"), host }
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let scope = prop_oneof![3 => Just(None), 1 => Just(Some(Scope::All)), 2 => Just(Some(Scope::Host))];
    (any::<bool>(), scope).prop_map(|(outbound_judged, scope)| Settings {
        outbound_judged,
        scope,
        // Short, so that time steps of a test run them out.
        flows: FlowSettings { entries: Some(1024), tcp: 100, tcp_closing: 5, udp: 20, one_way: 50, icmp: 10 },
    })
}

fn host() -> impl Strategy<Value = Host> {
    let listeners = subsequence(PORTS, 0..4);
    let kind = (prop::bool::weighted(0.2), prop::bool::weighted(0.3), claims(), subsequence(HOLDERS, 0..5));
    (listeners, kind).prop_map(|(listeners, (bridge_port, guest, claims, holders))| Host {
        addresses: ["10.0.0.1", "10.0.0.255", "2001:db8::1", "fe80::1"]
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect(),
        macs: vec![enforcer::judge::frame::OUR_MAC],
        bridge_port,
        guest,
        claims,
        holders: holders.into_iter().map(|(net, holder)| (net.parse().expect("a prefix"), holder)).collect(),
        ephemeral: if guest { EPHEMERAL_OF_GUESTS } else { Host::default().ephemeral },
        listeners: listeners.into_iter().flat_map(|port| [(6, port), (17, port)]).collect(),
        forwards: vec!["192.0.2.0/24".parse().expect("a prefix"), "2001:db8:f::/48".parse().expect("a prefix")],
    })
}

/// Whose addresses are whose. Slot 1 is the guest's.
const HOLDERS: &[(&str, u32)] = &[
    ("10.0.0.0/24", 1),
    ("10.0.0.1/32", holder::MACHINE),
    ("192.0.2.9/32", 2),
    ("10.0.0.0/28", holder::SHARED),
    ("2001:db8::/64", 1),
    ("2001:db8::1/128", holder::ROUTER),
    ("2001:db8::7/128", 3),
];

/// What a guest may claim: addresses that it has in these tests, and others.
fn claims() -> impl Strategy<Value = Claims> {
    const ADDRESSES: &[&str] =
        &["10.0.0.1/32", "10.0.0.0/24", "192.0.2.9/32", "2001:db8::1/128", "2001:db8::/64", "10.0.0.7/32"];
    const SHARED: &[&str] = &["10.0.0.255/32", "2001:db8::7/128", "10.0.0.0/30", "10.0.0.7/32"];
    let nets = |texts: Vec<&str>| texts.into_iter().map(|text| text.parse().expect("a prefix")).collect();
    let mac = prop_oneof![2 => Just(None), 2 => Just(Some(Mac([2, 0, 0, 0, 0, 2]))), 1 => Just(Some(Mac([2, 0, 0, 0, 9, 2])))];
    let addresses = prop_oneof![1 => Just(vec![]), 3 => subsequence(ADDRESSES, 1..5)];
    (addresses, subsequence(SHARED, 0..3), mac, any::<bool>(), any::<bool>()).prop_map(
        move |(addresses, shared, mac, router, dhcp_server)| Claims {
            addresses: nets(addresses),
            shared: nets(shared),
            mac,
            router,
            dhcp_server,
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let direction = prop_oneof![2 => Just(Direction::Inbound), 1 => Just(Direction::Outbound)];
    let action = prop_oneof![2 => Just(Action::Deny), 6 => Just(Action::Permit), 1 => Just(Action::Internal)];
    let mode = prop_oneof![3 => Just(None), 1 => Just(Some(Mode::Audit)), 1 => Just(Some(Mode::Enforce))];
    (direction, action, matches(), prefixes(), mode, prop::bool::weighted(0.3)).prop_map(
        |(direction, mut action, matches, mut prefixes, mode, answer_any)| {
            if action == Action::Internal
                && (direction, true) != (Direction::Inbound, matches!(matches, Match::Ports { .. }))
            {
                action = Action::Permit;
            }
            // A frame without an IP header has no source that a rule could name.
            if action == Action::Internal || matches!(matches, Match::Ethertype(_)) {
                prefixes = None;
            }
            Rule {
                id: String::new(),
                direction,
                action,
                matches,
                peers: None,
                prefixes: prefixes.map(Into::into),
                exposure: "open".into(),
                mode,
                answer_any: answer_any && direction == Direction::Outbound,
                sources: Vec::new(),
            }
        },
    )
}

fn matches() -> impl Strategy<Value = Match> {
    let ports = (select(&[6_u8, 6, 17, 17, 132][..]), vec(range(), 1..4))
        .prop_map(|(protocol, ranges)| Match::Ports { protocol, ports: merged(ranges) });
    prop_oneof![
        12 => ports,
        2 => select(&[1_u8, 2, 6, 47, 50, 50, 50, 51, 58, 59, 112][..]).prop_map(Match::Protocol),
        1 => select(&[0x0842_u16, 0x8864, 0x0806, 0x0800, 0x0100][..]).prop_map(Match::Ethertype),
        2 => Just(Match::Echo),
    ]
}

fn range() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![
        40 => select(PORTS).prop_map(|port| (port, port)),
        4 => select(PORTS).prop_map(|port| (port, port.saturating_add(2))),
        1 => (select(PORTS), select(PORTS)).prop_map(|(a, b)| (a.min(b), a.max(b))),
    ]
}

/// Ascending ranges that do not touch.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<std::ops::RangeInclusive<u16>> {
    ranges.sort_unstable();
    let mut merged: Vec<std::ops::RangeInclusive<u16>> = Vec::new();
    for (start, end) in ranges {
        match merged.last_mut() {
            Some(last) if start <= last.end().saturating_add(1) => *last = *last.start()..=end.max(*last.end()),
            _ => merged.push(start..=end),
        }
    }
    merged
}

fn prefixes() -> impl Strategy<Value = Option<Vec<IpNet>>> {
    let some = subsequence(PREFIXES, 0..5).prop_map(|prefixes| {
        let nets: Vec<IpNet> = prefixes.iter().map(|prefix| prefix.parse().expect("a prefix")).collect();
        let mut nets = IpNet::aggregate(&nets);
        nets.sort_unstable();
        Some(nets)
    });
    prop_oneof![1 => Just(None), 2 => some]
}
