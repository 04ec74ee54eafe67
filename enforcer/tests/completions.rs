//! Completions, as a shell asks for them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::process::{Command, Stdio};

use skip::skip;

#[path = "../../tests/harness/skip.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is the kernel suite's too, which says more")]
mod skip;

#[test]
fn a_role_by_its_first_letters() {
    assert_eq!(complete(&["role", "show", "un"]), ["unity-connection"]);
    assert_eq!(complete(&["apply", "--role", "finesse,un"]), ["finesse,unity-connection"]);
}

#[test]
fn a_peer_comes_with_the_sign_before_its_addresses() {
    assert_eq!(complete(&["check", "--peer", "phon"]), ["phones="]);
    assert_eq!(complete(&["check", "--peer", "phones=10.0."]), Vec::<String>::new());
}

#[test]
fn a_parameter_and_its_words() {
    assert_eq!(complete(&["role", "show", "cce-router", "--set", "sid"]), ["side="]);
    assert_eq!(complete(&["check", "--set", "side="]), ["side=a", "side=b"]);
}

#[test]
fn interfaces_are_those_of_this_moment() {
    let mut there: Vec<String> = fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap())
        // Beside interfaces there is a file of the bonding driver.
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name != "lo")
        .collect();
    there.sort();
    for arguments in [["status", "--interface", ""], ["apply", "--interface", ""]] {
        let mut offered = complete(&arguments);
        offered.sort();
        assert_eq!(offered, there, "{arguments:?}");
    }
}

#[test]
fn commands_but_not_those_for_ourselves() {
    let commands = complete(&[""]);
    for name in ["apply", "detach", "completions"] {
        assert!(commands.iter().any(|command| command == name), "{commands:?}");
    }
    for name in ["restore", "man"] {
        assert!(commands.iter().all(|command| command != name), "{commands:?}");
    }
    assert_eq!(complete(&["mode", "en"]), ["enforce"]);
    assert_eq!(complete(&["help", "lock"]), ["lockout"]);
    assert_eq!(complete(&["help", "det"]), ["detach"]);
}

/// The script is read by a real shell, which then calls the binary.
#[test]
fn bash_completes_with_the_script() {
    let script = "set -eu\nexport PATH=\"$(dirname \"$1\"):$PATH\"\neval \"$(enforcer completions bash)\"\n\
                  COMP_WORDS=(enforcer role show un) COMP_CWORD=3 COMP_TYPE=9\n\
                  _clap_complete_enforcer enforcer un show\nprintf '%s\\n' \"${COMPREPLY[@]}\"";
    if Command::new("bash").arg("-c").arg("true").status().is_err() {
        skip("there is no bash");
        return;
    }
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", script, "bash", env!("CARGO_BIN_EXE_enforcer")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "unity-connection\n", "{output:?}");
}

#[test]
fn the_script_for_zsh_parses() {
    parses("zsh");
}

#[test]
fn the_script_for_fish_parses() {
    parses("fish");
}

fn parses(shell: &str) {
    let output = enforcer().args(["completions", shell]).output().unwrap();
    assert!(output.status.success());
    let script = String::from_utf8(output.stdout).unwrap();
    assert!(script.contains("ENFORCER_COMPLETE") && script.contains("enforcer"), "{script}");
    let path = std::env::temp_dir().join(format!("enforcer-completions-{}.{shell}", std::process::id()));
    fs::write(&path, script).unwrap();
    match Command::new(shell).arg("-n").arg(&path).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => skip(&format!("there is no {shell} to read its script")),
    }
    fs::remove_file(path).unwrap();
}

/// What is offered for the last of these words.
fn complete(words: &[&str]) -> Vec<String> {
    let output = enforcer()
        .env("ENFORCER_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n")
        .args(["--", "enforcer"])
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn enforcer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enforcer"));
    command.stdin(Stdio::null());
    command
}
