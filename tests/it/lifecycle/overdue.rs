//! A deadline that has passed means reverted: where the restoring process was killed, the next command restores what was in force
//! before, and only then does what it was asked.

use std::fs;
use std::path::Path;

use enforcer_common::layout::LAYOUT_VERSION;
use harness::calls::{CHANGING, Then, watch};
use harness::enforcer::{Protected, Ran, command, state_folder};
use harness::machine::patience;
use harness::sockets::{Reply, Servers};
use serde_json::Value;

use super::deadline::{OTHER, ask, kept, kill_restorers};
use super::{ENFORCE, REFUSED_PORT, sentences, status, wait_for};

/// A port that the confirmed policy refuses, and the other one permits.
const PORT: u16 = 1502;

/// What the command says that finds the deadline.
const SAID: &str = "the change was not confirmed by";

/// Applies another policy over what is in force, kills the restoring process, and waits until the deadline has passed.
#[track_caller]
fn let_it_pass(protected: &Protected, policy: &[&str]) {
    pass(protected, |within| {
        let line: Vec<&str> = policy.iter().copied().chain(["--confirm-within", within]).collect();
        protected.apply_again(&line);
    });
}

/// Makes a change, kills the restoring process, and waits until the deadline has passed. On a machine so busy that the process could
/// do its work before it was killed, once more with more time.
#[track_caller]
fn pass(protected: &Protected, change: impl Fn(&str)) {
    for seconds in [4, 16, 64].map(|seconds| seconds * patience()) {
        change(&format!("{seconds}s"));
        let killed = kill_restorers(protected) > 0;
        if killed && status(protected).1["deadline"].is_string() {
            wait_for(&true, || status(protected).1["deadline"].is_null());
            return;
        }
    }
    panic!("this machine is too busy to kill a process within a minute");
}

/// The other policy where the kernel cannot go back by itself.
fn on_another_hook() -> Vec<&'static str> {
    OTHER.iter().map(|word| if *word == "native" { "tc" } else { word }).collect()
}

fn hash(protected: &Protected) -> Value {
    status(protected).1["policy_hash"].clone()
}

pub(super) fn kept_hash(protected: &Protected) -> Value {
    let path = state_folder().join(format!("{}.json", protected.cable.near.interface));
    let text = fs::read_to_string(path).expect("a policy is kept");
    serde_json::from_str::<Value>(&text).expect("it is JSON")["policy_hash"].clone()
}

#[track_caller]
fn expect_said(ran: &Ran) {
    assert!(ran.stderr.contains(SAID), "`{}` says nothing of the deadline: {}", ran.line, ran.stderr);
}

#[test]
fn every_command_that_changes_something_restores_what_was_confirmed_before_it_acts() {
    let protected = Protected::apply(ENFORCE);
    let _servers = Servers::start(&protected.cable.host, &[PORT], &[]);
    let good = hash(&protected);
    for (line, code, mode) in [
        (&["mode", "enforce", "-q"][..], Some(0), "enforce"),
        (&["save", "-q"], Some(0), "enforce"),
        // It may miss interfaces of other tests.
        (&["boot", "-q"], None, "enforce"),
        (&["confirm", "-q"], Some(1), "enforce"),
        (&["mode", "audit"], Some(0), "audit"),
    ] {
        let_it_pass(&protected, OTHER);
        assert_eq!(
            status(&protected).1["judges"],
            "last-confirmed",
            "before `{line:?}` the kernel has gone back alone"
        );
        let ran = protected.run(line);
        assert_eq!(ran.code, code.or(ran.code), "{line:?}: {}", ran.stderr);
        expect_said(&ran);
        let (_, json) = status(&protected);
        assert_eq!((&json["policy_hash"], &json["inbound"]["mode"]), (&good, &mode.into()), "{line:?}: {json}");
        let reply = if mode == "enforce" { Reply::Silence } else { Reply::Answered };
        assert_eq!(ask(&protected.cable, PORT), reply, "{line:?}");
        assert_eq!(kept_hash(&protected), good, "{line:?}: the next boot");
        protected.mode("enforce");
    }
    let_it_pass(&protected, OTHER);
    expect_said(&protected.apply_again(ENFORCE));
    let_it_pass(&protected, OTHER);
    expect_said(&protected.run(&["detach", "-q"]).expect_code(0));
    assert!(!kept(&protected));
}

