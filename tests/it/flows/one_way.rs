//! A flow lives as long as packets leave; what comes in prolongs it, but not for ever.

use std::thread;
use std::time::Duration;

use enforcer_common::Reason;
use harness::packet::tcp;

use super::{from_host, stage, to_host};
use crate::stage::Stage;

#[test]
fn what_comes_in_alone_keeps_no_flow_beyond_one_way() {
    for hook in ["tc", "native"] {
        let stage = Stage::new(&format!("{}flows: {{udp: 3s, tcp: 3s, icmp: 3s, one_way: 4s}}\n", super::SITE), hook);
        let pairs = [
            (from_host(0).udp(40_000, 53), to_host(0).udp(53, 40_000)),
            (from_host(1).udp(40_000, 53), to_host(1).udp(53, 40_000)),
        ];
        for (question, _) in &pairs {
            stage.outbound(question, Reason::Open);
        }
        stage.outbound(&from_host(0).tcp(40_000, 80), Reason::Open);
        let of_tcp = to_host(0).tcp(80, 40_000).flags(tcp::ACK);
        let mut passed = [0; 3];
        let began = std::time::Instant::now();
        // Every second, for twice as long as any of them may live.
        while began.elapsed() < Duration::from_secs(8) {
            let packets = pairs.iter().map(|(_, answer)| answer).chain([&of_tcp]);
            for (packet, passed) in packets.zip(&mut passed) {
                let outcome = stage.programs[0].ask(&packet.build(), harness::program::About::default());
                if outcome == Some(harness::program::Outcome::Passed) {
                    *passed = began.elapsed().as_millis();
                }
            }
            thread::sleep(Duration::from_millis(250));
        }
        let [v4, v6, of_tcp] = passed;
        assert!((3000..5300).contains(&v4) && (3000..5300).contains(&v6), "{hook}: UDP until {v4} and {v6} ms");
        assert!(of_tcp < 4300, "{hook}: TCP until {of_tcp} ms");
    }
}

#[test]
fn a_packet_that_leaves_counts_though_one_has_just_come_in() {
    let stage = stage("flows: {udp: 100s}\n");
    stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
    let last_out = || stage.tables.flows4()[0].1.last_out;
    let before = last_out();
    thread::sleep(Duration::from_millis(1300));
    // Now the CPU remembers the flow: of the other direction.
    stage.inbound(&to_host(0).udp(53, 40_000), Reason::Flow);
    assert_eq!(last_out(), before);
    stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
    assert!(last_out() > before);
    // And within a second of that nothing is written.
    let (before, state) = (last_out(), || stage.tables.flows4()[0].1);
    let last = state().last;
    stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
    stage.inbound(&to_host(0).udp(53, 40_000), Reason::Flow);
    assert_eq!((last_out(), state().last), (before, last));
}
