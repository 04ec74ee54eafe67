//! A mistake of the operator is said once, clearly, and changes nothing.

use std::process::Command;
use std::slice::from_ref;

use harness::enforcer::{ForAnybody, Protected, binary, enforcer, state_folder};
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;

use super::{ENFORCE, has_xdp, pins_of, program_id};

#[test]
fn a_wrong_policy_leaves_what_was_running_untouched() {
    let protected = Protected::apply(ENFORCE);
    let near = &protected.cable.near.interface;
    let refused = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23);
    protected.expect(Outcome::Dropped, "no-rule", from_ref(&refused));
    let (program, counters) = (program_id(&protected), protected.counters());
    for (wrong, said) in [
        (&["--role", "unity-conection"][..], "unity-connection"),
        (&["--role", "unity-connection", "--peer", "cluster=10.0.0.300"], "10.0.0.300"),
        (&["--role", "unity-connection", "--set", "sip_portz=5060"], "sip_ports"),
        (&["--role", "unity-connection", "--mode", "enforcing"], "enforce"),
    ] {
        let mut line = vec!["apply", "--interface", near];
        line.extend(wrong);
        let ran = protected.run(&line).expect_code(2);
        assert!(ran.stderr.contains(said), "`{}` should name {said}:\n{}", ran.line, ran.stderr);
        assert_eq!(ran.stdout, "", "`{}`", ran.line);
    }
    assert_eq!(program_id(&protected), program);
    assert_eq!(protected.counters(), counters);
    protected.expect(Outcome::Dropped, "no-rule", from_ref(&refused));
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    let cable = Cable::new();
    let mut line = vec!["apply", "--interface", "nosuchif0"];
    line.extend(ENFORCE);
    let ran = enforcer(&cable.host, &line).expect_code(2);
    assert!(ran.stderr.contains("nosuchif0"), "{}", ran.stderr);
    assert_eq!(pins_of("nosuchif0"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn one_wrong_interface_of_two_protects_neither() {
    let cable = Cable::new();
    let near = &cable.near.interface;
    let mut line = vec!["apply", "--interface", near, "--interface", "nosuchif0"];
    line.extend(ENFORCE);
    enforcer(&cable.host, &line).expect_code(2);
    assert!(!has_xdp(&cable));
    assert_eq!(pins_of(near), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_loopback_is_refused() {
    let cable = Cable::new();
    let mut line = vec!["apply", "--interface", "lo"];
    line.extend(ENFORCE);
    let ran = enforcer(&cable.host, &line).expect_code(2);
    assert!(ran.stderr.contains("lo"), "{}", ran.stderr);
}

#[test]
fn under_ip_netns_exec_pins_would_be_lost_so_it_is_refused() {
    let cable = Cable::new();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", cable.host.name()]).arg(binary());
    command.args(["apply", "--interface", &cable.near.interface]).args(ENFORCE);
    command.env("ENFORCER_STATE_DIR", state_folder());
    let output = command.output().expect("ip runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("nsenter"), "{text}");
    assert!(!has_xdp(&cable));
}

#[test]
fn without_root_the_missing_privileges_are_named() {
    use std::os::unix::process::CommandExt;

    let cable = Cable::new();
    let copy = ForAnybody::copy();
    let mut command = Command::new(copy.path());
    command.args(["apply", "--interface", &cable.near.interface]).args(ENFORCE).uid(65534).gid(65534);
    command.env("ENFORCER_STATE_DIR", state_folder());
    // A process starts in the namespace of the thread that starts it.
    let output = cable.host.run(|| command.output()).expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.to_lowercase().contains("cap_"), "{text}");
}
