//! The operator's own SSH session is not cut by mistake.

use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::process::{Output, Stdio};

use harness::enforcer::{Protected, binary, enforcer_with_environment};
use harness::netns::Cable;

use super::{Conversation, apply, run};

/// Not the port of any rule.
const SSH: u16 = 2222;

/// `SSH_CONNECTION` of a session from the remote end.
fn connection(cable: &Cable, port: u16) -> String {
    format!("{} 50000 {} {port}", cable.far.v4, cable.near.v4)
}

#[track_caller]
fn expect_refused(text: &str, from: &str) {
    assert!(text.contains("your own SSH session"), "{text}");
    let rule = format!("{{name: ssh, protocol: tcp, ports: [{SSH}], from: [{from}], reason: administration}}");
    assert!(text.contains(&rule), "{text}");
    assert!(text.contains("--force"), "{text}");
}

#[test]
fn an_apply_that_would_cut_the_session_of_the_environment_is_refused() {
    let cable = Cable::new();
    let session = connection(&cable, SSH);
    let own = [("SSH_CONNECTION", session.as_str())];
    let ran = enforcer_with_environment(&cable.host, &apply(&cable, &[]), &own).expect_code(4);
    expect_refused(&ran.stderr, &cable.far.v4.to_string());
    assert!(!std::path::Path::new("/sys/fs/bpf/enforcer").join(&cable.near.interface).exists());
    let client = format!("{} 50000 {SSH}", cable.far.v6);
    let ran = enforcer_with_environment(&cable.host, &apply(&cable, &[]), &[("SSH_CLIENT", &client)]).expect_code(4);
    expect_refused(&ran.stderr, &format!("\"{}\"", cable.far.v6));
    let protected = Protected { cable };
    let cable = &protected.cable;
    let permitted = connection(cable, 22);
    enforcer_with_environment(&cable.host, &apply(cable, &[]), &[("SSH_CONNECTION", &permitted)]).expect_code(0);
    run(cable, &["detach"]).expect_code(0);
    enforcer_with_environment(&cable.host, &apply(cable, &["--force"]), &own).expect_code(0);
}

#[test]
fn the_rule_that_is_printed_is_the_rule_that_helps() {
    let cable = Cable::new();
    let session = connection(&cable, SSH);
    let own = [("SSH_CONNECTION", session.as_str())];
    let near = &cable.near.interface;
    let site = format!("interfaces: [{near}]\nmode: enforce\nroles: [unity-connection]\n");
    let ran = harness::enforcer::enforcer_with(&cable.host, &["apply", "-"], &site, &own).expect_code(4);
    let rule = ran.stderr.split("allow:").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a rule is printed");
    let protected = Protected { cable };
    let site = format!("{site}allow:{rule}\n");
    harness::enforcer::enforcer_with(&protected.cable.host, &["apply", "-"], &site, &own).expect_code(0);
}

#[test]
fn the_mode_is_guarded_like_apply_and_audit_never_is() {
    let cable = Cable::new();
    let session = connection(&cable, SSH);
    let own = [("SSH_CONNECTION", session.as_str())];
    let near = cable.near.interface.clone();
    let protected = Protected { cable };
    let host = &protected.cable.host;
    let audit = ["apply", "--role", "unity-connection", "--interface", &near, "--mode", "audit"];
    enforcer_with_environment(host, &audit, &own).expect_code(0);
    let ran = enforcer_with_environment(host, &["mode", "enforce"], &own).expect_code(4);
    expect_refused(&ran.stderr, &protected.cable.far.v4.to_string());
    let modes = || {
        protected.run(&["status", "--format", "json"]).expect_code(0).json()["interfaces"][0]["inbound"]["mode"].clone()
    };
    assert_eq!(modes(), "audit");
    enforcer_with_environment(host, &["mode", "enforce", "--outbound"], &own).expect_code(0);
    enforcer_with_environment(host, &["mode", "enforce", "--force"], &own).expect_code(0);
    assert_eq!(modes(), "enforce");
}

/// Runs the binary below a process that is called `sshd` and holds the host's end of a connection, with nothing of it in the
/// environment.
#[track_caller]
fn below_sshd(cable: &Cable, session: &Conversation, line: &[&str]) -> Output {
    let folder = std::env::temp_dir().join(format!("enforcer-sshd-{}-{}", std::process::id(), cable.near.interface));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written to");
    let sshd = folder.join("sshd");
    let _ = std::fs::remove_file(&sshd);
    symlink("/bin/sh", &sshd).expect("a link can be made");
    let mut command = cable.host.command(&sshd);
    // A command behind it: a shell replaces itself by its last one.
    command.args(["-c", "\"$0\" \"$@\"; exit $?"]).arg(binary()).args(line);
    let socket: OwnedFd = session.host.try_clone().expect("a socket can be shared").into();
    command.env_remove("SSH_CONNECTION").env_remove("SSH_CLIENT").stdin(Stdio::from(socket));
    let output = command.output().expect("a shell starts");
    std::fs::remove_dir_all(&folder).expect("it is ours");
    output
}

#[test]
fn without_an_environment_the_session_is_found_in_the_process_tree() {
    let cable = Cable::new();
    let mut session = Conversation::from_peer(&cable, SSH);
    let protected = Protected { cable };
    let cable = &protected.cable;
    let output = below_sshd(cable, &session, &apply(cable, &[]));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    expect_refused(&text, &cable.far.v4.to_string());
    session.exchange();
    let output = below_sshd(cable, &session, &apply(cable, &["--force"]));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(session.is_cut());
}
