//! The programs' own log lines: there when asked for, and otherwise not even in the programs.

use aya::programs::ProgramInfo;
use enforcer_common::Direction;
use harness::enforcer::Protected;
use harness::packet::{Packet, tcp};
use harness::program::{Outcome, Program};

const PERMITTED: u16 = 443;
const UNLISTED: u16 = 4444;

fn apply(protected: &Protected, level: &str) {
    let near = &protected.cable.near.interface;
    let mut line = vec!["apply", "--role", "unity-connection", "--interface", near, "--mode", "enforce"];
    if level != "off" {
        line.extend(["--bpf-log", level]);
    }
    protected.run(&line).expect_code(0);
}

fn translated(protected: &Protected, direction: Direction) -> u32 {
    let info = ProgramInfo::from_pin(protected.pin().with_file_name(direction.name())).expect("it is pinned");
    info.size_translated().expect("this kernel tells")
}

/// Two packets, and the lines about them.
fn lines(protected: &Protected, count: &str) -> Vec<serde_json::Value> {
    let program = Program::pinned(&protected.pin());
    let Protected { cable } = protected;
    for (port, outcome) in [(PERMITTED, Outcome::Passed), (UNLISTED, Outcome::Dropped)] {
        let [source, destination] = [&cable.far, &cable.near].map(|end| end.v4.to_string());
        let packet = Packet::new().mac(cable.far.mac, cable.near.mac).ipv4(&source, &destination).tcp(40_000, port);
        let packet = packet.flags(tcp::SYN);
        assert_eq!(program.judge(&packet.build()), outcome);
    }
    let ran = protected.run(&["events", "--bpf-log", "--count", count, "--format", "json"]).expect_code(0);
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

#[test]
fn lines_are_written_when_asked_for_and_are_no_part_of_the_programs_otherwise() {
    let protected = Protected::apply(&["--role", "unity-connection", "--mode", "enforce"]);
    let without = Direction::ALL.map(|direction| translated(&protected, direction));
    let ran = protected.run(&["events", "--bpf-log"]).expect_code(1);
    assert!(ran.stderr.contains("apply --bpf-log debug"), "{}", ran.stderr);

    apply(&protected, "debug");
    let debug = Direction::ALL.map(|direction| translated(&protected, direction));
    assert!(debug[0] > without[0], "{debug:?}, without {without:?}");
    // Nothing is refused where outbound is open: all that is there is the question for the level, and no line.
    assert!(debug[1] < without[1] + 128, "{debug:?}, without {without:?}");
    let near = &protected.cable.near.interface;
    let told = lines(&protected, "1");
    assert_eq!((&told[0]["reason"], &told[0]["verdict"]), (&"no-rule".into(), &"drop".into()), "{told:?}");
    assert_eq!((&told[0]["interface"], &told[0]["direction"]), (&near.as_str().into(), &"inbound".into()), "{told:?}");
    let status = protected.run(&["status"]).expect_code(0).stdout;
    assert!(status.contains("write log lines (debug)"), "{status}");

    apply(&protected, "trace");
    let trace = Direction::ALL.map(|direction| translated(&protected, direction));
    assert!(trace[0] > debug[0] && trace[1] > debug[1], "{trace:?}, at debug {debug:?}");
    let told = lines(&protected, "2");
    assert_eq!((&told[0]["reason"], &told[0]["verdict"]), (&"rule".into(), &"pass".into()), "{told:?}");
    assert!(told[0]["rule"].as_str().is_some_and(|rule| rule.starts_with("unity-connection/")), "{told:?}");
    assert_eq!(told[1]["reason"], "no-rule", "{told:?}");

    apply(&protected, "off");
    assert_eq!(Direction::ALL.map(|direction| translated(&protected, direction)), without);
    protected.run(&["events", "--bpf-log"]).expect_code(1);
    let status = protected.run(&["status"]).expect_code(0).stdout;
    assert!(!status.contains("write log lines"), "{status}");
}
