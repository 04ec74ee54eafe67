//! What is neither IPv4 nor IPv6.

use harness::packet::Packet;

use super::Judge;

fn ethertype(number: u16) -> Packet {
    Packet::new().ethertype(number).payload(&[0; 46])
}

#[test]
fn what_keeps_the_link_alive_passes() {
    let judge = Judge::new();
    // LLDP, slow protocols (LACP), EAPOL, PTP.
    judge.passes("link-control", &[0x88cc, 0x8809, 0x888e, 0x88f7].map(ethertype));
}

#[test]
fn arp_passes_and_a_cut_one_does_not() {
    let judge = Judge::new();
    let arp = Packet::new().arp("198.18.0.2", "198.18.0.1");
    judge.passes("link-control", std::slice::from_ref(&arp));
    judge.drops("malformed", &(14..42).map(|length| arp.clone().truncated(length)).collect::<Vec<_>>());
}

#[test]
fn spanning_tree_passes() {
    let judge = Judge::new();
    // An LLC frame: the EtherType field is its length (IEEE 802.3), here 38.
    let bytes = [&[0x42, 0x42, 0x03][..], &[0; 43]].concat();
    judge.passes("link-control", &[Packet::new().ethertype(38).payload(&bytes)]);
}

#[test]
fn ip_in_snap_is_no_way_around_the_policy() {
    let judge = Judge::new();
    let inner = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 8005).build();
    let bytes = [&[0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00][..], &inner[14..]].concat();
    let length = u16::try_from(bytes.len()).unwrap();
    judge.drops("ethertype", &[Packet::new().ethertype(length).payload(&bytes)]);
}

#[test]
fn other_ethertypes_are_dropped() {
    let judge = Judge::new();
    // IPX, AppleTalk, MPLS, PPPoE, FCoE, an experimental one, and the last.
    judge.drops("ethertype", &[0x8137, 0x809b, 0x8847, 0x8864, 0x8906, 0x88b5, 0xffff].map(ethertype));
}
