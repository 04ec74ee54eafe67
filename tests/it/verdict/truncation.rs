//! Frames cut off at every byte: what cannot be read is not let through.

use harness::packet::{Extension, Packet, SERVICE_VLAN};

use super::{HOST, Judge, STRANGER};

/// Every shorter frame, down to the Ethernet header, which is the shortest that there is.
fn every_cut(packet: &Packet) -> Vec<Packet> {
    (14..packet.build().len()).map(|length| packet.clone().truncated(length)).collect()
}

#[test]
fn a_permitted_frame_that_is_cut_anywhere_is_malformed() {
    let judge = Judge::new();
    let [v4, v6] = [0, 1].map(|family| Packet::new().ip(STRANGER[family], HOST[family]));
    for whole in [
        v4.clone().tcp(40_000, 143),
        v4.clone().udp(40_000, 161).payload(b"payload"),
        v4.clone().options(10).tcp(40_000, 143),
        v4.clone().icmp(8, 0).payload(b"payload"),
        v4.tag(SERVICE_VLAN, 1).vlan(2).tcp(40_000, 143),
        v6.clone().tcp(40_000, 143),
        v6.clone().udp(40_000, 161).payload(b"payload"),
        v6.clone().icmpv6(128, 0).payload(b"payload"),
        v6.clone().vlan(2).tcp(40_000, 143),
        v6.extension(Extension::HopByHop { words: 1 })
            .extension(Extension::Authentication { length: 4 })
            .extension(Extension::Destination { words: 0 })
            .tcp(40_000, 143),
    ] {
        judge.drops("malformed", &every_cut(&whole));
    }
}

#[test]
fn a_packet_that_claims_to_be_shorter_is_malformed_at_every_length() {
    let judge = Judge::new();
    let v4 = Packet::new().ipv4(STRANGER[0], HOST[0]).options(3).udp(40_000, 161);
    judge.drops("malformed", &(0..40).map(|length| v4.clone().total_length(length)).collect::<Vec<_>>());
    let chain = Packet::new()
        .ipv6(STRANGER[1], HOST[1])
        .extension(Extension::HopByHop { words: 1 })
        .extension(Extension::Destination { words: 0 })
        .udp(40_000, 161);
    judge.drops("malformed", &(0..32).map(|length| chain.clone().payload_length(length)).collect::<Vec<_>>());
}
