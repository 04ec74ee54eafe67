//! `enforcer suggest`: from what audit saw to a policy that enforces without cutting it.

use std::net::IpAddr;

use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::sockets::{Reply, Servers, tcp};
use serde_json::Value;

const SITE: &str = "\
interfaces: [IF]
mode: audit
roles: []
peers: {monitoring: [203.0.113.9]}
allow:
  - {name: https, protocol: tcp, ports: [443]}
  - {name: exporter, protocol: tcp, ports: [9100], from: [monitoring]}
";

#[test]
fn what_audit_saw_passes_once_the_suggested_site_is_enforced() {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let Cable { host, remote, near, far } = &protected.cable;
    let _servers = Servers::start(host, &[7777, 7778, 9100], &[]);
    let ask = |port: u16| tcp(remote, IpAddr::from(far.v4), (near.v4, port).into());
    assert_eq!([7777, 9100].map(ask), [Reply::Answered, Reply::Answered], "audit lets it pass");

    // The policy in force is known without its file: it came from standard input.
    let found = protected.run(&["suggest", "--format", "json"]).expect_code(0).json();
    let names: Vec<_> = found["suggestions"].as_array().expect("a list").iter().map(name).collect();
    assert!(names.contains(&"allow tcp-7777".to_owned()) && names.contains(&"peer monitoring".to_owned()), "{names:?}");
    let text = protected.run(&["suggest"]).expect_code(0).stdout;
    assert!(text.contains("tcp-7777") && text.contains("risk"), "{text}");

    let site = protected.run(&["suggest", "--format", "yaml"]).expect_code(0).stdout;
    protected.try_site(&site, &["--hook", "tc", "--mode", "enforce"]).expect_code(0);
    assert_eq!([7777, 9100].map(ask), [Reply::Answered, Reply::Answered], "what was seen is permitted");
    assert_eq!(ask(7778), Reply::Silence, "and nothing else is");
}

#[test]
fn without_a_policy_in_force_or_named_there_is_nothing_to_suggest_for() {
    let cable = Cable::new();
    let ran = harness::enforcer::enforcer(&cable.host, &["suggest"]).expect_code(1);
    assert!(ran.stderr.contains("no interface of this network namespace is protected"), "{}", ran.stderr);
}

fn name(suggestion: &Value) -> String {
    format!("{} {}", suggestion["kind"].as_str().unwrap_or("?"), suggestion["name"].as_str().unwrap_or("?"))
}
