//! Commands that look at no interface: what they print, and how they fail.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};

use harness::enforcer::{binary, enforcer_on_host};
use nix::pty::openpty;

#[test]
fn roles_are_listed_for_scripts() {
    let json = enforcer_on_host(&["roles", "--format", "json"]).expect_code(0).json();
    let roles = json.as_array().expect("an array");
    let unity = roles.iter().find(|role| role["name"] == "unity-connection").expect("it is in the catalogue");
    assert!(unity["services"].as_u64() > Some(20), "{unity}");
    assert!(unity["connections"].as_u64() > Some(0), "{unity}");
}

#[test]
fn a_role_is_shown_with_its_rows() {
    let ran = enforcer_on_host(&["role", "show", "unity-connection"]).expect_code(0);
    assert!(ran.stdout.contains("imap") && ran.stdout.contains("143"), "{}", ran.stdout);
}

#[test]
fn an_unknown_role_is_bad_input_with_a_near_name() {
    let ran = enforcer_on_host(&["role", "show", "unity-conection"]).expect_code(2);
    assert!(ran.stderr.contains("unity-connection"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[test]
fn an_unknown_command_or_option_is_bad_input() {
    enforcer_on_host(&["protect"]).expect_code(2);
    enforcer_on_host(&["roles", "--fromat", "json"]).expect_code(2);
    enforcer_on_host(&["apply", "--role"]).expect_code(2);
}

#[test]
fn the_version_and_the_help_are_no_errors() {
    assert!(enforcer_on_host(&["--version"]).expect_code(0).stdout.starts_with("enforcer "));
    assert!(enforcer_on_host(&["--help"]).expect_code(0).stdout.contains("apply"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut command = Command::new(binary());
    let mut child = command.arg("roles").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What stands on a terminal after the roles were listed there.
fn roles_on_terminal(variable: Option<&str>) -> String {
    let pty = openpty(None, None).expect("a terminal can be made");
    let end = || Stdio::from(pty.slave.try_clone().expect("it can be shared"));
    let mut command = Command::new(binary());
    command.arg("roles").stdin(end()).stdout(end()).stderr(end()).env_remove("NO_COLOR");
    command.envs(variable.map(|value| ("NO_COLOR", value)));
    let mut child = command.spawn().expect("it starts");
    // The terminal is over when the last process that has it ends.
    drop((command, pty.slave));
    let (mut terminal, mut text) = (File::from(pty.master), Vec::new());
    // At its end, Linux says so by an error.
    let _ = terminal.read_to_end(&mut text);
    child.wait().expect("it is our child");
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_terminal_has_colour_unless_it_is_not_wanted() {
    for (variable, is_coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let text = roles_on_terminal(variable);
        assert!(text.contains("unity-connection"), "{text}");
        assert_eq!(text.contains('\u{1b}'), is_coloured, "NO_COLOR {variable:?}: {text}");
    }
}
