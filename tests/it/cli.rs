//! Commands that look at no interface: what they print, and how they fail.

use harness::enforcer::enforcer_on_host;

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
    use std::process::{Command, Stdio};

    let mut command = Command::new(harness::enforcer::binary());
    let mut child = command.arg("roles").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
