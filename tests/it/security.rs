//! What a user without privileges can do on the protected host: SECURITY.md promises that it is nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use harness::enforcer::Protected;

/// `nobody`, by its number on every Linux.
const NOBODY: u32 = 65534;

#[test]
fn a_user_without_privileges_reads_no_pin() {
    let protected = Protected::apply(&["--role", "finesse"]);
    let pin = protected.pin();
    for path in [pin.clone(), pin.with_file_name("outbound"), pin.parent().expect("a folder").to_owned()] {
        let path = path.to_str().expect("a path of letters");
        for words in [&["/bin/ls", "-l", path][..], &["/usr/sbin/bpftool", "prog", "show", "pinned", path]] {
            let output = as_nobody(words[0], &words[1..]);
            assert!(!output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn a_user_without_privileges_changes_nothing() {
    let protected = Protected::apply(&["--role", "finesse"]);
    protected.mode("enforce");
    // The binary that is tested may lie where only root can go.
    let binary = std::env::temp_dir().join(format!("enforcer-test-{}-binary", std::process::id()));
    fs::copy(harness::enforcer::binary(), &binary).expect("it can be copied");
    fs::set_permissions(&binary, Permissions::from_mode(0o755)).expect("it is ours");
    let interface = protected.cable.near.interface.as_str();
    for words in [
        &["detach"][..],
        &["mode", "audit"],
        &["confirm"],
        &["apply", "--role", "finesse", "--interface", interface, "--mode", "audit"],
    ] {
        let output = as_nobody_in(&protected, binary.to_str().expect("a path of letters"), words);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::remove_file(&binary).expect("it is there");
    let status = protected.run(&["status", "--format", "json"]).expect_code(0).json();
    assert_eq!(status["interfaces"][0]["inbound"]["mode"], "enforce", "{status}");
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
