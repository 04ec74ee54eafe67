//! Source addresses that cannot come from the wire.

use std::net::{IpAddr, Ipv4Addr};

use enforcer_common::layout::{mapped, own_slot};
use harness::netns::Cable;
use harness::packet::Packet;

use super::{HOST, Judge, MEMBER};

fn from(source: &str) -> Packet {
    Packet::new().ip(source, if source.contains(':') { HOST[1] } else { HOST[0] }).tcp(40_000, 143)
}

#[test]
fn our_own_address_does_not_come_from_the_wire() {
    let judge = Judge::new();
    judge.drops("martian", &HOST.map(from));
}

#[test]
fn loopback_multicast_and_broadcast_are_no_sources() {
    let judge = Judge::new();
    judge.drops(
        "martian",
        &["127.0.0.1", "127.255.255.254", "::1", "224.0.0.1", "239.255.255.250", "ff02::1"].map(from),
    );
    // The limited broadcast, and the one of our network.
    judge.drops("martian", &["255.255.255.255", "198.18.0.255"].map(from));
}

#[test]
fn the_unspecified_address_is_no_source_of_a_conversation() {
    let judge = Judge::new();
    judge.drops("martian", &["0.0.0.0", "::"].map(from));
}

#[test]
fn a_martian_is_one_whatever_it_asks_for() {
    let judge = Judge::new();
    judge.drops(
        "martian",
        &[
            Packet::new().ipv4("127.0.0.1", HOST[0]).icmp(8, 0),
            Packet::new().ipv4(HOST[0], HOST[0]).tcp(40_000, 8005),
            Packet::new().ipv4("127.0.0.1", HOST[0]).tcp(40_000, 1502),
        ],
    );
}

#[test]
fn duplicate_address_detection_has_no_source_address_and_passes() {
    let judge = Judge::new();
    judge.passes("icmp", &[Packet::new().ipv6("::", "ff02::1:ff00:1").hop_limit(255).icmpv6(135, 0).payload(&[0; 16])]);
    judge.drops("martian", &[Packet::new().ipv6("::", HOST[1]).icmpv6(128, 0)]);
}

#[test]
fn a_neighbour_that_defends_an_address_of_ours_is_heard() {
    let judge = Judge::new();
    let advertisement =
        |hop_limit, kind| Packet::new().ipv6(HOST[1], "ff02::1").hop_limit(hop_limit).icmpv6(kind, 0).payload(&[0; 16]);
    judge.passes("icmp", &[advertisement(255, 136)]);
    judge.drops("martian", &[advertisement(254, 136), advertisement(255, 135), advertisement(255, 134)]);
}

#[test]
fn a_neighbour_is_no_martian() {
    let judge = Judge::new();
    judge.passes("rule", &MEMBER.map(from));
    judge.passes("rule", &["192.0.2.1", "10.1.2.3", "2001:db8:ffff::1", "fe80::1"].map(from));
}

#[test]
fn the_broadcast_address_of_a_network_is_no_source_even_if_nobody_named_it() {
    let cable = Cable::quiet();
    let near = &cable.near.interface;
    cable.host.batch(&format!(
        "addr del {own}/24 dev {near}\naddr add {own}/24 dev {near}\n\
         addr add 10.7.0.1/30 dev {near}\naddr add 10.7.0.4/31 dev {near}\n",
        own = HOST[0]
    ));
    let judge = Judge::on(cable);
    judge.drops("martian", &["198.18.0.255", "10.7.0.3"].map(from));
    // A network of two addresses has no broadcast address, and in a larger one it is a host.
    judge.passes("rule", &["10.7.0.5", "198.18.1.255"].map(from));
}

#[test]
fn a_stranger_that_shares_a_byte_of_the_filter_with_us_is_no_martian() {
    let judge = Judge::new();
    let slot = |address: Ipv4Addr| own_slot(mapped(u32::from_ne_bytes(address.octets())));
    let ours: IpAddr = HOST[0].parse().expect("an address");
    let IpAddr::V4(ours) = ours else { panic!("IPv4 comes first") };
    let strangers = (0..1 << 20).map(|number: u32| Ipv4Addr::from(0x0a00_0001 + number));
    let alike: Vec<Ipv4Addr> = strangers.filter(|address| slot(*address) == slot(ours)).take(3).collect();
    assert_eq!(alike.len(), 3);
    judge.passes("rule", &alike.iter().map(|address| from(&address.to_string())).collect::<Vec<_>>());
    let [first, second] = [true, false].map(|more| {
        let packet = from(&alike[0].to_string());
        if more { packet.fragment(0, true, 7) } else { packet.fragment(185, false, 8) }
    });
    judge.passes("rule", &[first]);
    // Without a first one before it: refused, but not as a martian.
    judge.drops("fragment", &[second]);
}
