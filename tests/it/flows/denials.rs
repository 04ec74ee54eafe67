//! What is refused and let through is remembered, so that its answers make no flow; and no longer than that is true.

use std::thread;
use std::time::Duration;

use enforcer_common::{Direction, Reason};
use harness::packet::{Extension, Packet, protocol, tcp};
use harness::program::About;

use super::{HOST, OTHER, ask_and_answer, from_host, stage, to_host};
use crate::stage::Stage;

/// Longer than what is on its way when a mode changes, and than an answer takes.
const LONG: Duration = Duration::from_millis(700);

fn extended(count: usize, extension: &Extension) -> Packet {
    (0..count).fold(to_host(1), |packet, _| packet.extension(extension.clone()))
}

fn flows(stage: &Stage) -> usize {
    [protocol::TCP, protocol::UDP].map(|protocol| stage.tables.flows_of(protocol, 40_000)).iter().sum()
}

#[test]
fn the_answer_from_another_address_makes_no_flow() {
    for hook in ["tc", "native"] {
        let stage = Stage::new(super::SITE, hook);
        stage.protected.mode("audit");
        let asked = [
            (0, Packet::new().ip(OTHER[0], "198.18.255.255").udp(5000, 40_000)),
            (0, Packet::new().ip(OTHER[0], "255.255.255.255").udp(5000, 40_000)),
            (0, Packet::new().ip(OTHER[0], "10.0.0.1").udp(5000, 40_000)),
            (1, Packet::new().ip(OTHER[1], "ff02::1").udp(5000, 40_000)),
            (1, Packet::new().ip(OTHER[1], "2001:db8::77").udp(5000, 40_000)),
        ];
        for (family, question) in asked {
            stage.tables.forget();
            ask_and_answer(&stage, &question, &from_host(family).udp(40_000, 5000));
            assert_eq!(flows(&stage), 0, "{hook}: {question:?}");
            // Other ports of the same peer are nobody's answer.
            stage.outbound(&from_host(family).udp(40_000, 5001), Reason::Open);
            assert_eq!(flows(&stage), 1, "{hook}: {question:?}");
        }
    }
}

#[test]
fn what_was_refused_before_its_ports_could_be_read_is_remembered_by_its_address() {
    for hook in ["tc", "native"] {
        let stage = Stage::new(super::SITE, hook);
        stage.protected.mode("audit");
        let hop = Extension::Destination { words: 0 };
        let hidden = [
            (extended(9, &hop).udp(5000, 40_000), Reason::ExtensionHeaders),
            (
                extended(1, &Extension::Routing { kind: 0, segments: 0, words: 0 }).udp(5000, 40_000),
                Reason::RoutingHeader,
            ),
            (to_host(1).udp(5000, 40_000).udp_length(0), Reason::Malformed),
        ];
        for (question, reason) in hidden {
            stage.tables.forget();
            stage.would_drop(Direction::Inbound, &question, reason);
            stage.tables.forget();
            ask_and_answer(&stage, &question, &from_host(1).udp(40_000, 5000));
            assert_eq!(flows(&stage), 0, "{hook}: {}", reason.name());
            stage.outbound(&Packet::new().ip(HOST[1], "2001:db8::9").udp(40_000, 5000), Reason::Open);
            assert_eq!(flows(&stage), 1, "{hook}: another peer has nothing to do with it");
        }
    }
}

#[test]
fn in_enforcement_a_refusal_from_before_counts_for_what_is_on_its_way_and_no_longer() {
    let stage = stage("flows: {udp: 100s}\n");
    stage.protected.mode("audit");
    for family in [0, 1] {
        ask_and_answer(&stage, &to_host(family).udp(5000, 40_000), &from_host(family).udp(40_000, 5000));
        ask_and_answer(
            &stage,
            &to_host(family).tcp(80, 40_000).flags(tcp::ACK),
            &from_host(family).tcp(40_000, 80).flags(tcp::ACK),
        );
    }
    assert_eq!(flows(&stage), 0);
    stage.protected.mode("enforce");
    thread::sleep(LONG);
    for family in [0, 1] {
        stage.outbound(&from_host(family).udp(40_000, 5000), Reason::Open);
        stage.inbound(&to_host(family).udp(5000, 40_000), Reason::Flow);
        // A question over TCP would have begun with a SYN.
        stage.outbound(&from_host(family).tcp(40_000, 80).flags(tcp::ACK), Reason::Open);
        stage.inbound(&to_host(family).tcp(80, 40_000).flags(tcp::ACK), Reason::NoRule);
        stage.outbound(&from_host(family).tcp(40_000, 80), Reason::Open);
        stage.inbound(&to_host(family).tcp(80, 40_000).flags(tcp::SYN | tcp::ACK), Reason::Flow);
    }
}

#[test]
fn a_forged_packet_does_not_make_the_host_s_own_conversation_count_as_refused() {
    let stage = stage("flows: {udp: 100s}\n");
    stage.protected.mode("audit");
    for family in [0, 1] {
        let (forged, question) = (to_host(family).udp(123, 123), from_host(family).udp(123, 123));
        stage.would_drop(Direction::Inbound, &forged, Reason::NoRule);
        // The host asks when it is time to, not because of it.
        thread::sleep(Duration::from_millis(200));
        let ask = |program: usize, packet: &Packet| stage.programs[program].ask(&packet.build(), About::default());
        let before = stage.counted();
        ask(1, &question);
        ask(0, &forged);
        let count = |of: &crate::stage::Reasons, reason, would_drop| {
            of.get(&(Direction::Inbound, would_drop, reason)).copied().unwrap_or(0)
        };
        let now = stage.counted();
        assert_eq!(count(&now, Reason::Flow, false), count(&before, Reason::Flow, false) + 1, "{now:?}");
        // Whoever speaks long after the host has spoken does not answer it.
        thread::sleep(LONG);
        stage.would_drop(Direction::Inbound, &forged, Reason::NoRule);
    }
}

#[test]
fn a_rule_in_audit_on_a_host_that_enforces_counts_every_packet() {
    let denies = "deny:\n  - {name: d, protocol: udp, ports: [40000], mode: audit}\n";
    for hook in ["tc", "native"] {
        let stage = Stage::new(&format!("{}{denies}", super::SITE), hook);
        for family in [0, 1] {
            let question = to_host(family).udp(5000, 40_000);
            let other = Packet::new().ip(OTHER[family], ["10.0.0.1", "2001:db8::77"][family]).udp(5000, 40_000);
            ask_and_answer(&stage, &other, &from_host(family).udp(40_000, 5000));
            for _ in 0..3 {
                stage.would_drop(Direction::Inbound, &question, Reason::Denied);
            }
        }
        assert_eq!(flows(&stage), 0, "{hook}");
        // The rest of the host enforces, and asks nobody's memory.
        stage.inbound(&to_host(0).udp(5000, 41_000), Reason::NoRule);
    }
}
