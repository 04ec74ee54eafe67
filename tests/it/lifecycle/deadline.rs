//! The dead-man's switch: what is not confirmed in time ends, whatever has become of our processes.

use std::fs;
use std::net::IpAddr;
use std::sync::LazyLock;

use harness::enforcer::{Protected, enforcer, state_folder};
use harness::machine::patience;
use harness::netns::Cable;
use harness::sockets::{Reply, Servers, tcp};
use serde_json::Value;

use super::failure::{NATIVE, Two};
use super::{ENFORCE, REFUSED_PORT, pins_of, program_id, sentences, status, wait_for};

/// Long enough for a machine with much to do to look before it.
static WITHIN: LazyLock<String> = LazyLock::new(|| format!("{}s", 4 * patience()));
static UNCONFIRMED: LazyLock<Vec<&str>> = LazyLock::new(|| {
    vec!["--role", "unity-connection", "--mode", "enforce", "--hook", "native", "--confirm-within", &WITHIN]
});
/// For what has to happen before it.
const LONG: &[&str] =
    &["--role", "unity-connection", "--mode", "enforce", "--hook", "native", "--confirm-within", "1h"];
/// Another policy: it permits what the first refuses to a stranger.
pub(super) const OTHER: &[&str] = &["--role", "unity-connection", "--peer", "cluster=198.18.0.2", "--hook", "native"];

pub(super) fn ask(cable: &Cable, port: u16) -> Reply {
    tcp(&cable.remote, IpAddr::from(cable.far.v4), (cable.near.v4, port).into())
}

/// The restoring processes of a network namespace.
pub(crate) fn restorers(netns: u64) -> Vec<i32> {
    let of_ours = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_restorer = line.split(|byte| *byte == 0).nth(1) == Some(b"restore");
        let link = fs::read_link(entry.path().join("ns/net")).unwrap_or_default();
        is_restorer && link.to_string_lossy() == format!("net:[{netns}]")
    };
    let all = fs::read_dir("/proc").expect("proc is mounted").filter_map(Result::ok).filter(of_ours);
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Kills every process of ours that is in the namespace.
#[track_caller]
pub(super) fn kill_all(protected: &Protected) {
    assert!(kill_restorers(protected) > 0, "a restoring process waits");
}

/// Kills the restoring processes that are left in the namespace, and says how many there were.
#[track_caller]
pub(super) fn kill_restorers(protected: &Protected) -> usize {
    let found = restorers(protected.cable.host.inode());
    for id in &found {
        // It may have ended meanwhile.
        // SAFETY: no pointers. The process is one that our own command has started.
        unsafe { libc::kill(*id, libc::SIGKILL) };
    }
    wait_for(&Vec::new(), || restorers(protected.cable.host.inode()));
    found.len()
}

pub(super) fn kept(protected: &Protected) -> bool {
    state_folder().join(format!("{}.json", protected.cable.near.interface)).exists()
}

