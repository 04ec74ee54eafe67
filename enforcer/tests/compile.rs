//! The compiler against a plain reading of the rules, and its promises: order does not matter, every role compiles.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::net::IpAddr;

use enforcer::policy::catalogue::{ParameterKind, PortExpression, Setting, Settings, embedded};
use enforcer::policy::compile::{Compiled, compile};
use enforcer::policy::ruleset::{Action, Match, Rule, Ruleset};
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use enforcer_common::{Direction, Entry, EntryKind, Mode, ServiceIndex};
use jiff::civil::date;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_tables_say_what_the_rules_say(parts in parts(), probes in proptest::collection::vec(probe(), 200)) {
        let ruleset = ruleset(&parts.text());
        for (direction, service, remote) in probes {
            let told = ruleset.entry(direction, service, remote);
            let expected = naive(&ruleset.rules, direction, service, remote);
            prop_assert_eq!(told, expected, "{:?} {:?} {} in\n{}", direction, service, remote, parts.text());
        }
    }

    #[test]
    fn the_order_of_the_file_does_not_matter(parts in parts(), seed in any::<u64>()) {
        let (one, other) = (ruleset(&parts.text()), ruleset(&parts.shuffled(seed).text()));
        prop_assert_eq!(&one.hash, &other.hash);
        prop_assert_eq!(one, other);
    }
}

#[test]
fn every_role_compiles_for_instances_0_to_3_and_both_sides() {
    let catalogue = embedded().unwrap();
    for role in catalogue.roles.keys() {
        for instance in 0..4 {
            for side in ["a", "b"] {
                let mut settings = defaults(role);
                settings.entry("instance".to_owned()).and_modify(|value| *value = Setting::Integer(instance));
                settings.entry("side".to_owned()).and_modify(|value| *value = Setting::Choice(side.to_owned()));
                let values = settings.iter().map(|(name, value)| format!("{name}: \"{value}\""));
                let fields: Vec<String> = std::iter::once(format!("role: {role}")).chain(values).collect();
                let text = format!("interfaces: [eth0]\nroles: [{{{}}}]\n", fields.join(", "));
                let ruleset = ruleset(&text);
                assert!(ruleset.rules.len() > 1, "{role} compiles to nothing");
                for rule in ruleset.rules.iter().filter(|rule| !rule.id.starts_with("site/")) {
                    assert!(!rule.sources.is_empty(), "{} has no source", rule.id);
                }
            }
        }
    }
}

/// Every row of the documents whose ports are numbers on the listening side is a rule of some role.
#[test]
fn no_printed_listener_port_is_without_a_rule() {
    let catalogue = embedded().unwrap();
    for role in catalogue.roles.values() {
        for service in &role.services {
            let mut settings = defaults(&role.name);
            for (name, value) in service.when.iter().chain(service.ports.iter().flat_map(|port| &port.when)) {
                settings.insert(name.clone(), Setting::Choice(value.clone()));
            }
            let fields: Vec<String> = settings.iter().map(|(name, value)| format!("{name}: \"{value}\"")).collect();
            let text = format!(
                "interfaces: [eth0]\nephemeral: open\nroles: [{{role: {}, {}}}]\n",
                role.name,
                fields.join(", ")
            );
            let ruleset = ruleset(&text);
            let id = format!("{}/{}", role.name, service.name);
            let words = service.ports.iter().all(|port| matches!(port.port, PortExpression::Word(_)));
            assert_eq!(
                ruleset.rules.iter().any(|rule| rule.id == id && rule.direction == Direction::Inbound),
                !words,
                "{id} in\n{text}"
            );
        }
    }
}

/// A complete setting of a role: its defaults, else the first thing that is allowed.
fn defaults(role: &str) -> Settings {
    let parameters = embedded().unwrap().parameters(role).into_iter();
    let settings = parameters.map(|(name, parameter)| {
        let setting = parameter.default.clone().unwrap_or_else(|| match &parameter.kind {
            ParameterKind::Integer(range) => Setting::Integer(*range.start()),
            ParameterKind::Choice(values) => Setting::Choice(values[0].clone()),
            ParameterKind::Port | ParameterKind::Ports => Setting::Ports(vec![16384..=16384]),
        });
        (name.to_owned(), setting)
    });
    settings.collect()
}

