//! What `preflight` says of a machine, and that it changes nothing.

use harness::enforcer::{Protected, enforcer, enforcer_with_environment};
use harness::foreign::{self, ForeignTc, ForeignXdp};
use harness::netns::{Cable, Namespace};
use harness::skip::skip;
use serde_json::Value;

use super::{Conversation, UNLISTED};

fn line<'a>(cable: &'a Cable, more: &[&'a str]) -> Vec<&'a str> {
    let mut line =
        vec!["preflight", "--format", "json", "--role", "unity-connection", "--interface", &cable.near.interface];
    line.extend(more);
    line
}

/// Topics of what was found at a level, with the interfaces.
#[track_caller]
fn found(json: &Value, level: &str) -> Vec<String> {
    let all = json["findings"].as_array().unwrap_or_else(|| panic!("no findings in {json}"));
    let of_level = all.iter().filter(|one| one["level"] == level);
    of_level
        .map(|one| format!("{} {}", one["interface"].as_str().unwrap_or("-"), one["topic"].as_str().unwrap_or("?")))
        .collect()
}

/// What was found about a topic, in one.
#[track_caller]
fn sentences(json: &Value, topic: &str) -> String {
    let all = json["findings"].as_array().unwrap_or_else(|| panic!("no findings in {json}"));
    let of_topic = all.iter().filter(|one| one["topic"] == topic);
    of_topic.map(|one| one["message"].as_str().expect("a sentence")).collect::<Vec<_>>().join("\n")
}

/// Whether the kernel has what such a command makes; else says so.
#[track_caller]
fn has(namespace: &Namespace, program: &str, line: &str) -> bool {
    let output = namespace.command(program).args(line.split(' ')).output().expect("the tests need iproute2");
    if !output.status.success() {
        skip(&format!("{program} {line}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    output.status.success()
}

#[test]
fn a_host_with_an_intruder_is_ready_and_told_of_it() {
    let cable = Cable::new();
    let mut intruder = Conversation::from_peer(&cable, UNLISTED);
    let json = enforcer(&cable.host, &line(&cable, &[])).expect_code(0).json();
    assert_eq!(json["ready"], true, "{json}");
    assert_eq!(json["cut"][0]["remote"], intruder.remote().to_string(), "{json}");
    assert_eq!(json["cut"].as_array().map(Vec::len), Some(1), "{json}");
    assert_eq!(json["listeners"][0]["local"], format!("[::]:{UNLISTED}"), "{json}");
    let process = json["listeners"][0]["process"].as_str().unwrap_or_default();
    assert!(process.ends_with(&format!("({})", std::process::id())), "{json}");
    intruder.exchange();
    assert!(!std::path::Path::new("/sys/fs/bpf/enforcer").join(&cable.near.interface).exists());
}

#[test]
fn what_apply_would_refuse_must_be_fixed_first() {
    let cable = Cable::new();
    let near = &cable.near.interface;
    let foreign = ForeignXdp::attach(&cable.host, near);
    let ran = enforcer(&cable.host, &line(&cable, &["--hook", "native"])).expect_code(1);
    assert_eq!(found(&ran.json(), "fix"), [format!("{near} programs")]);
    assert!(ran.stdout.contains(foreign::NAME), "{}", ran.stdout);
    let ran = enforcer(&cable.host, &line(&cable, &["--hook", "tc"])).expect_code(0);
    assert!(found(&ran.json(), "warning").contains(&format!("{near} programs")), "{}", ran.stdout);
    drop(foreign);
    let session = format!("{} 50000 {} 2222", cable.far.v4, cable.near.v4);
    let own = [("SSH_CONNECTION", session.as_str())];
    let ran = enforcer_with_environment(&cable.host, &line(&cable, &[]), &own).expect_code(1);
    assert_eq!(found(&ran.json(), "fix"), ["- ssh"]);
    cable.host.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("it is our namespace"));
    let ran = enforcer(&cable.host, &line(&cable, &[])).expect_code(1);
    assert_eq!(found(&ran.json(), "fix"), ["- forwarding"]);
    let missing = ["preflight", "--format", "json", "--role", "unity-connection", "--interface", "nosuchif0"];
    let ran = enforcer(&cable.remote, &missing).expect_code(1);
    assert_eq!(found(&ran.json(), "fix"), ["nosuchif0 interface"]);
}

#[test]
fn another_interface_is_told_until_it_is_protected_too() {
    let cable = Cable::new();
    cable.host.batch("link add other0 type veth peer name other1\nlink set other0 up\nlink set other1 up\n");
    let ran = enforcer(&cable.host, &line(&cable, &[])).expect_code(0);
    assert_eq!(found(&ran.json(), "warning"), ["other1 unprotected", "other0 unprotected"]);
    let both = line(&cable, &["--interface", "other0", "--interface", "other1"]);
    let ran = enforcer(&cable.host, &both).expect_code(0);
    assert_eq!(found(&ran.json(), "warning"), Vec::<String>::new());
}

#[test]
fn a_protected_interface_is_not_taken_for_somebody_elses() {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce", "--hook", "native"]);
    let ran = protected.run(&line(&protected.cable, &["--hook", "native"])).expect_code(0);
    assert_eq!(found(&ran.json(), "fix"), Vec::<String>::new());
    assert_eq!(found(&ran.json(), "warning"), Vec::<String>::new());
}

#[test]
fn filters_of_others_are_listed_beside_their_programs_in_the_order_in_which_they_run() {
    let protected = Protected { cable: Cable::new() };
    let cable = &protected.cable;
    let near = &cable.near.interface;
    let foreign = ForeignTc::attach(&cable.host, near);
    let programs =
        || sentences(&enforcer(&cable.host, &line(cable, &["--hook", "tc"])).expect_code(0).json(), "programs");
    let expect_filter = |text: &str| {
        let listed = text.lines().find(|line| line.starts_with("on tc ingress")).unwrap_or_else(|| panic!("{text}"));
        let (before, name) = (listed.find("enforcer"), foreign::NAME);
        assert!(before < listed.find(name), "we come first: {listed}");
        assert!(listed.ends_with("in a filter of priority 7"), "{listed}");
        let times = if foreign.has_link() { 2 } else { 1 };
        assert_eq!(listed.matches(name).count(), times, "the one by a link comes before it: {listed}");
    };
    expect_filter(&programs());
    assert!(!programs().contains("egress"), "{}", programs());
    let u32 = format!("filter add dev {near} egress prio 5 u32 match u32 0 0 classid 1:1");
    if has(&cable.host, "tc", &u32) {
        let text = programs();
        assert!(text.contains("on tc egress, in this order: enforcer, then a u32 filter of priority 5"), "{text}");
    }
    protected.apply_again(&["--role", "unity-connection", "--hook", "tc"]);
    expect_filter(&programs());
    assert_eq!(programs().matches("enforcer").count(), programs().lines().count(), "ours is ours: {}", programs());
}

#[test]
fn a_tunnel_is_told_of_as_one() {
    let cable = Cable::new();
    let near = &cable.near.interface;
    let vxlan = format!("link add tunnel0 type vxlan id 7 dstport 4789 remote {} dev {near}", cable.far.v4);
    if !has(&cable.host, "ip", &vxlan) {
        return;
    }
    let warned = || found(&enforcer(&cable.host, &line(&cable, &[])).expect_code(0).json(), "warning");
    assert_eq!(warned(), Vec::<String>::new(), "it is down");
    cable.host.batch("link set tunnel0 up\n");
    assert_eq!(warned(), ["tunnel0 tunnel"]);
}

#[test]
fn the_ports_of_a_bond_are_below_it() {
    let cable = Cable::new();
    let near = &cable.near.interface;
    if !has(&cable.host, "ip", "link add bond0 type bond mode active-backup") {
        return;
    }
    cable.host.batch(&format!("link set {near} down\nlink set {near} master bond0\nlink set bond0 up\n"));
    let bond = ["preflight", "--format", "json", "--role", "unity-connection", "--interface", "bond0"];
    let json = enforcer(&cable.host, &bond).expect_code(0).json();
    assert!(sentences(&json, "layers").contains(&format!("its packets arrive through {near}")), "{json}");
    assert!(!found(&json, "warning").contains(&format!("{near} unprotected")), "{json}");
}
