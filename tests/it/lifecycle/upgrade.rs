//! Another version of enforcer, whose maps have another layout, is taken over while it enforces, or removed.
//!
//! What it has left is made by this version, in folders that are then called as those of another layout.

use std::fs;
use std::path::{Path, PathBuf};

use enforcer_common::layout::LAYOUT_VERSION;
use harness::enforcer::Protected;
use harness::machine::tc_attach_mode;
use harness::netns::{Cable, Namespace, host_pins};
use harness::sockets::{Reply, Servers, tcp};

use super::ENFORCE;

const ROOT: &str = "/sys/fs/bpf/enforcer";
const OTHER: &str = "v1000";

fn own() -> String {
    format!("v{LAYOUT_VERSION}")
}

/// The folder of an interface's pins.
fn folder(protected: &Protected) -> PathBuf {
    Path::new(ROOT).join(&protected.cable.near.interface)
}

fn rename(folder: &Path, from: &str, to: &str) {
    fs::rename(folder.join(from), folder.join(to)).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
}

/// Makes what protects these interfaces look as if another version had made it.
pub(super) fn as_by_another_version(host: &Namespace, interfaces: &[impl AsRef<str>]) {
    for interface in interfaces {
        rename(&Path::new(ROOT).join(interface.as_ref()), &own(), OTHER);
    }
    rename(&host_pins(host.inode()), &own(), OTHER);
}

/// A cable that another version protects.
fn by_another_version(hook: &str) -> Protected {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce", "--hook", hook]);
    as_by_another_version(&protected.cable.host, &[&protected.cable.near.interface]);
    protected
}

fn listeners(cable: &Cable) -> Servers {
    Servers::start(&cable.host, &[443, 4444], &[])
}

/// What is permitted is answered, and what is not is dropped.
#[track_caller]
fn expect_enforced(cable: &Cable) {
    let reach = |port| tcp(&cable.remote, cable.far.v4.into(), (cable.near.v4, port).into());
    assert_eq!((reach(443), reach(4444)), (Reply::Answered, Reply::Silence));
}

#[test]
fn apply_takes_it_over_with_its_modes() {
    for hook in ["native", "tc", "clsact"] {
        let protected = by_another_version(hook);
        let _servers = listeners(&protected.cable);
        expect_enforced(&protected.cable);
        let near = &protected.cable.near.interface;
        let ran = protected.run(&["status"]).expect_code(1);
        assert!(ran.stderr.contains(near) && ran.stderr.contains(OTHER), "{}", ran.stderr);
        let ran = protected.run(&["counters", "--watch"]).expect_code(1);
        assert!(ran.stderr.contains("enforcer apply"), "{}", ran.stderr);

        let ran = protected.run(&["apply", "--role", "unity-connection", "--interface", near, "--hook", hook]);
        let ran = ran.expect_code(0);
        assert!(ran.stderr.contains("taken over"), "{}", ran.stderr);
        expect_enforced(&protected.cable);
        let status = protected.run(&["status", "--format", "json"]).expect_code(0).json();
        assert_eq!(status["interfaces"][0]["inbound"]["mode"], "enforce", "{status}");
        for folder in [folder(&protected), host_pins(protected.cable.host.inode())] {
            assert!(!folder.join(OTHER).exists(), "{}", folder.display());
        }
        let ran = protected.run(&["apply", "--role", "unity-connection", "--interface", near, "--hook", hook]);
        assert!(!ran.expect_code(0).stderr.contains("taken over"));
    }
}

#[test]
fn another_hook_may_be_taken_on_the_way() {
    let protected = by_another_version("clsact");
    let _servers = listeners(&protected.cable);
    let near = &protected.cable.near.interface;
    protected.run(&["apply", "--role", "unity-connection", "--interface", near, "--hook", "tc"]).expect_code(0);
    expect_enforced(&protected.cable);
    let filters = protected.cable.host.command("tc").args(["filter", "show", "dev", near, "ingress"]).output();
    let filters = String::from_utf8_lossy(&filters.expect("tc runs").stdout).into_owned();
    // Without TCX there is no other hook at tc.
    let ours = usize::from(tc_attach_mode() == "clsact");
    assert_eq!(filters.matches("handle").count(), ours, "the filter of the other version is gone: {filters}");
}

#[test]
fn one_whose_change_waits_to_be_confirmed_is_left_alone() {
    let protected = Protected::apply(ENFORCE);
    let near = protected.cable.near.interface.clone();
    protected.run(&["mode", "audit", "--for", "1h"]).expect_code(0);
    rename(&folder(&protected), &own(), OTHER);
    let ran = protected.run(&["apply", "--role", "unity-connection", "--interface", &near]).expect_code(4);
    assert!(ran.stderr.contains("waits to be confirmed"), "{}", ran.stderr);
    let left = folder(&protected).join(OTHER).join("link_inbound").exists();
    rename(&folder(&protected), OTHER, &own());
    assert!(left);
}

#[test]
fn detach_removes_what_another_version_has_left() {
    for hook in ["tc", "clsact"] {
        let protected = by_another_version(hook);
        let _servers = listeners(&protected.cable);
        let ran = protected.run(&["detach"]).expect_code(0);
        assert!(ran.stderr.contains("another version"), "{}", ran.stderr);
        let reach = tcp(&protected.cable.remote, protected.cable.far.v4.into(), (protected.cable.near.v4, 4444).into());
        assert_eq!(reach, Reply::Answered);
        assert!(!host_pins(protected.cable.host.inode()).exists());
        protected.run(&["status"]).expect_code(0);
    }
}
