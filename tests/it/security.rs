//! What a user without privileges can do on the protected host: SECURITY.md promises that it is nothing.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use harness::enforcer::{ForAnybody, Protected};
use harness::netns::Cable;

/// `nobody`, by its number on every Linux.
const NOBODY: u32 = 65534;

#[test]
fn a_user_without_privileges_reads_no_pin() {
    let protected = Protected::apply(&["--role", "finesse"]);
    let pin = protected.pin();
    let folder = pin.parent().expect("a folder").to_owned();
    for path in [pin.clone(), pin.with_file_name("outbound"), folder.clone()] {
        let path = path.to_str().expect("a path of letters");
        for words in [&["/bin/ls", "-l", path][..], &["/usr/sbin/bpftool", "prog", "show", "pinned", path]] {
            if words.contains(&"pinned") && Path::new(path) == folder {
                continue;
            }
            let output = Command::new(words[0]).args(&words[1..]).output().expect("it is there");
            assert!(output.status.success(), "root can: {words:?}: {}", String::from_utf8_lossy(&output.stderr));
            let output = as_nobody(words[0], &words[1..]);
            assert!(!output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn a_user_without_privileges_changes_nothing() {
    let protected = Protected::apply(&["--role", "finesse"]);
    protected.mode("enforce");
    let interface = protected.cable.near.interface.as_str();
    refused(
        &protected,
        &[
            &["detach"],
            &["mode", "audit"],
            &["confirm"],
            &["apply", "--role", "finesse", "--interface", interface, "--mode", "audit"],
        ],
    );
    let status = protected.run(&["status", "--format", "json"]).expect_code(0).json();
    assert_eq!(status["interfaces"][0]["inbound"]["mode"], "enforce", "{status}");
}

#[test]
fn a_user_without_privileges_neither_confirms_nor_moves_nor_lifts_a_deadline() {
    let protected = Protected { cable: Cable::new() };
    let interface = protected.cable.near.interface.as_str();
    protected.apply_again(&["--role", "finesse", "--mode", "enforce", "--confirm-within", "1h"]);
    let deadline = || {
        let status = protected.run(&["status", "--format", "json"]).expect_code(0).json();
        status["interfaces"][0]["deadline"].clone()
    };
    let armed = deadline();
    assert!(armed.is_string(), "{armed}");
    refused(
        &protected,
        &[
            &["confirm"],
            &["mode", "enforce"],
            &["mode", "enforce", "--confirm-within", "2h"],
            &["mode", "audit", "--for", "1s"],
            &["apply", "--role", "finesse", "--interface", interface, "--mode", "enforce"],
        ],
    );
    assert_eq!(deadline(), armed);
    // It waits for somebody who may.
    protected.run(&["confirm"]).expect_code(0);
    assert!(deadline().is_null());
}

/// Runs each of these as `nobody`, and sees that it ends for want of privileges.
#[track_caller]
fn refused(protected: &Protected, lines: &[&[&str]]) {
    let binary = ForAnybody::copy();
    let binary = binary.path().to_str().expect("a path of letters");
    let outputs: Vec<_> = lines.iter().map(|words| as_nobody_in(protected, binary, words)).collect();
    for (words, output) in lines.iter().zip(outputs) {
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn as_nobody(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).uid(NOBODY).gid(NOBODY);
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The same in the namespace of the protected interface, which takes root to enter: a user of that host is there already.
fn as_nobody_in(protected: &Protected, program: &str, arguments: &[&str]) -> Output {
    let mut command = protected.cable.host.command("/usr/bin/setpriv");
    let number = NOBODY.to_string();
    command.args(["--reuid", &number, "--regid", &number, "--clear-groups", program]).args(arguments);
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}
