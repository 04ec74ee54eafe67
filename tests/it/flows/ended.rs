//! A conversation that a peer opened ends with the policy that let it pass, however busy it is.

use enforcer_common::Reason;
use harness::packet::{Packet, protocol, tcp};

use super::{OTHER, from_host, to_host};
use crate::stage::Stage;

/// A policy that permits something; more entries of `allow` may follow.
const BASE: &str = "interfaces: [IF]\nmode: enforce\nroles: []\nallow:\n  - {name: b, protocol: tcp, ports: [2222]}\n";

/// The stage after another policy.
fn then(stage: Stage, site: &str, hook: &str) -> Stage {
    stage.protected.try_site(site, &["--hook", hook]).expect_code(0);
    Stage { programs: [stage.protected.inbound(), stage.protected.outbound()], ..stage }
}

#[test]
fn an_answer_on_its_way_at_the_switch_makes_no_flow() {
    let permits = "  - {name: a, protocol: udp, ports: [40000]}\n";
    let some = "  - {name: a, protocol: udp, ports: [40000], from: [192.0.2.0/24]}\n";
    let denies = "deny:\n  - {name: d, protocol: udp, ports: [40000]}\n";
    for hook in ["tc", "native"] {
        for (after, reason) in [("", Reason::NoRule), (denies, Reason::Denied), (some, Reason::Peer)] {
            let stage = Stage::new(&format!("{BASE}{permits}"), hook);
            for family in [0, 1] {
                stage.inbound(&to_host(family).udp(5000, 40_000), Reason::Rule);
            }
            let stage = then(stage, &format!("{BASE}{after}"), hook);
            for family in [0, 1] {
                stage.outbound(&from_host(family).udp(40_000, 5000), Reason::Open);
                stage.inbound(&to_host(family).udp(5000, 40_000), reason);
            }
            assert_eq!(stage.tables.flows_of(protocol::UDP, 40_000), 0, "{hook}: {after}");
            // Questions from other ports are asked as ever.
            stage.outbound(&from_host(0).udp(40_001, 5000), Reason::Open);
            stage.inbound(&to_host(0).udp(5000, 40_001), Reason::Flow);
        }
    }
}

#[test]
fn only_those_whom_the_policy_before_let_pass_are_marked() {
    let site = format!("{BASE}  - {{name: a, protocol: udp, ports: [40000], from: [{}]}}\n", OTHER[0]);
    let stage = then(Stage::new(&site, "tc"), BASE, "tc");
    stage.outbound(&from_host(0).udp(40_000, 5000), Reason::Open);
    stage.inbound(&to_host(0).udp(5000, 40_000), Reason::NoRule);
    let (question, answer) = (from_host(0).tcp(40_000, 5000), to_host(0).tcp(5000, 40_000).flags(tcp::SYN | tcp::ACK));
    stage.outbound(&question, Reason::Open);
    stage.inbound(&answer, Reason::Flow);
    let elsewhere = |packet: Packet| packet.udp(40_000, 5000);
    stage.outbound(&elsewhere(Packet::new().ip(super::HOST[0], "198.18.0.9")), Reason::Open);
    stage.inbound(&Packet::new().ip("198.18.0.9", super::HOST[0]).udp(5000, 40_000), Reason::Flow);
}

#[test]
fn a_flow_of_the_host_goes_on_through_the_switch() {
    let site = format!("{BASE}  - {{name: a, protocol: udp, ports: [40000], from: [192.0.2.0/24]}}\n");
    let stage = Stage::new(&site, "tc");
    stage.outbound(&from_host(0).udp(40_000, 5000), Reason::Open);
    let stage = then(stage, BASE, "tc");
    stage.outbound(&from_host(0).udp(40_000, 5000), Reason::Open);
    stage.inbound(&to_host(0).udp(5000, 40_000), Reason::Flow);
}

#[test]
fn the_same_policy_once_more_marks_nothing() {
    let site = format!("{BASE}  - {{name: a, protocol: udp, ports: [40000], from: [192.0.2.0/24]}}\n");
    let stage = then(Stage::new(&site, "tc"), &site, "tc");
    stage.outbound(&from_host(0).udp(40_000, 5000), Reason::Open);
    stage.inbound(&to_host(0).udp(5000, 40_000), Reason::Flow);
    let ran = stage.protected.run(&["status"]).expect_code(0);
    assert!(!ran.stdout.contains("drift"), "{}", ran.stdout);
}
