//! Every reason is reached at every hook that can give it: towards the host at native XDP and at tc ingress, from the host at tc
//! egress. One packet each, under one policy that uses everything; what a test run refuses goes over the cable.

use std::collections::BTreeSet;

use enforcer_common::{Direction, Reason, Verdict};
use harness::packet::{Extension, Packet, protocol, tcp};
use harness::program::Outcome;

use crate::stage::{By, Stage};

use Direction::{Inbound as In, Outbound as Out};

/// Uses everything: a role with internal ports and connections, peers, deny rules both ways, other protocols, scope `host`.
const SITE: &str = "\
interfaces: [IF]
mode: enforce
roles: [unity-connection]
outbound: role
scope: host
icmp_echo: peers
peers:
  monitoring: [198.18.0.3]
  dns-servers: [198.18.0.4]
allow:
  - {name: ipsec, protocol: esp, from: [monitoring]}
  - {name: ipsec-out, direction: out, protocol: esp, to: [monitoring]}
  - {name: aoe, ethertype: 0x88a2}
  - {name: snmp-traps, direction: out, protocol: udp, ports: [162]}
deny:
  - {name: no-telnet, protocol: tcp, ports: [23]}
  - {name: no-smtp, direction: out, protocol: tcp, ports: [2525]}
";

const HOST: &str = "198.18.0.1";
const HOST6: &str = "2001:db8::1";
const STRANGER: &str = "198.18.0.2";
const STRANGER6: &str = "2001:db8::2";
const MONITORING: &str = "198.18.0.3";
/// Where the host forwards to.
const ELSEWHERE: &str = "192.0.2.9";

fn to_host() -> Packet {
    Packet::new().ipv4(STRANGER, HOST)
}

fn to_host6() -> Packet {
    Packet::new().ipv6(STRANGER6, HOST6)
}

