//! Seeding makes the flow that the decision code makes for the packets of the same conversation: same key, timeout and flags.

use std::net::{IpAddr, SocketAddr};

use enforcer::dataplane::{Seed, SeedKey};
use enforcer::host::sockets::{Socket, State, TCP, UDP};
use enforcer::judge::frame::{self, IPV4, IPV6, OUR_MAC, V4};
use enforcer::judge::host::Host;
use enforcer::judge::tables::HostTables;
use enforcer::policy::ruleset::Ruleset;
use enforcer_common::Direction;
use enforcer_common::frame::Bytes;
use enforcer_common::tables::{Flow as _, Tables as _};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::difference::REMOTES;
use crate::policies::{PORTS, world};

const SYN: u8 = 0x02;
const FIN: u8 = 0x11;
/// Jiffies a second of the tables in memory.
const HZ: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_seeded_flow_is_the_one_that_the_first_packets_make(world in world(), sockets in vec(socket(), 100)) {
        for socket in sockets {
            let seeded = Seed::of(&socket, world.ruleset.lookup(), &world.ruleset.settings.flows);
            let seeded = seeded.map(|seed| (seed.timeout.saturating_mul(HZ), seed.flags));
            prop_assert_eq!(seeded, tracked(&world.ruleset, &socket), "{:?}", socket);
        }
    }
}

/// A conversation that this host opened.
fn socket() -> impl Strategy<Value = Socket> {
    let states = [State::Asking, State::Open, State::ClosedHere, State::ClosedThere, State::Closing];
    let tcp = select(states.to_vec()).prop_map(|state| (TCP, state));
    let kind = prop_oneof![tcp, Just((UDP, State::Open))];
    (kind, select(REMOTES), select(&PORTS[1..]), select(&PORTS[1..])).prop_map(
        |((protocol, state), remote, here, there)| {
            let remote: IpAddr = remote.parse().expect("an address");
            let local: IpAddr = if remote.is_ipv4() { "10.0.0.1" } else { "2001:db8::1" }.parse().expect("an address");
            let (local, remote) = (SocketAddr::new(local, here), SocketAddr::new(remote, there));
            Socket { protocol, local, remote, state, uid: 0, inode: 1, only_v6: false, opener: None }
        },
    )
}

/// Timeout and flags of the flow that the packets of the conversation make, found under the key that seeding uses.
fn tracked(ruleset: &Ruleset, socket: &Socket) -> Option<(u32, u32)> {
    let host = Host::with_addresses([socket.local.ip()]);
    let tables = HostTables::new(ruleset, &host);
    let judge = |direction, flags| {
        let _ = tables.judge(direction, &Bytes::new(&packet(socket, direction, flags)));
    };
    judge(Direction::Outbound, SYN);
    if matches!(socket.state, State::ClosedHere | State::Closing) {
        judge(Direction::Outbound, FIN);
    }
    if matches!(socket.state, State::ClosedThere | State::Closing) {
        judge(Direction::Inbound, FIN);
    }
    if tables.flows() == 0 {
        return None;
    }
    let seed = Seed::of(socket, ruleset.lookup(), &ruleset.settings.flows);
    let flow = match seed.expect("the packets make a flow, and so does seeding").key {
        SeedKey::V4(key) => (&tables).flow4(&key),
        SeedKey::V6(key, local) => (&tables).flow6(&key, local),
    };
    let state = flow.expect("the flow has the key that seeding gives it").state();
    Some((state.timeout, state.flags))
}

/// A packet of the conversation; datagrams have no flags.
fn packet(socket: &Socket, direction: Direction, flags: u8) -> Vec<u8> {
    let (source, destination) = match direction {
        Direction::Inbound => (socket.remote, socket.local),
        Direction::Outbound => (socket.local, socket.remote),
    };
    let body = if socket.protocol == TCP {
        frame::tcp(source.port(), destination.port(), flags)
    } else {
        frame::udp(source.port(), destination.port(), b"data")
    };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let packet = V4::new(source, destination, socket.protocol).build(&body);
            frame::ethernet(OUR_MAC, &[], IPV4, &packet)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let packet = frame::ipv6(source, destination, 64, &[], socket.protocol, &body);
            frame::ethernet(OUR_MAC, &[], IPV6, &packet)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("both ends have one family"),
    }
}
