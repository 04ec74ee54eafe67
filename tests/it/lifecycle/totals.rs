//! Totals: what was counted is counted once, and stays counted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use enforcer_common::Reason;
use harness::enforcer::{HTTPS_ONLY, Ran, state_folder};
use harness::netns::{forget_filters, host_pins, remove_pins};
use harness::packet::Packet;
use serde_json::Value;

use super::pins_of;
use crate::stage::Stage;

const OTHER: &str = "\
interfaces: [IF]
mode: enforce
roles: []
allow:
  - {name: smtp, protocol: tcp, ports: [25]}
";
const HTTPS: &str = "inbound rule site/https";
const REFUSED: &str = "inbound reason no-rule drop";

/// Packets to a port.
#[track_caller]
fn send(stage: &Stage, port: u16, reason: Reason, times: usize) {
    for _ in 0..times {
        stage.inbound(&Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port), reason);
    }
}

/// A stage on the interface of another one, whose pins are gone.
#[track_caller]
fn again(stage: Stage, site: &str) -> Stage {
    stage.protected.try_site(site, &["--hook", "tc"]).expect_code(0);
    Stage::of(stage.protected)
}

/// What `counters` prints of the interface.
#[track_caller]
fn printed(stage: &Stage) -> (Value, Ran) {
    let ran = stage.protected.run(&["counters", "--format", "json"]).expect_code(0);
    (ran.json()["interfaces"][0].clone(), ran)
}

fn file(stage: &Stage) -> PathBuf {
    state_folder().join(format!("{}.totals", stage.protected.cable.near.interface))
}

/// As a reboot leaves things: nothing in the kernel, the files as they are.
fn reboot(stage: &Stage) {
    for pins in pins_of(&stage.protected.cable.near.interface) {
        remove_pins(&pins);
    }
    remove_pins(&host_pins(stage.protected.cable.host.inode()));
    forget_filters(&stage.protected.cable.host, &stage.protected.cable.near.interface);
}

#[test]
fn totals_go_on_through_save_detach_and_reboot() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    send(&stage, 443, Reason::Rule, 3);
    send(&stage, 80, Reason::NoRule, 2);
    let (first, _) = printed(&stage);
    stage.protected.run(&["save"]).expect_code(0);
    stage.protected.run(&["save"]).expect_code(0);
    assert_eq!(stage.protected.counters().of_name(HTTPS), 3, "saving changes no number");
    send(&stage, 443, Reason::Rule, 1);
    stage.protected.run(&["detach", "--interface", &stage.protected.cable.near.interface]).expect_code(0);

    let stage = again(stage, HTTPS_ONLY);
    assert_eq!(stage.protected.counters().of_name(HTTPS), 4);
    send(&stage, 443, Reason::Rule, 1);
    send(&stage, 80, Reason::NoRule, 1);
    stage.protected.run(&["save"]).expect_code(0);
    reboot(&stage);

    let stage = again(stage, HTTPS_ONLY);
    let counters = stage.protected.counters();
    assert_eq!([HTTPS, REFUSED].map(|name| counters.of_name(name)), [5, 3], "{counters:?}");
    send(&stage, 443, Reason::Rule, 2);
    let counters = stage.protected.counters();
    let names = [HTTPS, REFUSED, "inbound reason rule pass", "inbound verdict pass", "inbound verdict drop"];
    assert_eq!(names.map(|name| counters.of_name(name)), [7, 3, 7, 7, 3], "{counters:?}");

    let (last, ran) = printed(&stage);
    assert_eq!(ran.stderr, "");
    assert_eq!(last["since"], first["since"], "all of it counts since the first apply");
    let rule = |json: &Value| json["rules"].as_array().expect("rules")[0].clone();
    assert_eq!((&rule(&last)["id"], &rule(&last)["since"]), (&"site/https".into(), &rule(&first)["since"]));
    assert!(rule(&last)["last_hit"].as_str() >= rule(&first)["last_hit"].as_str(), "{last}");
}

#[test]
fn a_rule_that_comes_back_goes_on() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    send(&stage, 443, Reason::Rule, 2);
    let stage = again(stage, OTHER);
    send(&stage, 443, Reason::NoRule, 1);
    // Without a word of ours in between: what the apply has saved is what there is.
    reboot(&stage);
    let stage = again(stage, HTTPS_ONLY);
    let counters = stage.protected.counters();
    assert_eq!(counters.of_name(HTTPS), 2, "{counters:?}");
    assert_eq!(counters.of_name("inbound reason rule pass"), 2, "{counters:?}");
}

#[test]
fn a_damaged_file_is_told_put_aside_and_not_counted() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    send(&stage, 443, Reason::Rule, 2);
    stage.protected.run(&["detach", "--interface", &stage.protected.cable.near.interface]).expect_code(0);
    let stage = again(stage, HTTPS_ONLY);
    send(&stage, 443, Reason::Rule, 1);
    let whole = fs::read(file(&stage)).expect("apply has saved");
    let half = &whole[..whole.len() / 2];
    fs::write(file(&stage), half).expect("it can be spoiled");
    let (shown, ran) = printed(&stage);
    assert_eq!(shown["rules"][0]["packets"], 1, "what the kernel has, and nothing made up");
    assert!(ran.stderr.contains("cannot be used (it is cut short)"), "{}", ran.stderr);
    let status = stage.protected.run(&["status"]).expect_code(0).stdout;
    assert!(status.contains("cannot be used (it is cut short)"), "{status}");
    let said = stage.protected.run(&["save"]).expect_code(0).stderr;
    let aside = file(&stage).with_extension("totals.bad");
    assert!(said.contains(&format!("it is kept as {}", aside.display())), "{said}");
    assert_eq!(fs::read(&aside).ok().as_deref(), Some(half));
    let (shown, ran) = printed(&stage);
    assert_eq!((&shown["rules"][0]["packets"], ran.stderr.as_str()), (&1.into(), ""));
    let _ = fs::remove_file(aside);
}

#[test]
fn a_link_in_the_place_of_the_file_is_not_followed() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    send(&stage, 443, Reason::Rule, 1);
    let victim = file(&stage).with_extension("victim");
    fs::write(&victim, "not ours").expect("a file");
    fs::remove_file(file(&stage)).expect("apply has saved");
    symlink(&victim, file(&stage)).expect("a link");
    let (shown, ran) = printed(&stage);
    assert_eq!(shown["rules"][0]["packets"], 1);
    assert!(ran.stderr.contains("it is a symbolic link"), "{}", ran.stderr);
    stage.protected.run(&["save"]).expect_code(0);
    assert_eq!(fs::read_to_string(&victim).ok().as_deref(), Some("not ours"));
    assert!(fs::symlink_metadata(file(&stage)).expect("it was saved").is_file());
    for left in [victim, file(&stage).with_extension("totals.bad")] {
        let _ = fs::remove_file(left);
    }
}

#[test]
fn a_disk_that_takes_nothing_is_an_error_and_keeps_what_was_saved() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    let nowhere = [("ENFORCER_STATE_DIR", "/dev/null/x")];
    let ran = harness::enforcer::enforcer_with_environment(&stage.protected.cable.host, &["save"], &nowhere);
    let ran = ran.expect_code(1);
    assert!(ran.stderr.contains("cannot save the totals of"), "{}", ran.stderr);
}
