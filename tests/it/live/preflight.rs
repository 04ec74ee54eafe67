//! What `preflight` says of a machine, and that it changes nothing.

use harness::enforcer::{Protected, enforcer, enforcer_with_environment};
use harness::foreign::{self, ForeignXdp};
use harness::netns::Cable;
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
