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

/// A machine of its own, as far as pins go: a bpffs that everybody may write to, as the kernel mounts it unless told otherwise, which is
/// the one that its first process sees, and a network with one interface, `eth7`.
const MACHINE: &str = r#"
set -e
mkdir -p /run/enforcer
mount -t tmpfs -o mode=755 tmpfs /run
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
ip link add eth7 type veth peer name p7
ip link set eth7 up
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups sh -ec "$1"; }
enforcer() { code=0; "$ENFORCER_BIN" "$@" > /run/said 2>&1 || code=$?; cat /run/said; echo "exit code $code"; }
apply() { enforcer apply --role finesse --interface eth7 --mode enforce --yes; }
set +e
"#;

/// Runs lines in it, and gives back what they print.
#[track_caller]
fn on_machine(lines: &str) -> String {
    let state = std::env::temp_dir().join(format!("enforcer-machine-{}", std::process::id()));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--net", "--fork", "--mount-proc", "bash", "-c", &format!("{MACHINE}{lines}")]);
    command.env("ENFORCER_BIN", harness::enforcer::binary()).env("ENFORCER_STATE_DIR", &state);
    let output = command.output().expect("unshare is there");
    let _ = std::fs::remove_dir_all(state);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn folders_that_somebody_else_has_made_first_become_roots_and_are_named() {
    let said = on_machine(
        "as_nobody 'mkdir -p /sys/fs/bpf/enforcer/eth7/junk && chmod 0777 /sys/fs/bpf/enforcer'
         apply
         find /sys/fs/bpf/enforcer -type d -exec stat -c '%u %a %n' {} +
         as_nobody 'mv /sys/fs/bpf/enforcer/eth7 /sys/fs/bpf/enforcer/eth8' || echo refused
         enforcer status",
    );
    let count = |text: &str| said.matches(text).count();
    assert_eq!((count("exit code 0"), count("exit code")), (2, 2), "{said}");
    assert!(
        said.contains("ATTENTION: the folder /sys/fs/bpf/enforcer was not safe (it belongs to user 65534)"),
        "{said}"
    );
    assert!(said.contains("/sys/fs/bpf/enforcer/eth7 was not safe"), "{said}");
    assert!(count("0 700 /sys/fs/bpf/enforcer") >= 4, "{said}");
    assert!(!said.contains("65534 7") && count("refused") == 1, "{said}");
}

#[test]
fn a_folder_that_others_may_write_to_is_put_right_by_whatever_looks_at_it() {
    for command in ["status", "boot", "mode audit", "counters", "detach"] {
        let said = on_machine(&format!(
            "apply
             chmod 0777 /sys/fs/bpf/enforcer/eth7; chown 65534 /sys/fs/bpf/enforcer
             enforcer {command}
             stat -c '%u %a %n' /sys/fs/bpf/enforcer /sys/fs/bpf/enforcer/eth7"
        ));
        assert!(said.contains("ATTENTION: the folder /sys/fs/bpf/enforcer was not safe"), "{command}: {said}");
        assert_eq!(said.matches("exit code 0").count(), 2, "{command}: {said}");
        let is_safe =
            said.contains("0 700 /sys/fs/bpf/enforcer\n") && said.contains("0 700 /sys/fs/bpf/enforcer/eth7\n");
        assert!(is_safe || command == "detach", "{command}: {said}");
    }
}

#[test]
fn what_somebody_else_has_put_in_the_place_of_pins_is_refused_with_the_command_that_removes_it() {
    for (planted, path) in [
        ("ln -s /tmp /sys/fs/bpf/enforcer", "/sys/fs/bpf/enforcer"),
        ("mkdir /sys/fs/bpf/enforcer && ln -s /tmp /sys/fs/bpf/enforcer/eth7", "/sys/fs/bpf/enforcer/eth7"),
    ] {
        let said =
            on_machine(&format!("as_nobody '{planted}'\napply\nenforcer status\nrm {path}\napply\nenforcer status"));
        let refused = format!("`rm {path}`");
        let codes: Vec<&str> = said.lines().filter(|line| line.starts_with("exit code")).collect();
        assert_eq!(codes, ["exit code 4", "exit code 4", "exit code 0", "exit code 0"], "{planted}: {said}");
        assert_eq!(said.matches(refused.as_str()).count(), 2, "{planted}: {said}");
    }
}

#[test]
fn a_bpffs_in_which_everybody_may_rename_is_refused_with_the_command_that_ends_that() {
    for (open, close) in [("chmod 0777 /sys/fs/bpf", "chmod +t"), ("chown 65534 /sys/fs/bpf", "chown root:root")] {
        let said = on_machine(&format!("{open}\napply\n{close} /sys/fs/bpf\napply"));
        let codes: Vec<&str> = said.lines().filter(|line| line.starts_with("exit code")).collect();
        assert_eq!(codes, ["exit code 4", "exit code 0"], "{said}");
        assert!(said.contains(&format!("`{close} /sys/fs/bpf`")), "{said}");
    }
}

#[test]
fn locks_that_somebody_else_holds_hold_up_nobody() {
    let said = on_machine(
        "mkdir -p /run/enforcer; chmod 0777 /run/enforcer
         as_nobody 'mkfifo /run/enforcer/lock; ln -s /etc/passwd /run/enforcer/turn'
         ENFORCER_BIN=\"timeout 60 $ENFORCER_BIN\"
         enforcer() { code=0; $ENFORCER_BIN \"$@\" > /run/said 2>&1 || code=$?; cat /run/said; echo \"exit code $code\"; }
         apply
         stat -c '%u %a %n' /run/enforcer
         wc -c < /etc/passwd",
    );
    assert!(said.contains("exit code 0"), "{said}");
    assert!(said.contains("0 700 /run/enforcer"), "{said}");
    assert!(!said.ends_with("\n0\n"), "the link was followed: {said}");
}
