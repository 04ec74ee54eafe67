//! `diff` agrees with the decision code about every new conversation, and finds nothing between a policy and itself.

use std::net::IpAddr;

use enforcer::judge::explain::judge;
use enforcer::judge::tuple::Tuple;
use enforcer::policy::diff::{Change, Effect, diff};
use enforcer::policy::ruleset::Ruleset;
use enforcer_common::{Direction, Verdict, packet};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::policies::{PORTS, world};

/// A port that no rule of the tests names by itself.
pub(crate) const CLIENT: u16 = 50_000;
pub(crate) const REMOTES: &[&str] = &[
    "10.1.1.5",
    "10.1.1.6",
    "10.1.0.5",
    "10.2.0.5",
    "10.200.0.1",
    "192.0.2.5",
    "223.255.255.255",
    "2001:db8:1::5",
    "2001:db8:1::6",
    "2001:db8:2::5",
    "2a00::5",
    "fe80::5",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_differs_in_nothing_from_itself(world in world()) {
        prop_assert!(diff(&world.ruleset, &world.ruleset).is_empty());
    }

    #[test]
    fn a_conversation_is_in_the_difference_if_its_fate_differs(
        first in world(),
        second in world(),
        tuples in vec(tuple(), 100),
    ) {
        let difference = diff(&first.ruleset, &second.ruleset);
        for tuple in tuples {
            let (before, after) = (effect(&first.ruleset, &tuple), effect(&second.ruleset, &tuple));
            let named: Vec<&Change> = difference.changes.iter().filter(|change| is_about(change, &tuple)).collect();
            if before == after {
                prop_assert!(named.is_empty(), "{tuple} fares alike ({before:?}), but: {named:#?}");
            } else {
                prop_assert_eq!(named.len(), 1, "{}: {:?} to {:?}, {:#?}", tuple, before, after, named);
                prop_assert_eq!((named[0].before.effect, named[0].after.effect), (before, after), "{}", tuple);
            }
        }
    }
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    let port = prop_oneof![select(PORTS), any::<u16>()];
    let protocol = select(&[6_u8, 6, 17, 132, 1, 47, 50, 51, 112, 200][..]);
    (direction, protocol, select(REMOTES), port).prop_map(|(direction, protocol, remote, port)| {
        let remote: IpAddr = remote.parse().expect("an address");
        let local: IpAddr =
            if remote.is_ipv4() { "198.51.100.1" } else { "2001:db8:ffff::1" }.parse().expect("an address");
        // What leaves from a permitted port is an answer, unless it is a SYN. Extension headers are no protocols.
        let protocol = match (direction, protocol) {
            (Direction::Outbound, 17 | 132) => 6,
            (_, 51) if remote.is_ipv6() => 50,
            (_, 1) if remote.is_ipv6() => 58,
            (_, protocol) => protocol,
        };
        let (source, destination) = if direction == Direction::Inbound { (remote, local) } else { (local, remote) };
        let ports = [6, 17, 132].contains(&protocol).then_some((CLIENT, port));
        Tuple { direction, protocol, source, destination, ports }
    })
}

/// What the decision code does with it.
fn effect(ruleset: &Ruleset, tuple: &Tuple) -> Effect {
    let found = judge(ruleset, tuple);
    match (found.reason.verdict(), found.audited) {
        (Verdict::Pass, _) => Effect::Permit,
        (Verdict::Drop, true) => Effect::Count,
        (Verdict::Drop, false) => Effect::Deny,
    }
}

fn is_about(change: &Change, tuple: &Tuple) -> bool {
    // The tuple of an ICMP packet is a ping.
    let is_ping = matches!(tuple.protocol, packet::ICMP | packet::ICMPV6);
    let protocol = if is_ping { "icmp-echo".to_owned() } else { enforcer::policy::site::protocol_name(tuple.protocol) };
    let within = |list: &str, number: u16| {
        enforcer::policy::catalogue::parse_ranges(list).expect("ranges").iter().any(|range| range.contains(&number))
    };
    let service = match (&change.ports, &change.numbers, tuple.ports) {
        (Some(ports), _, Some((_, port))) => change.protocol == protocol && within(ports, port),
        (None, Some(numbers), None) => {
            change.protocol == "protocols" && !is_ping && within(numbers, tuple.protocol.into())
        }
        (None, None, None) => change.protocol == protocol,
        (..) => false,
    };
    change.direction == tuple.direction && service && change.remote.contains(tuple.remote())
}
