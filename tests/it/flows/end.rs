//! `enforcer flows`: what is listed, and that what it ends has ended.

use enforcer_common::Reason;
use harness::packet::{protocol, tcp};

use super::{HOST, OTHER, from_host, stage, to_host};
use crate::stage::Stage;

fn listed(stage: &Stage, more: &[&str]) -> Vec<serde_json::Value> {
    let ran = stage.protected.run(&[&["flows", "--format", "json"][..], more].concat()).expect_code(0);
    serde_json::from_str(&ran.stdout).expect("a list")
}

fn open(stage: &Stage) {
    for family in [0, 1] {
        stage.outbound(&from_host(family).tcp(40_000, 443), Reason::Open);
        stage.outbound(&from_host(family).udp(40_001, 53), Reason::Open);
    }
    stage.outbound(&from_host(0).icmp(8, 0), Reason::Open);
}

#[test]
fn flows_are_listed_with_their_ends_times_and_state() {
    let stage = stage("");
    assert_eq!(listed(&stage, &[]), Vec::<serde_json::Value>::new());
    let ran = stage.protected.run(&["flows"]).expect_code(0);
    assert!(ran.stderr.contains("there is no flow"), "{}", ran.stderr);
    open(&stage);
    assert_eq!(listed(&stage, &[]).len(), 5);
    let [one] = listed(&stage, &["--protocol", "udp", "--peer", OTHER[1]]).try_into().expect("one flow");
    assert_eq!(
        [&one["remote"], &one["local"], &one["protocol"], &one["state"]].map(|value| value.as_str().unwrap_or("")),
        [OTHER[1], HOST[1], "udp", "open"]
    );
    assert_eq!([&one["remote_port"], &one["local_port"]].map(serde_json::Value::as_u64), [Some(53), Some(40_001)]);
    assert_eq!(one["interface"], stage.protected.cable.near.interface.as_str());
    for time in ["opened", "last_out", "expires"] {
        let text = one[time].as_str().expect("a time");
        let time: jiff::Timestamp = text.parse().expect("a time");
        let seconds = jiff::Timestamp::now().as_second() - time.as_second();
        assert!((-200..60).contains(&seconds), "{text}");
    }
    // A flow that the peer closes.
    stage.inbound(&to_host(0).tcp(443, 40_000).flags(tcp::FIN | tcp::ACK), Reason::Flow);
    let [closed] = listed(&stage, &["--port", "443", "--peer", "198.18.0.0/16"]).try_into().expect("one flow");
    assert_eq!(closed["state"], "closed-there");
    assert_eq!(listed(&stage, &["--older", "1h"]).len() + listed(&stage, &["--silent", "1h"]).len(), 0);
    let ran = stage.protected.run(&["flows", "--local-port", "40001"]).expect_code(0);
    assert_eq!(ran.stdout.lines().filter(|line| line.contains("40001")).count(), 2, "{}", ran.stdout);
    let none = stage.protected.run(&["flows", "--port", "9"]).expect_code(0);
    assert!(none.stderr.contains("none of the 5 flows fits the filter"), "{}", none.stderr);
}

#[test]
fn a_flow_that_is_ended_is_over_at_once_also_where_a_cpu_remembers_it() {
    for hook in ["tc", "native"] {
        let stage = Stage::new(super::SITE, hook);
        open(&stage);
        for family in [0, 1] {
            // Found twice: the second time without the table.
            for _ in 0..2 {
                stage.inbound(&to_host(family).udp(53, 40_001), Reason::Flow);
                stage.inbound(&to_host(family).tcp(443, 40_000).flags(tcp::ACK), Reason::Flow);
            }
        }
        let ran = stage.protected.run(&["flows", "--end", "--local-port", "40000"]).expect_code(0);
        assert!(ran.stderr.contains("2 flows ended"), "{}", ran.stderr);
        let ran = stage.protected.run(&["flows", "--end", "--port", "53", "--peer", OTHER[0]]).expect_code(0);
        assert!(ran.stderr.contains("1 flow ended"), "{}", ran.stderr);
        for family in [0, 1] {
            stage.inbound(&to_host(family).tcp(443, 40_000).flags(tcp::ACK), Reason::NoRule);
            // What the host goes on sending revives nothing.
            stage.outbound(&from_host(family).tcp(40_000, 443).flags(tcp::ACK), Reason::Open);
            stage.inbound(&to_host(family).tcp(443, 40_000).flags(tcp::ACK), Reason::NoRule);
        }
        stage.outbound(&from_host(0).udp(40_001, 53), Reason::Open);
        stage.inbound(&to_host(0).udp(53, 40_001), Reason::NoRule);
        stage.inbound(&to_host(1).udp(53, 40_001), Reason::Flow);
        // A new conversation is one.
        stage.outbound(&from_host(0).tcp(40_000, 443), Reason::Open);
        stage.inbound(&to_host(0).tcp(443, 40_000).flags(tcp::SYN | tcp::ACK), Reason::Flow);
        stage.outbound(&from_host(0).udp(40_002, 53), Reason::Open);
        stage.inbound(&to_host(0).udp(53, 40_002), Reason::Flow);
    }
}

#[test]
fn all_flows_are_ended_only_where_somebody_says_so() {
    let stage = stage("");
    open(&stage);
    let ran = stage.protected.run(&["flows", "--end"]).expect_code(4);
    assert!(ran.stderr.contains("5 flows") && ran.stderr.contains("--all"), "{}", ran.stderr);
    assert_eq!(listed(&stage, &[]).len(), 5);
    stage.protected.run(&["flows", "--all"]).expect_code(2);
    let ran = stage.protected.run(&["flows", "--end", "--all"]).expect_code(0);
    assert!(ran.stderr.contains("5 flows ended"), "{}", ran.stderr);
    assert_eq!(listed(&stage, &[]).len(), 0);
    assert_eq!(stage.tables.flows_of(protocol::TCP, 40_000), 0);
    let ran = stage.protected.run(&["flows", "--end", "--all"]).expect_code(0);
    assert!(ran.stderr.contains("nothing was ended"), "{}", ran.stderr);
    stage.protected.run(&["flows", "--protocol", "gre"]).expect_code(2);
    stage.protected.run(&["flows", "--peer", "10.0.0.0/33"]).expect_code(2);
}
