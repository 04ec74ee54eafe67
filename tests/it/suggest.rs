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
fn beside_a_site_file_interface_chooses_among_the_protected_ones() {
    let protected = Protected { cable: Cable::new() };
    let Cable { host, remote, near, far } = &protected.cable;
    let (own, other) = (near.interface.clone(), format!("{}x", near.interface));
    host.batch(&format!("link add {other} type veth peer name {other}y\n"));
    let folder = std::env::temp_dir().join(format!("enforcer-suggest-{own}"));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let path = folder.join("site.yaml");
    std::fs::write(&path, SITE.replace("IF", &format!("{own}, {other}"))).expect("the folder is there");
    let site = path.to_str().expect("plain");
    protected.run(&["apply", site, "--hook", "tc"]).expect_code(0);
    let _servers = Servers::start(host, &[7777], &[]);
    assert_eq!(tcp(remote, IpAddr::from(far.v4), (near.v4, 7777).into()), Reply::Answered);
    for (interface, number) in [(&own, 1), (&other, 0)] {
        let json =
            protected.run(&["suggest", site, "--interface", interface, "--format", "json"]).expect_code(0).json();
        let found = json["suggestions"].as_array().expect("a list");
        assert_eq!(found.len(), number, "{interface}: {json}");
        for command in ["readiness", "report"] {
            let json = protected.run(&[command, site, "--interface", interface, "--format", "json"]).json();
            let listed = if command == "report" { &json["interfaces"] } else { &json["audit"] };
            let names: Vec<_> = listed.as_array().expect("a list").iter().map(|one| one["interface"].clone()).collect();
            assert_eq!(names, [Value::from(interface.as_str())], "{command}");
        }
    }
    // Where a policy is put in force, the file alone says where.
    let ran = protected.run(&["apply", site, "--interface", &own]).expect_code(2);
    assert!(ran.stderr.contains("a site file names its interfaces"), "{}", ran.stderr);
    // The end of the test expects one protected interface.
    protected.run(&["detach", "--interface", &other]).expect_code(0);
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn without_a_policy_in_force_or_named_there_is_nothing_to_suggest_for() {
    let cable = Cable::new();
    let ran = harness::enforcer::enforcer(&cable.host, &["suggest"]).expect_code(1);
    assert!(ran.stderr.contains("no interface in this network namespace is protected"), "{}", ran.stderr);
}

fn name(suggestion: &Value) -> String {
    format!("{} {}", suggestion["kind"].as_str().unwrap_or("?"), suggestion["name"].as_str().unwrap_or("?"))
}
