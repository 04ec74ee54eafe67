//! IP protocols without ports.

use harness::packet::{Packet, protocol};

use super::{Judge, both, from_member, from_stranger};

#[test]
fn protocols_that_nobody_listed_are_dropped() {
    let judge = Judge::new();
    for number in [protocol::GRE, protocol::ESP, protocol::OSPF, protocol::VRRP, 4, 41, 253, 255] {
        judge.drops("protocol", &both(from_stranger(), |packet| packet.raw(number, &[0; 24])));
        judge.drops("protocol", &both(from_member(), |packet| packet.raw(number, &[0; 24])));
    }
}

#[test]
fn group_membership_passes_over_ipv4() {
    let judge = Judge::new();
    let query =
        |destination: &str| Packet::new().ipv4("198.18.0.2", destination).options(1).raw(protocol::IGMP, &[0x11; 8]);
    judge.passes("igmp", &[query("224.0.0.1"), query("198.18.0.1")]);
    judge.drops("protocol", &[Packet::new().ipv6("2001:db8::2", "2001:db8::1").raw(protocol::IGMP, &[0x11; 8])]);
}

#[test]
fn multicast_and_broadcast_are_judged_by_port() {
    let judge = Judge::new();
    let to = |destination: &str, port: u16| {
        let source = if destination.contains(':') { "2001:db8::2" } else { "198.18.0.2" };
        Packet::new().ip(source, destination).udp(40_000, port)
    };
    for destination in ["224.0.0.251", "255.255.255.255", "198.18.0.255", "ff02::fb"] {
        judge.drops("no-rule", &[to(destination, 5353)]);
        judge.passes("rule", &[to(destination, 161)]);
    }
}