#[test]
fn with_every_process_killed_enforcement_ends_at_the_deadline() {
    let protected = Protected { cable: Cable::new() };
    let _servers = Servers::start(&protected.cable.host, &[REFUSED_PORT], &[]);
    protected.apply_again(&UNCONFIRMED);
    assert_eq!(ask(&protected.cable, REFUSED_PORT), Reply::Silence);
    let (code, json) = status(&protected);
    assert_eq!((code, json["deadline"].is_string()), (Some(0), true), "{json}");
    assert!(!kept(&protected), "nothing boots that nobody has confirmed");
    kill_all(&protected);
    let (code, json) = status(&protected);
    assert_eq!(code, Some(1), "the restoring process is missed: {json}");
    let dropped = protected.counters().of_name("inbound verdict drop");
    assert!(dropped > 0);

    wait_for(&Reply::Answered, || ask(&protected.cable, REFUSED_PORT));
    let counted = protected.counters();
    assert!(counted.of_name("inbound verdict would_drop") > 0, "{counted:?}");
    let (code, json) = status(&protected);
    assert_eq!(
        (code, &json["inbound"]["mode"], json["deadline"].is_null()),
        (Some(1), &"audit".into(), true),
        "{json}"
    );
    assert!(sentences(&json, "problems").contains("no process was left"), "{json}");
    assert!(protected.run(&["confirm"]).expect_code(1).stderr.contains("too late"));
    let (code, json) = status(&protected);
    assert_eq!(code, Some(1), "nothing was there before: {json}");
    assert!(sentences(&json, "problems").contains("no confirmed policy to restore"), "{json}");
    // The operator is back, and says what is to be.
    let ran = protected.run(&["mode", "enforce", "--quiet"]).expect_code(0);
    assert!(ran.stderr.contains("never confirmed"), "{}", ran.stderr);
    assert_eq!(ask(&protected.cable, REFUSED_PORT), Reply::Silence);
    assert_eq!(status(&protected).0, Some(0));
    assert!(!kept(&protected), "nobody has confirmed it");
    // Confirmed, it is what boots.
    protected.mode("audit");
    protected.run(&["mode", "enforce", "--confirm-within", "1h"]).expect_code(0);
    protected.run(&["confirm"]).expect_code(0);
    assert!(kept(&protected));
}

#[test]
fn the_previous_policy_comes_back_with_its_modes() {
    let protected = Protected::apply(ENFORCE);
    let cable = &protected.cable;
    let _servers = Servers::start(&cable.host, &[1502, REFUSED_PORT], &[]);
    assert_eq!(ask(cable, 1502), Reply::Silence);
    let before = (program_id(&protected), status(&protected).1["policy_hash"].clone());
    let mut other = OTHER.to_vec();
    other.extend(["--confirm-within", &WITHIN]);
    protected.apply_again(&other);
    assert_eq!(ask(cable, 1502), Reply::Answered, "the new policy permits it");
    assert_eq!(ask(cable, REFUSED_PORT), Reply::Silence, "and enforces");
    wait_for(&Reply::Silence, || ask(cable, 1502));
    wait_for(&true, || sentences(&status(&protected).1, "notes").contains("was restored"));
    let (code, json) = status(&protected);
    assert_eq!((code, &json["inbound"]["mode"]), (Some(0), &"enforce".into()), "{json}");
    assert_eq!((program_id(&protected), json["policy_hash"].clone()), before);
    assert!(protected.run(&["confirm"]).expect_code(1).stderr.contains("too late"));
    wait_for(&Vec::new(), || restorers(protected.cable.host.inode()));
}

#[test]
fn an_interface_that_is_gone_keeps_no_other_from_being_put_back() {
    let two = Two::new();
    two.apply(NATIVE);
    let within = format!("{}s", 6 * patience());
    two.apply(&["--role", "finesse", "--mode", "enforce", "--hook", "native", "--confirm-within", &within]);
    two.host().batch(&format!("link delete {}\n", two.names[0]));
    wait_for(&true, || {
        let ran = enforcer(two.host(), &["status", "--format", "json", "--interface", &two.names[1]]);
        let json = ran.json()["interfaces"][0].clone();
        json["inbound"]["mode"] == "enforce" && sentences(&json, "notes").contains("was restored")
    });
}

#[test]
fn confirmed_in_time_it_stays_and_confirming_again_does_nothing() {
    let protected = Protected { cable: Cable::new() };
    protected.apply_again(LONG);
    let deadline = status(&protected).1["deadline"].clone();
    assert!(deadline.is_string(), "{deadline}");
    assert!(protected.run(&["confirm"]).expect_code(0).stderr.contains("confirmed"));
    assert!(protected.run(&["confirm"]).expect_code(0).stderr.contains("no change to confirm"));
    assert!(kept(&protected));
    let (code, json) = status(&protected);
    assert_eq!((code, json["deadline"].is_null()), (Some(0), true), "{json}");
    // The process that would have restored goes by itself.
    wait_for(&Vec::new(), || restorers(protected.cable.host.inode()));
    assert_eq!(status(&protected).1["inbound"]["mode"], "enforce");
}