#[test]
fn commands_that_read_say_that_the_deadline_has_passed_and_change_nothing() {
    let protected = Protected::apply(ENFORCE);
    let good = hash(&protected);
    let_it_pass(&protected, OTHER);
    let near = protected.cable.near.interface.clone();
    let dry = ["apply", "--role", "finesse", "--interface", &near, "--dry-run"];
    for line in [&["status"][..], &["counters"], &["denied"], &["readiness"], &["report", "-o", "/dev/null"], &dry] {
        let ran = protected.run(line);
        expect_said(&ran);
        assert!(ran.stderr.contains("the kernel judges by the last confirmed policy in enforce"), "{}", ran.stderr);
    }
    let (code, json) = status(&protected);
    assert_eq!((code, &json["inbound"]["mode"]), (Some(0), &"enforce".into()), "{json}");
    assert_eq!((&json["judges"], &json["policy_hash"]), (&"last-confirmed".into(), &good));
    protected.run(&["save"]).expect_code(0);
    // Where the kernel cannot go back, the unconfirmed policy is in audit.
    let_it_pass(&protected, &on_another_hook());
    for line in [&["status"][..], &["counters"], &dry] {
        let ran = protected.run(line);
        expect_said(&ran);
        assert!(ran.stderr.contains("the unconfirmed policy judges in audit"), "{}", ran.stderr);
    }
    let (code, json) = status(&protected);
    assert_eq!((code, &json["inbound"]["mode"]), (Some(1), &"audit".into()), "{json}");
    assert_ne!(json["policy_hash"], good);
}

#[test]
fn through_unconfirmed_changes_one_over_the_other_the_way_back_leads_to_what_was_confirmed_last() {
    let protected = Protected::apply(ENFORCE);
    let good = hash(&protected);
    let third: Vec<&str> = OTHER.iter().copied().chain(["--mode", "audit", "--peer", "cluster=198.18.0.7"]).collect();
    // Over one that waits.
    protected.apply_again(&OTHER.iter().copied().chain(["--confirm-within", "1h"]).collect::<Vec<_>>());
    let_it_pass(&protected, &third);
    expect_said(&protected.run(&["save"]).expect_code(0));
    assert_eq!(hash(&protected), good);
    // Over one whose deadline has passed.
    let_it_pass(&protected, OTHER);
    let_it_pass(&protected, &third);
    expect_said(&protected.run(&["save"]).expect_code(0));
    let (code, json) = status(&protected);
    assert_eq!((code, &json["policy_hash"], &json["inbound"]["mode"]), (Some(0), &good, &"enforce".into()), "{json}");
    // Of the mode alone.
    protected.mode("audit");
    for line in [&["mode", "enforce"][..], &["mode", "enforce", "--outbound"]] {
        pass(&protected, |within| {
            protected.run(&[line, &["--confirm-within", within]].concat()).expect_code(0);
        });
    }
    expect_said(&protected.run(&["save"]).expect_code(0));
    let (_, json) = status(&protected);
    assert_eq!((&json["inbound"]["mode"], &json["outbound"]["mode"]), (&"audit".into(), &"audit".into()), "{json}");
}

#[test]
fn where_the_policy_before_is_gone_audit_remains_and_everybody_says_so() {
    let protected = Protected::apply(ENFORCE);
    let _servers = Servers::start(&protected.cable.host, &[REFUSED_PORT], &[]);
    let good = hash(&protected);
    let pins =
        Path::new("/sys/fs/bpf/enforcer").join(&protected.cable.near.interface).join(format!("v{LAYOUT_VERSION}"));
    let before: Vec<_> = generations(&pins);
    let_it_pass(&protected, &on_another_hook());
    for generation in before {
        fs::remove_dir_all(generation).expect("it is kept for the way back");
    }
    let ran = protected.run(&["mode", "enforce"]).expect_code(4);
    assert!(ran.stderr.contains("cannot be restored") && ran.stderr.contains("enforcer apply"), "{}", ran.stderr);
    let (code, json) = status(&protected);
    assert_eq!((code, &json["inbound"]["mode"]), (Some(1), &"audit".into()), "{json}");
    assert!(sentences(&json, "problems").contains("cannot be restored"), "{json}");
    assert_eq!(ask(&protected.cable, REFUSED_PORT), Reply::Answered);
    protected.run(&["mode", "audit"]).expect_code(0);
    assert_eq!(kept_hash(&protected), good, "the next boot protects by the confirmed policy");
    protected.apply_again(ENFORCE);
    assert_eq!(status(&protected).0, Some(0));
}

