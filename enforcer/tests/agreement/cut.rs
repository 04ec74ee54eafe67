//! The list of conversations that would be cut agrees with the decision code about the first packet of each.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use enforcer::dataplane::Modes;
use enforcer::host::links::Addresses;
use enforcer::host::snapshot::Snapshot;
use enforcer::host::sockets::{Socket, Sockets, State, TCP, UDP};
use enforcer::judge::explain::judge;
use enforcer::judge::tuple::Tuple;
use enforcer::policy::ruleset::Ruleset;
use enforcer::protect::live::{Coverage, cuts};
use enforcer_common::{Direction, Mode, Reason, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::difference::{CLIENT, REMOTES};
use crate::policies::{PORTS, world};

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conversation_is_cut_if_its_first_packet_would_be_dropped(
        world in world(),
        conversations in vec(conversation(), 100),
    ) {
        for conversation in conversations {
            prop_assert_eq!(listed(&world.ruleset, &conversation), dropped(&world.ruleset, &conversation), "{}", conversation);
        }
    }
}

/// The first packet of a conversation that is open now.
fn conversation() -> impl Strategy<Value = Tuple> {
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    let parts = (direction, select(&[TCP, UDP][..]), select(REMOTES), select(&PORTS[1..]));
    // Where a datagram goes from a port that clients have to another one, either end may have opened the conversation.
    let is_told = |(direction, protocol, _, port): &(Direction, u8, &str, u16)| {
        *direction == Direction::Inbound || *protocol == TCP || !(32768..=60999).contains(port)
    };
    parts.prop_filter("either end may have opened it", is_told).prop_map(|(direction, protocol, remote, port)| {
        let remote: IpAddr = remote.parse().expect("an address");
        let local: IpAddr =
            if remote.is_ipv4() { "198.51.100.1" } else { "2001:db8:ffff::1" }.parse().expect("an address");
        let (source, destination) = if direction == Direction::Inbound { (remote, local) } else { (local, remote) };
        Tuple { direction, protocol, source, destination, ports: Some((CLIENT, port)) }
    })
}

/// Why the list has it.
fn listed(ruleset: &Ruleset, first: &Tuple) -> Option<Reason> {
    let (from, to) = first.ports.expect("it has ports");
    let (from, to) = (SocketAddr::new(first.source, from), SocketAddr::new(first.destination, to));
    let socket = |local, remote, state| Socket {
        protocol: first.protocol,
        local,
        remote,
        state,
        uid: 0,
        inode: 1,
        only_v6: false,
        opener: None,
    };
    let unspecified =
        |ip: IpAddr| -> IpAddr { if ip.is_ipv4() { "0.0.0.0" } else { "::" }.parse().expect("an address") };
    let sockets = match first.direction {
        Direction::Inbound => {
            let listener = SocketAddr::new(unspecified(to.ip()), to.port());
            let nobody = SocketAddr::new(unspecified(to.ip()), 0);
            vec![socket(listener, nobody, State::Listening), socket(to, from, State::Open)]
        }
        // Of TCP, the first packet is what makes a conversation; of UDP all are alike.
        Direction::Outbound if first.protocol == TCP => vec![socket(from, to, State::Asking)],
        Direction::Outbound => vec![socket(from, to, State::Open)],
    };
    let snapshot = Snapshot { sockets: Sockets::of(sockets), ..Snapshot::default() };
    let coverage = Coverage::new(&[(1, Modes::both(Mode::Enforce))], &[], &Addresses::default(), &BTreeMap::new());
    let cuts = cuts(&snapshot, ruleset.lookup(), &coverage);
    assert!(cuts.len() <= 1 && cuts.iter().all(|cut| cut.direction == first.direction), "{first}: {cuts:?}");
    cuts.first().map(|cut| cut.reason)
}

/// Why the decision code would drop it.
fn dropped(ruleset: &Ruleset, first: &Tuple) -> Option<Reason> {
    let found = judge(ruleset, first);
    (found.reason.verdict() == Verdict::Drop && !found.audited).then_some(found.reason)
}