#[test]
fn mode_enforce_ends_when_it_is_not_confirmed() {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "audit", "--hook", "native"]);
    let _servers = Servers::start(&protected.cable.host, &[REFUSED_PORT], &[]);
    protected.run(&["mode", "enforce", "--confirm-within", &WITHIN]).expect_code(0);
    assert_eq!(ask(&protected.cable, REFUSED_PORT), Reply::Silence);
    wait_for(&Reply::Answered, || ask(&protected.cable, REFUSED_PORT));
    wait_for(&true, || sentences(&status(&protected).1, "notes").contains("was restored"));
    assert_eq!(status(&protected).1["inbound"]["mode"], "audit");
}

#[test]
fn what_is_said_without_a_deadline_while_one_is_armed_is_for_good() {
    let protected = Protected { cable: Cable::new() };
    protected.apply_again(LONG);
    let first = status(&protected).1["deadline"].clone();
    // Again: the deadline starts anew.
    let longer = &["--role", "unity-connection", "--mode", "enforce", "--hook", "native", "--confirm-within", "2h"];
    protected.apply_again(longer);
    assert_ne!(status(&protected).1["deadline"], first);
    // A window would return to what nobody has confirmed.
    assert!(protected.run(&["mode", "audit", "--for", "1h"]).expect_code(4).stderr.contains("confirm"));
    assert!(protected.run(&["mode", "audit"]).expect_code(0).stderr.contains("is cleared"));
    let (code, json) = status(&protected);
    assert_eq!((code, json["deadline"].is_null()), (Some(0), true), "{json}");

    protected.apply_again(LONG);
    assert!(protected.apply_again(ENFORCE).stderr.contains("is cleared"));
    assert!(status(&protected).1["deadline"].is_null());
    assert!(kept(&protected));
}

#[test]
fn detach_while_a_deadline_is_armed_takes_it_along() {
    let protected = Protected { cable: Cable::new() };
    protected.apply_again(LONG);
    let ran = protected.run(&["detach"]).expect_code(0);
    assert!(ran.stderr.contains("deadline"), "{}", ran.stderr);
    assert_eq!(pins_of(&protected.cable.near.interface), Vec::<std::path::PathBuf>::new());
    wait_for(&Vec::new(), || restorers(protected.cable.host.inode()));
    assert_eq!(pins_of(&protected.cable.near.interface), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_deadline_that_means_nothing_is_bad_input() {
    let protected = Protected::apply(ENFORCE);
    for line in [
        &["mode", "audit", "--confirm-within", "60s"][..],
        &["mode", "enforce", "--for", "2h"],
        &["mode", "enforce", "--confirm-within", "60"],
        &["mode", "enforce", "--confirm-within", "0s"],
        &["mode", "enforce", "--confirm-within", "60s", "--for", "2h"],
    ] {
        protected.run(line).expect_code(2);
    }
    assert_eq!(status(&protected).1["inbound"]["mode"], "enforce");
}

#[test]
fn a_deadline_that_is_armed_in_a_time_namespace_is_kept_by_the_kernels_clock() {
    let protected = Protected { cable: Cable::new() };
    let near = protected.cable.near.interface.clone();
    let mut line = vec!["--time", "--boottime", "86400", "--fork"];
    let binary = harness::enforcer::binary();
    line.extend([binary.to_str().expect("plain"), "apply", "--interface", &near]);
    line.extend(UNCONFIRMED.iter());
    let output = protected.cable.host.command("unshare").args(&line).output().expect("unshare is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(status(&protected).1["inbound"]["mode"], "enforce");
    // Left alone with it, the programs end enforcement.
    kill_all(&protected);
    wait_for(&Value::from("audit"), || status(&protected).1["inbound"]["mode"].clone());
}