fn from_host() -> Packet {
    Packet::new().mac([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(HOST, STRANGER)
}

fn from_host6() -> Packet {
    Packet::new().mac([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv6(HOST6, STRANGER6)
}

fn chain(packet: Packet, length: usize) -> Packet {
    (0..length).fold(packet, |packet, _| packet.extension(Extension::Destination { words: 0 }))
}

fn routed(packet: Packet) -> Packet {
    packet.extension(Extension::Routing { kind: 0, segments: 1, words: 0 })
}

/// Packets in their order, each with the reason that it meets.
fn table() -> Vec<(Direction, Packet, Reason)> {
    vec![
        (In, to_host().tcp(40_000, 443), Reason::Rule),
        (In, to_host6().udp(40_000, 161), Reason::Rule),
        (Out, from_host().udp(40_000, 162), Reason::Rule),
        // A reply of a permitted service.
        (Out, from_host().tcp(443, 40_000).flags(tcp::SYN | tcp::ACK), Reason::Rule),
        (In, to_host().udp(162, 40_000), Reason::Flow),
        // The server of the connection `tftp` answers from another port; the host goes on to that port.
        (Out, from_host().udp(40_001, 69), Reason::Rule),
        (In, to_host().udp(3333, 40_001), Reason::Flow),
        (Out, from_host().udp(40_001, 3333), Reason::Flow),
        (In, to_host().fragment(0, true, 1).tcp(40_000, 443).payload(&[0; 4]), Reason::Rule),
        (In, to_host().fragment(3, false, 1).raw(protocol::TCP, &[0; 8]), Reason::FragmentPass),
        (Out, from_host().fragment(0, true, 2).udp(40_000, 162).udp_length(32), Reason::Rule),
        (Out, from_host().fragment(1, false, 2).raw(protocol::UDP, &[0; 24]), Reason::FragmentPass),
        (In, Packet::new().arp(STRANGER, HOST), Reason::LinkControl),
        (Out, Packet::new().arp(HOST, STRANGER), Reason::LinkControl),
        (In, to_host().icmp(3, 1).payload(&[0; 28]), Reason::Icmp),
        (In, to_host6().hop_limit(255).icmpv6(135, 0).payload(&[0; 20]), Reason::Icmp),
        (Out, from_host().icmp(8, 0), Reason::Icmp),
        (Out, from_host6().icmpv6(2, 0).payload(&[0; 40]), Reason::Icmp),
        (In, to_host().raw(protocol::IGMP, &[0x11; 8]), Reason::Igmp),
        (Out, from_host().raw(protocol::IGMP, &[0x16; 8]), Reason::Igmp),
        (In, to_host().udp(67, 68).payload(&[0; 240]), Reason::Dhcp),
        (Out, from_host6().udp(546, 547), Reason::Dhcp),
        (In, Packet::new().ipv4(MONITORING, HOST).icmp(8, 0), Reason::EchoPass),
        (In, Packet::new().ipv4(STRANGER, ELSEWHERE).tcp(40_000, 4444), Reason::Forwarded),
        (Out, from_host().udp(40_002, 53), Reason::Open),
        (In, to_host().tcp(40_000, 4444), Reason::NoRule),
        (In, to_host6().tcp(40_000, 4444), Reason::NoRule),
        (In, to_host().tcp(40_000, 1502), Reason::Peer),
        (In, to_host().raw(protocol::ESP, &[0; 16]), Reason::Peer),
        (Out, from_host().raw(protocol::ESP, &[0; 16]), Reason::Peer),
        (In, to_host().tcp(40_000, 8005), Reason::Internal),
        (In, to_host().tcp(40_000, 23), Reason::Denied),
        (Out, from_host().tcp(40_000, 2525), Reason::Denied),
        (In, to_host().ihl(4).tcp(40_000, 443), Reason::Malformed),
        (In, to_host().tcp(40_000, 443).truncated(30), Reason::Malformed),
        (Out, from_host().ihl(4).tcp(40_000, 443), Reason::Malformed),
        (Out, from_host().tcp(40_000, 443).truncated(30), Reason::Malformed),
        (In, Packet::new().ipv4(HOST, HOST).tcp(40_000, 443), Reason::Martian),
        (In, Packet::new().ipv6("::1", HOST6).tcp(40_000, 443), Reason::Martian),
        (In, Packet::new().ethertype(0x8864).payload(&[0; 46]), Reason::Ethertype),
        (In, Packet::new().ethertype(0x88a2).payload(&[0; 46]), Reason::Rule),
        (Out, Packet::new().ethertype(0x8864).payload(&[0; 46]), Reason::Ethertype),
        (In, to_host().vlan(1).vlan(2).vlan(3).tcp(40_000, 443), Reason::VlanDepth),
        (Out, from_host().vlan(1).vlan(2).vlan(3).tcp(40_000, 443), Reason::VlanDepth),
        (In, chain(to_host6(), 9).tcp(40_000, 443), Reason::ExtensionHeaders),
        (Out, chain(from_host6(), 9).tcp(40_000, 443), Reason::ExtensionHeaders),
        (In, routed(to_host6()).tcp(40_000, 443), Reason::RoutingHeader),
        (Out, routed(from_host6()).tcp(40_000, 443), Reason::RoutingHeader),
        (In, to_host().fragment(0, true, 3).raw(protocol::TCP, &[0; 8]), Reason::TinyFragment),
        (Out, from_host().fragment(0, true, 3).raw(protocol::TCP, &[0; 8]), Reason::TinyFragment),
        (In, to_host().fragment(3, false, 4).raw(protocol::TCP, &[0; 8]), Reason::FragmentDrop),
        (Out, from_host().fragment(3, false, 4).raw(protocol::TCP, &[0; 8]), Reason::FragmentDrop),
        (In, to_host().raw(protocol::GRE, &[0; 16]), Reason::Protocol),
        (Out, from_host().raw(protocol::GRE, &[0; 16]), Reason::Protocol),
        (In, to_host().icmp(13, 0), Reason::IcmpType),
        (In, to_host().icmp(5, 0), Reason::Redirect),
        (In, to_host6().icmpv6(137, 0), Reason::Redirect),
        (In, to_host().icmp(8, 0), Reason::EchoDrop),
        (Out, from_host().tcp(40_000, 4444), Reason::NoConnection),
        (Out, from_host6().udp(40_000, 4444), Reason::NoConnection),
    ]
}

/// What a direction never says: `open` and `no-connection` are about what leaves, and what leaves is neither a martian nor judged
/// by what only inbound rules know. What passes outbound as `forwarded` came in somewhere else, which a test run cannot say; the
/// test of two interfaces does.
const NEVER_IN: &[Reason] = &[Reason::Open, Reason::NoConnection];
const NEVER_OUT: &[Reason] = &[
    Reason::EchoPass,
    Reason::Forwarded,
    Reason::NoRule,
    Reason::Internal,
    Reason::Martian,
    Reason::IcmpType,
    Reason::Redirect,
    Reason::EchoDrop,
];

fn every_reason_is_reached(hook: &str, by: By) {
    let stage = Stage::new(SITE, hook);
    forward_elsewhere(&stage);
    let mut met = BTreeSet::new();
    for (direction, packet, reason) in table() {
        let (counted, outcome) = stage.judge(direction, &packet.build(), by).expect("a frame that can be asked");
        let frame = packet.build();
        assert_eq!(counted, [((direction, false, reason), 1)].into(), "{frame:02x?}");
        let expected = if reason.verdict() == Verdict::Drop { Outcome::Dropped } else { Outcome::Passed };
        assert_eq!(outcome.unwrap_or(expected), expected, "{packet:?}");
        met.insert((direction, reason));
    }
    for (direction, never) in [(In, NEVER_IN), (Out, NEVER_OUT)] {
        // Those need traffic, or a guest: `loopback`, `decrypted` and `spoofed` have tests of their own.
        let elsewhere = [Reason::Loopback, Reason::Decrypted, Reason::Spoofed];
        for reason in Reason::ALL.iter().filter(|reason| !elsewhere.contains(reason)) {
            let reached = met.contains(&(direction, *reason));
            assert_ne!(reached, never.contains(reason), "{direction:?} {reason:?}");
        }
    }
}

/// The host forwards to another network, and nothing of what it forwards comes back by the protected interface.
fn forward_elsewhere(stage: &Stage) {
    let host = &stage.protected.cable.host;
    host.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("root may forward"));
    host.batch(
        "link add onwards type veth peer name onwards2\n\
         link set onwards addrgenmode none up\n\
         link set onwards2 addrgenmode none up\n\
         route add 192.0.2.0/24 dev onwards\n",
    );
}

#[test]
fn at_native_xdp() {
    every_reason_is_reached("native", By::TestRun);
}

#[test]
fn at_tc() {
    every_reason_is_reached("tc", By::TestRun);
}