#[test]
fn where_only_the_pins_of_the_policy_before_are_gone_the_kernel_judges_by_it_all_the_same() {
    let protected = Protected::apply(ENFORCE);
    let _servers = Servers::start(&protected.cable.host, &[PORT, REFUSED_PORT], &[]);
    let good = hash(&protected);
    let pins =
        Path::new("/sys/fs/bpf/enforcer").join(&protected.cable.near.interface).join(format!("v{LAYOUT_VERSION}"));
    let before: Vec<_> = generations(&pins);
    let_it_pass(&protected, OTHER);
    for generation in before {
        fs::remove_dir_all(generation).expect("it is kept for the way back");
    }
    let ran = protected.run(&["mode", "enforce"]);
    assert!(ran.stderr.contains("cannot be put back on the hooks"), "{}", ran.stderr);
    assert_eq!([PORT, REFUSED_PORT].map(|port| ask(&protected.cable, port)), [Reply::Silence; 2]);
    let (code, json) = status(&protected);
    let found = (code, &json["inbound"]["mode"], &json["policy_hash"]);
    assert_eq!(found, (Some(1), &"enforce".into(), &good), "{json}");
    assert!(sentences(&json, "problems").contains("enforcer apply"), "{json}");
    protected.apply_again(ENFORCE);
    assert_eq!(status(&protected).0, Some(0));
    assert_eq!([PORT, REFUSED_PORT].map(|port| ask(&protected.cable, port)), [Reply::Silence; 2]);
}

fn generations(pins: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(pins).expect("it is protected").filter_map(Result::ok).map(|entry| entry.path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('g'))).collect()
}

#[test]
fn a_way_back_that_is_killed_at_any_point_is_finished_by_the_next_command() {
    let protected = Protected::apply(ENFORCE);
    let _servers = Servers::start(&protected.cable.host, &[PORT, REFUSED_PORT], &[]);
    let good = hash(&protected);
    // Another hook, so that there is a link to put aside and one to put back.
    let policy = on_another_hook();
    let save = |die_at: usize| {
        let mut made = 0;
        watch(&mut command(&protected.cable.host, &["save"]), CHANGING, |call| {
            made += 1;
            if made == die_at {
                let id = i32::try_from(call.thread).expect("a process id");
                // SAFETY: no pointers. The process is the command that this test has started, and waits for an answer.
                assert_eq!(unsafe { libc::kill(id, libc::SIGKILL) }, 0);
            }
            Then::GoOn
        });
        made
    };
    let_it_pass(&protected, &policy);
    let calls = save(usize::MAX);
    assert_eq!(hash(&protected), good);
    for at in 1..=8 {
        // Or the same hook, on which the kernel has gone back by itself.
        let_it_pass(&protected, if at % 2 == 0 { OTHER } else { &policy });
        // The way back is the first of what the command does: about the first half of its calls.
        save(1 + at * calls / 12);
        protected.run(&["save"]).expect_code(0);
        let (code, json) = status(&protected);
        let found = (code, &json["policy_hash"], &json["inbound"]["mode"], &json["inbound"]["attach_mode"]);
        assert_eq!(
            found,
            (Some(0), &good, &"enforce".into(), &"native".into()),
            "killed at {at}/12 of {calls}: {json}"
        );
        assert_eq!(ask(&protected.cable, PORT), Reply::Silence, "killed at {at}/12 of {calls}");
    }
}
