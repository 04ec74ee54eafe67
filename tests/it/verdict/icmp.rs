//! ICMP: what keeps a host reachable passes, what redirects or maps it does not.

use harness::packet::{Extension, Packet};

use super::{HOST, Judge, STRANGER};

fn v4(kind: u8) -> Packet {
    Packet::new().ipv4(STRANGER[0], HOST[0]).icmp(kind, 0)
}

fn v6(kind: u8) -> Packet {
    Packet::new().ipv6(STRANGER[1], HOST[1]).icmpv6(kind, 0)
}

#[test]
fn errors_pass() {
    let judge = Judge::new();
    judge.passes("icmp", &[v4(3), v4(11), v4(12), v6(1), v6(2), v6(3), v6(4)]);
}

#[test]
fn anybody_may_ping_by_default() {
    let judge = Judge::new();
    judge.passes("echo", &[v4(8), v6(128)]);
}

#[test]
fn an_echo_reply_that_nobody_asked_for_is_dropped() {
    let judge = Judge::new();
    judge.drops("icmp-type", &[v4(0), v6(129)]);
}

#[test]
fn redirects_are_dropped_under_their_own_reason() {
    let judge = Judge::new();
    judge.drops("redirect", &[v4(5), v6(137).hop_limit(255)]);
}

#[test]
fn other_types_are_dropped() {
    let judge = Judge::new();
    // Source quench, router advertisement and solicitation, timestamp, information, address mask, traceroute.
    judge.drops("icmp-type", &[4, 9, 10, 13, 14, 15, 17, 18, 30, 255].map(v4));
    // Node information, and numbers that are not assigned.
    judge.drops("icmp-type", &[0, 5, 100, 127, 139, 140, 200, 255].map(v6));
}

#[test]
fn neighbour_discovery_passes_from_the_link_only() {
    let judge = Judge::new();
    judge.passes("icmp", &[133, 134, 135, 136].map(|kind| v6(kind).hop_limit(255)));
    judge.drops("icmp-type", &[133, 134, 135, 136].map(|kind| v6(kind).hop_limit(254)));
}

#[test]
fn multicast_listener_discovery_passes_behind_its_router_alert() {
    let judge = Judge::new();
    let alerted = |kind: u8| {
        let packet = Packet::new().ipv6(STRANGER[1], "ff02::1").hop_limit(1);
        packet.extension(Extension::HopByHop { words: 0 }).icmpv6(kind, 0).payload(&[0; 16])
    };
    judge.passes("icmp", &[130, 131, 132, 143].map(alerted));
}

#[test]
fn a_header_that_is_cut_is_malformed() {
    let judge = Judge::new();
    let cut = |bytes: usize| {
        [
            Packet::new().ipv4(STRANGER[0], HOST[0]).raw(1, &vec![8; bytes]),
            Packet::new().ipv6(STRANGER[1], HOST[1]).raw(58, &vec![128; bytes]),
        ]
    };
    judge.drops("malformed", &(0..8).flat_map(cut).collect::<Vec<_>>());
}

#[test]
fn icmp_of_the_other_family_is_a_protocol_that_nobody_listed() {
    let judge = Judge::new();
    judge.drops(
        "protocol",
        &[
            Packet::new().ipv4(STRANGER[0], HOST[0]).raw(58, &[128, 0, 0, 0, 0, 0, 0, 0]),
            Packet::new().ipv6(STRANGER[1], HOST[1]).raw(1, &[8, 0, 0, 0, 0, 0, 0, 0]),
        ],
    );
}
