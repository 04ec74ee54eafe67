//! Denied packets, told one by one and summed up, both bounded.

use enforcer_common::Reason;
use enforcer_common::layout::mapped;
use harness::packet::Packet;
use harness::program::{About, Outcome};

use crate::stage::Stage;

const SITE: &str = "\
interfaces: [IF]
mode: enforce
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
";

#[test]
fn a_denied_packet_is_told_in_full() {
    let stage = Stage::new(SITE, "tc");
    stage.inbound(&Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 443), Reason::Rule);
    assert_eq!(stage.tables.events(), [], "what passes is no event");
    let packet = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23);
    for _ in 0..3 {
        stage.inbound(&packet, Reason::NoRule);
    }
    let address = |last| mapped(u32::from_ne_bytes([198, 18, 0, last]));
    let events = stage.tables.events();
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!((event.denied.remote, event.local), (address(2), address(1)));
        assert_eq!((event.remote_port, event.local_port, event.denied.port), (40_000, 23, 23));
        assert_eq!((event.denied.protocol, event.denied.family, event.denied.direction), (6, 4, 0));
        assert_eq!((event.denied.reason, event.denied.enforced), (Reason::NoRule as u8, 1));
        assert_eq!(usize::try_from(event.bytes).ok(), Some(packet.build().len()));
    }
    let denied = stage.tables.denied();
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(denied[0].0, events[0].denied);
    assert_eq!(denied[0].1.counter.packets, 3);
    assert!(denied[0].1.first <= denied[0].1.last);
}

#[test]
fn a_flood_of_spoofed_sources_is_suppressed_and_counted() {
    const FLOOD: u64 = 20_000;
    let stage = Stage::new(SITE, "native");
    for number in 0..FLOOD {
        let source = format!("10.{}.{}.{}", number >> 16, number >> 8 & 0xff, number & 0xff);
        let frame = Packet::new().ipv4(&source, "198.18.0.1").udp(40_000, 4444).build();
        assert_eq!(stage.programs[0].ask(&frame, About::default()), Some(Outcome::Dropped));
    }
    let events = u64::try_from(stage.tables.events().len()).expect("a number");
    let (suppressed, lost) = stage.tables.suppressed_and_lost();
    assert_eq!(events + lost + suppressed, FLOOD, "each is told, lost or suppressed: {events}, {lost}, {suppressed}");
    assert!(suppressed > 0, "the bucket never ran dry: {events}, {lost}");
    // As many as found a token, and never more than there is room for.
    let denied = stage.tables.denied().len();
    assert!(denied as u64 <= events + lost, "{denied} flows of {events} events, {lost} lost");
    assert!(denied <= stage.tables.denied_capacity() as usize);
    let counted = stage.counted();
    assert_eq!(counted.values().sum::<u64>(), FLOOD, "the counters are exact: {counted:?}");
}