/// The decision as the module documentation of the compiler words it, rule by rule.
fn naive(rules: &[Rule], direction: Direction, service: ServiceIndex, remote: IpAddr) -> Entry {
    let naming: Vec<(u16, &Rule)> =
        (0..).zip(rules).filter(|(_, rule)| rule.direction == direction && names(&rule.matches, service)).collect();
    let for_remote =
        |rule: &Rule| rule.prefixes.as_ref().is_none_or(|nets| nets.iter().any(|net| net.contains(&remote)));
    let audit = |rule: &Rule| rule.mode == Some(Mode::Audit);
    let of = |action| naming.iter().copied().filter(move |(_, rule)| rule.action == action);
    if let Some((number, _)) = of(Action::Deny).find(|(_, rule)| for_remote(rule) && !audit(rule)) {
        return Entry::new(EntryKind::Deny, number);
    }
    if let Some((number, _)) = of(Action::Deny).find(|(_, rule)| for_remote(rule)) {
        return Entry::new(EntryKind::Deny, number).with(Entry::AUDIT);
    }
    if let Some((number, _)) = of(Action::Permit).find(|(_, rule)| for_remote(rule)) {
        let any = of(Action::Permit).any(|(_, rule)| for_remote(rule) && rule.answer_any);
        return Entry::new(EntryKind::Permit, number).with(if any { Entry::ANSWER_ANY } else { 0 });
    }
    let refused = |kind, number| {
        let all = of(Action::Permit).chain(of(Action::Internal)).all(|(_, rule)| audit(rule));
        Entry::new(kind, number).with(if all { Entry::AUDIT } else { 0 })
    };
    if let Some((number, _)) = of(Action::Permit).next() {
        return refused(EntryKind::Peer, number);
    }
    of(Action::Internal).next().map_or(Entry::NONE, |(number, _)| refused(EntryKind::Internal, number))
}

fn names(matches: &Match, service: ServiceIndex) -> bool {
    match matches {
        Match::Ports { protocol, ports } => ports.iter().any(|range| {
            let index = |port| ServiceIndex::port(*protocol, port);
            (index(*range.start())..=index(*range.end())).contains(&Some(service))
        }),
        Match::Protocol(protocol) => ServiceIndex::protocol(*protocol) == service,
        Match::Ethertype(ethertype) => ServiceIndex::ethertype(*ethertype) == service,
        Match::Echo => ServiceIndex::ECHO == service,
    }
}

fn ruleset(text: &str) -> Ruleset {
    let catalogue = embedded().unwrap();
    let site = match site::read(Text::new("site.yaml", text), catalogue) {
        Ok(site) => site,
        Err(findings) => panic!("{findings}\n{text}"),
    };
    let Compiled { ruleset, .. } = compile(&site, catalogue, date(2026, 11, 22)).unwrap();
    ruleset
}

/// A random site, in parts that may be shuffled.
#[derive(Clone, Debug)]
struct Parts {
    head: Vec<String>,
    roles: Vec<String>,
    peers: Vec<(String, Vec<String>)>,
    allow: Vec<String>,
    deny: Vec<String>,
}

impl Parts {
    fn text(&self) -> String {
        let list = |items: &[String]| items.iter().map(|item| format!("\n  - {item}")).collect::<String>();
        let peers: String =
            self.peers.iter().map(|(name, nets)| format!("\n  {name}: [{}]", nets.join(", "))).collect();
        let mut text = self.head.join("\n") + "\n";
        for (key, value) in
            [("roles", list(&self.roles)), ("peers", peers), ("allow", list(&self.allow)), ("deny", list(&self.deny))]
        {
            if !value.is_empty() {
                text += &format!("{key}:{value}\n");
            }
        }
        text
    }

    fn shuffled(&self, mut seed: u64) -> Self {
        fn shuffle<T>(list: &mut [T], seed: &mut u64) {
            for i in (1..list.len()).rev() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                list.swap(i, usize::try_from(*seed >> 33).unwrap() % (i + 1));
            }
        }
        let mut other = self.clone();
        shuffle(&mut other.head, &mut seed);
        shuffle(&mut other.roles, &mut seed);
        shuffle(&mut other.peers, &mut seed);
        shuffle(&mut other.allow, &mut seed);
        shuffle(&mut other.deny, &mut seed);
        other.peers.iter_mut().for_each(|(_, nets)| shuffle(nets, &mut seed));
        other
    }
}

const PEERS: [&str; 8] = [
    "cluster",
    "phones",
    "admin-workstations",
    "client-workstations",
    "unified-cm",
    "cce-pgs",
    "https-networking",
    "own",
];

