//! VLAN tags: up to two are stepped over, a third is dropped.

use harness::packet::{Packet, SERVICE_VLAN, VLAN};

use super::{Judge, both, from_stranger};

fn tagged(packet: Packet, tags: &[u16]) -> Packet {
    tags.iter().fold(packet, |packet, ethertype| packet.tag(*ethertype, 5))
}

const UP_TO_TWO: &[&[u16]] =
    &[&[], &[VLAN], &[SERVICE_VLAN], &[VLAN, VLAN], &[SERVICE_VLAN, VLAN], &[SERVICE_VLAN, SERVICE_VLAN]];

#[test]
fn up_to_two_tags_do_not_change_the_verdict() {
    let judge = Judge::new();
    for tags in UP_TO_TWO {
        judge.passes("rule", &both(from_stranger(), |packet| tagged(packet, tags).tcp(40_000, 143)));
        judge.drops("no-rule", &both(from_stranger(), |packet| tagged(packet, tags).tcp(40_000, 23)));
    }
}

#[test]
fn priority_and_number_of_a_tag_do_not_matter() {
    let judge = Judge::new();
    for tag in [0, 1, 4095, 0xffff] {
        judge.passes("rule", &both(from_stranger(), |packet| packet.vlan(tag).tcp(40_000, 143)));
    }
}

#[test]
fn a_third_tag_is_too_many() {
    let judge = Judge::new();
    for tags in [&[VLAN; 3][..], &[SERVICE_VLAN, VLAN, VLAN], &[VLAN; 4]] {
        judge.drops("vlan-depth", &both(from_stranger(), |packet| tagged(packet, tags).tcp(40_000, 143)));
    }
}

#[test]
fn a_tag_does_not_hide_an_unlisted_ethertype() {
    let judge = Judge::new();
    judge.drops("ethertype", &[Packet::new().vlan(5).ethertype(0x8137).payload(&[0; 46])]);
    judge.passes("link-control", &[Packet::new().vlan(5).arp("198.18.0.2", "198.18.0.1")]);
}
