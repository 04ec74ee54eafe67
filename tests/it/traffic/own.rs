//! What a host sends to itself reaches it: multicast and broadcast that come back never were on the wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use enforcer_common::{Direction, Reason};
use harness::enforcer::{Protected, enforcer_with_input};
use harness::machine::patience;
use harness::netns::{Cable, Namespace};

use crate::stage::Stage;

const SITE: &str = "\
interfaces: [IF]
mode: enforce
roles: []
allow:
  - {name: cluster, protocol: udp, ports: [5000]}
";
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
/// Of the link, so that the number of the interface beside it is what it leaves by: its ports have IPv6 as well.
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 5);
/// In the place of an ethertype the first two bytes of these would stand: IPv4, a VLAN tag, LLDP, and one that is none.
const ADDRESSES: [[u8; 4]; 4] = [[8, 0, 0, 2], [129, 0, 0, 2], [136, 204, 0, 2], [10, 77, 0, 2]];
const DATAGRAMS: u64 = 5;

/// How many datagrams the host hears of those that it sends to a group or to broadcast, from this address.
fn heard(host: &Namespace, from: IpAddr, to: IpAddr, interface: &str) -> u64 {
    host.run(|| {
        let index = nix::net::if_::if_nametoindex(interface).expect("it is there");
        let (receiver, sender) = match to {
            IpAddr::V4(group) => {
                let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5000)).expect("the port is free");
                if let (true, IpAddr::V4(from)) = (group.is_multicast(), from) {
                    receiver.join_multicast_v4(&group, &from).expect("it is the interface's address");
                }
                let sender = UdpSocket::bind((from, 0)).expect("it is our address");
                sender.set_broadcast(true).expect("broadcast is allowed");
                (receiver, sender)
            }
            IpAddr::V6(group) => {
                let receiver = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 5000)).expect("the port is free");
                receiver.join_multicast_v6(&group, index).expect("it is an interface");
                (receiver, UdpSocket::bind((from, 0)).expect("it is our address"))
            }
        };
        receiver.set_read_timeout(Some(Duration::from_secs(1))).expect("a time");
        for _ in 0..DATAGRAMS {
            match to {
                IpAddr::V4(to) => sender.send_to(b"hello", (to, 5000)),
                IpAddr::V6(to) => sender.send_to(b"hello", SocketAddrV6::new(to, 5000, 0, index)),
            }
            .expect("there is a route");
        }
        (0..DATAGRAMS).take_while(|_| receiver.recv(&mut [0; 16]).is_ok()).count() as u64
    })
}

fn all_are_heard(stage: &Stage, interface: &str, at_tc: bool) {
    let host = &stage.protected.cable.host;
    for address in ADDRESSES {
        let from = IpAddr::from(address);
        let broadcast = IpAddr::from([address[0], address[1], address[2], 255]);
        for to in [IpAddr::from(GROUP), broadcast] {
            assert_eq!(heard(host, from, to, interface), DATAGRAMS, "{from} to {to}: {:?}", stage.counted());
        }
    }
    let from: IpAddr = "2001:db8:a000::2".parse().expect("an address");
    assert_eq!(heard(host, from, GROUP6.into(), interface), DATAGRAMS, "{from}: {:?}", stage.counted());
    let counted = stage.counted();
    let looped = counted.get(&(Direction::Inbound, false, Reason::Loopback)).copied().unwrap_or(0);
    assert_eq!(looped >= DATAGRAMS * 9, at_tc, "native XDP never sees them: {counted:?}");
    assert_eq!(counted.get(&(Direction::Inbound, false, Reason::Ethertype)), None, "{counted:?}");
}

fn with_addresses(interface: &str) -> String {
    let mut lines: String = ADDRESSES
        .iter()
        .map(|address| format!("addr add {}/24 brd + dev {interface}\n", Ipv4Addr::from(*address)))
        .collect();
    lines += &format!("addr add 2001:db8:a000::2/64 dev {interface} nodad\nroute add 239.0.0.0/8 dev {interface}\n");
    lines
}

#[test]
fn a_host_hears_its_own_multicast_and_broadcast_at_every_hook() {
    for hook in ["tc", "clsact", "native"] {
        let cable = Cable::new();
        cable.host.batch(&with_addresses(&cable.near.interface));
        let near = cable.near.interface.clone();
        let stage = Stage::of(Protected::apply_site(cable, SITE, &["--hook", hook]));
        all_are_heard(&stage, &near, hook != "native");
    }
}

#[test]
fn so_it_does_on_a_bridge() {
    let mut cable = Cable::new();
    let near = cable.near.interface.clone();
    let bridge = format!("b{near}");
    cable.host.batch(&format!(
        "link add {bridge} type bridge mcast_snooping 0\nlink set {near} master {bridge}\nlink set {bridge} up\n{}",
        with_addresses(&bridge)
    ));
    cable.near.interface.clone_from(&bridge);
    // A bridge has no IPv6 before its port is ready.
    let end = Instant::now() + Duration::from_secs(20) * patience();
    let from = "2001:db8:a000::2".parse().expect("an address");
    while heard(&cable.host, from, GROUP6.into(), &bridge) < DATAGRAMS {
        assert!(Instant::now() < end, "not even without a program");
    }
    let stage = Stage::of(Protected::apply_site(cable, SITE, &["--hook", "tc"]));
    all_are_heard(&stage, &bridge, true);
}

#[test]
fn generic_xdp_says_that_it_cannot_tell() {
    let cable = Cable::quiet();
    let site = SITE.replace("IF", &cable.near.interface);
    for command in [&["apply", "-", "--hook", "generic"][..], &["preflight", "-", "--hook", "generic"]] {
        let ran = enforcer_with_input(&cable.host, command, &site);
        let said = ran.stdout.clone() + &ran.stderr;
        assert!(said.contains("multicast") && said.contains("cannot"), "{said}");
    }
    enforcer_with_input(&cable.host, &["detach"], "").expect_code(0);

    cable.host.batch(&with_addresses(&cable.near.interface));
    let near = cable.near.interface.clone();
    let stage = Stage::of(Protected::apply_site(cable, SITE, &["--hook", "generic"]));
    let ours = IpAddr::from(ADDRESSES[3]);
    heard(&stage.protected.cable.host, ours, GROUP.into(), &near);
    assert!(stage.counted().contains_key(&(Direction::Inbound, false, Reason::Ethertype)), "{:?}", stage.counted());
    let suggested = stage.protected.run(&["suggest"]);
    assert!(!suggested.stdout.contains("ethertype"), "{}", suggested.stdout);
}