fn parts() -> impl Strategy<Value = Parts> {
    let head = (
        prop_oneof!["outbound: open", "outbound: role"],
        prop_oneof!["icmp_echo: any", "icmp_echo: peers", "icmp_echo: none"],
        prop_oneof!["ephemeral: open", "ephemeral: tracked"],
    )
        .prop_map(|(outbound, echo, ephemeral)| vec!["interfaces: [eth0]".to_owned(), outbound, echo, ephemeral]);
    let roles = proptest::sample::subsequence(
        vec![
            "unity-connection",
            "{role: unity-connection, mode: audit}",
            "{role: cce-router, side: a, instance: 2}",
            "{role: cce-router, side: b, mode: audit}",
            "{role: cce-pg, side: b, mode: enforce}",
            "vvb",
            "{role: mediasense, mode: audit}",
            "{role: cce-outbound-dialer, rtp_port_range_start: 20000}",
        ],
        0..5,
    );
    let peers = proptest::collection::vec(proptest::collection::vec(net(), 0..4), PEERS.len());
    (head, roles, peers, proptest::collection::vec(rule(), 1..40), proptest::collection::vec(rule(), 0..20)).prop_map(
        |(head, roles, nets, allow, deny)| Parts {
            head,
            roles: roles.into_iter().map(str::to_owned).collect(),
            peers: PEERS.iter().map(|name| (*name).to_owned()).zip(nets).collect(),
            allow: named("allow", allow),
            deny: named("deny", deny),
        },
    )
}

fn named(prefix: &str, rules: Vec<String>) -> Vec<String> {
    rules.into_iter().enumerate().map(|(i, rule)| format!("{{name: {prefix}-{i}, {rule}}}")).collect()
}

/// Few addresses in many prefixes, so that prefixes meet and cover each other.
fn net() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u8..16, 28u8..=32).prop_map(|(host, length)| {
            let net = ipnet::Ipv4Net::new([10, 0, 0, host].into(), length).unwrap();
            net.trunc().to_string()
        }),
        (0u16..4, 126u8..=128).prop_map(|(host, length)| {
            let net = ipnet::Ipv6Net::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, host].into(), length).unwrap();
            format!("\"{}\"", net.trunc())
        }),
        Just("10.0.0.0/8".to_owned()),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let ports = prop_oneof![
        Just("any".to_owned()),
        (1u16..40).prop_map(|port| format!("[{port}]")),
        (1u16..40, 0u16..30).prop_map(|(start, length)| format!("[{start}-{}, 443]", start + length)),
    ];
    let matched = prop_oneof![
        8 => (prop_oneof!["tcp", "udp", "sctp"], ports, remote())
            .prop_map(|(protocol, ports, remote)| format!("protocol: {protocol}, ports: {ports}{remote}")),
        2 => (prop_oneof!["esp", "47"], remote()).prop_map(|(protocol, remote)| format!("protocol: {protocol}{remote}")),
        1 => Just(", ethertype: 0x8892".trim_start_matches(", ").to_owned()),
    ];
    let mode = prop_oneof![Just(""), Just(", mode: audit"), Just(", mode: enforce")];
    (matched, mode).prop_map(|(matched, mode)| format!("{matched}{mode}"))
}

/// The remote side; outbound rules say `to`.
fn remote() -> impl Strategy<Value = String> {
    let one = prop_oneof![proptest::sample::select(PEERS.to_vec()).prop_map(str::to_owned), net()];
    let list = proptest::collection::vec(one, 1..4).prop_map(|list| list.join(", "));
    prop_oneof![
        Just(String::new()),
        list.clone().prop_map(|list| format!(", from: [{list}]")),
        Just(", direction: out".to_owned()),
        list.prop_map(|list| format!(", direction: out, to: [{list}]")),
    ]
}

fn probe() -> impl Strategy<Value = (Direction, ServiceIndex, IpAddr)> {
    let ports = [7, 22, 25, 53, 69, 80, 443, 5001, 5060, 8443, 20500, 22000, 32768, 40002, 40082, 65535];
    let port = prop_oneof![(0u16..75), proptest::sample::select(ports.to_vec())];
    let service = prop_oneof![
        12 => (prop_oneof![Just(6u8), Just(17), Just(132)], port)
            .prop_map(|(protocol, port)| ServiceIndex::port(protocol, port).unwrap()),
        2 => prop_oneof![Just(50u8), Just(47), Just(89)].prop_map(ServiceIndex::protocol),
        1 => Just(ServiceIndex::ethertype(0x8892)),
        1 => Just(ServiceIndex::ECHO),
    ];
    let remote = prop_oneof![
        (0u8..20).prop_map(|host| IpAddr::from([10, 0, 0, host])),
        (0u16..6).prop_map(|host| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host])),
        Just(IpAddr::from([10, 9, 9, 9])),
        Just(IpAddr::from([192, 0, 2, 1])),
    ];
    (prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)], service, remote)
}
