//! `enforcer denied`: what the programs refused, as an operator reads it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use enforcer_common::Reason;
use enforcer_common::layout::{DeniedKey, DeniedState, mapped};
use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::packet::Packet;
use harness::sockets::{Servers, tcp, udp};
use serde_json::Value;

use crate::stage::Stage;

const SITE: &str = "\
interfaces: [IF]
mode: MODE
roles: []
peers: {monitoring: [203.0.113.9]}
allow:
  - {name: https, protocol: tcp, ports: [443]}
  - {name: exporter, protocol: tcp, ports: [9100], from: [monitoring]}
";

fn stage(mode: &str) -> Stage {
    Stage::new(&SITE.replace("MODE", mode), "tc")
}

/// What `denied` prints about packets towards the host; what the host itself sends meanwhile is not the question.
#[track_caller]
fn denied(protected: &Protected, more: &[&str]) -> Vec<Value> {
    let arguments = [&["denied", "--format", "json", "--direction", "inbound"], more].concat();
    let ran = protected.run(&arguments).expect_code(0);
    ran.json().as_array().expect("an array").clone()
}

#[test]
fn clients_that_are_refused_are_summed_up_in_audit_and_in_enforce() {
    let protected = Protected::apply_site(Cable::new(), &SITE.replace("MODE", "audit"), &["--hook", "tc"]);
    let Cable { host, remote, near, far } = &protected.cable;
    let _servers = Servers::start(host, &[23], &[]);
    let client = IpAddr::from(far.v4);
    tcp(remote, client, (near.v4, 23).into());
    protected.mode("enforce");
    tcp(remote, client, (near.v4, 23).into());
    for _ in 0..3 {
        udp(remote, far.v6.into(), (near.v6, 161).into());
    }
    let found = denied(&protected, &["--port", "23"]);
    let modes: Vec<&str> = found.iter().filter_map(|flow| flow["mode"].as_str()).collect();
    assert!(modes.contains(&"audit") && modes.contains(&"enforce") && modes.len() == 2, "{found:#?}");
    for flow in &found {
        assert_eq!(flow["interface"], near.interface.as_str());
        assert_eq!((&flow["direction"], &flow["reason"]), (&"inbound".into(), &"no-rule".into()), "{flow}");
        assert_eq!((&flow["protocol"], &flow["service"]), (&"tcp".into(), &"telnet".into()), "{flow}");
        assert_eq!(
            (flow["remote"].as_str(), flow["local"].as_str()),
            (Some(&*far.v4.to_string()), Some(&*near.v4.to_string()))
        );
        assert!(flow["packets"].as_u64() >= Some(1) && flow["bytes"].as_u64() >= Some(54), "{flow}");
        assert_eq!(flow["rule"], Value::Null);
        let [first, last] = ["first", "last"].map(|time| flow[time].as_str().expect("a time").to_owned());
        assert!(first.ends_with('Z') && first <= last, "{flow}");
    }
    let snmp = denied(&protected, &["--port", "161", "--mode", "enforce"]);
    assert_eq!(snmp.len(), 1, "{snmp:#?}");
    assert_eq!((&snmp[0]["protocol"], &snmp[0]["packets"]), (&"udp".into(), &3.into()));
    assert_eq!(snmp[0]["remote"], far.v6.to_string());
    let known = snmp[0]["known"].as_array().expect("the catalogue knows SNMP");
    assert!(known.iter().any(|one| one["id"].as_str().is_some_and(|id| id.contains("snmp"))), "{known:#?}");
    assert_eq!(denied(&protected, &["--port", "161", "--mode", "audit"]), [] as [Value; 0]);
}

#[test]
fn a_flow_names_the_rule_that_is_for_others() {
    let stage = stage("enforce");
    let address = ("198.18.0.2", "198.18.0.1");
    stage.inbound(&Packet::new().ipv4(address.0, address.1).tcp(40_000, 9100), Reason::Peer);
    stage.inbound(&Packet::new().ipv4(address.0, address.1).protocol(47), Reason::Protocol);
    stage.inbound(&Packet::new().ethertype(0x8892), Reason::Ethertype);
    let found = denied(&stage.protected, &["--sort", "port"]);
    let told = |flow: &Value| ["reason", "protocol", "port", "ethertype", "rule"].map(|field| flow[field].clone());
    let expected = [
        ["ethertype".into(), Value::Null, Value::Null, "0x8892".into(), Value::Null],
        ["peer".into(), "tcp".into(), 9100.into(), Value::Null, "site/exporter".into()],
        ["protocol".into(), "gre".into(), Value::Null, Value::Null, Value::Null],
    ];
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected, "{found:#?}");
    let table = stage.protected.run(&["denied", "--reason", "peer,ethertype"]).expect_code(0).stdout;
    assert!(table.contains("in tcp 9100") && table.contains("site/exporter"), "{table}");
    assert!(table.contains("in 0x8892") && !table.contains("gre"), "{table}");
}

#[test]
fn a_full_table_is_read_whole_and_is_left_as_it_was() {
    let stage = stage("audit");
    let capacity = stage.tables.denied_capacity();
    let near = &stage.protected.cable.near.interface;
    let interface = stage.protected.cable.host.run(|| nix::net::if_::if_nametoindex(near.as_str()));
    let interface = interface.expect("it is there");
    stage.tables.add_denied((0..capacity).map(|number| {
        let key = DeniedKey {
            remote: mapped((0x0a00_0000 | number).to_be()),
            interface,
            port: 23,
            protocol: 6,
            reason: Reason::NoRule as u8,
            family: 4,
            ..DeniedKey::default()
        };
        let mut state = DeniedState::default();
        state.counter.packets = u64::from(number) + 1;
        (key, state)
    }));
    let before = sorted(&stage);
    // An LRU table evicts before its last entry is taken, and each processor keeps a few for itself.
    assert!(before.len() > capacity as usize / 2, "{}", before.len());
    let found = denied(&stage.protected, &["--port", "23"]);
    let told: BTreeMap<u64, String> = found
        .iter()
        .map(|flow| (flow["packets"].as_u64().expect("a number"), flow["remote"].as_str().expect("one").to_owned()))
        .collect();
    assert_eq!(told.len(), found.len(), "no flow is told twice");
    assert_eq!(told, before, "all of them, as they are");
    assert_eq!(sorted(&stage), before, "reading changes nothing");
    let few = denied(&stage.protected, &["--port", "23", "--limit", "3"]);
    assert_eq!(few, found[..3], "the most frequent first");
}

/// The table as the kernel has it: packets and remote address.
fn sorted(stage: &Stage) -> BTreeMap<u64, String> {
    let flows = stage.tables.denied().into_iter().filter(|(key, _)| key.port == 23);
    let address = |key: &DeniedKey| Ipv4Addr::from(key.remote[3].to_ne_bytes()).to_string();
    flows.map(|(key, state)| (state.counter.packets, address(&key))).collect()
}

#[test]
fn a_wrong_reason_is_one_clear_error() {
    let stage = stage("audit");
    let ran = stage.protected.run(&["denied", "--reason", "no-rul"]).expect_code(2);
    assert!(ran.stderr.contains("did you mean `no-rule`?"), "{}", ran.stderr);
}
