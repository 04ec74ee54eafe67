//! The command is killed in the middle of its work.

use std::net::TcpListener;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use harness::enforcer::{Protected, command};
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;
use harness::sockets::{Reply, tcp};

use super::{ENFORCE, REFUSED_PORT, sentences, status};

/// A port that the policy permits.
const PERMITTED_PORT: u16 = 443;

fn permitted() -> Packet {
    Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 443)
}

fn refused() -> Packet {
    Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23)
}

#[track_caller]
fn kill_apply_after(cable: &Cable, delay: Duration) {
    let mut line = vec!["apply", "--interface", &cable.near.interface];
    line.extend(ENFORCE);
    let mut child =
        command(&cable.host, &line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    // The time is the input here: the later the kill, the further the work has come.
    thread::sleep(delay);
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
}

#[test]
fn an_apply_that_was_killed_is_finished_by_the_next() {
    for delay in [1, 10, 30, 60, 100, 200, 400] {
        let protected = Protected { cable: Cable::new() };
        kill_apply_after(&protected.cable, Duration::from_millis(delay));
        protected.apply_again(ENFORCE);
        protected.expect(Outcome::Passed, "rule", &[permitted()]);
        protected.expect(Outcome::Dropped, "no-rule", &[refused()]);
    }
}

#[test]
fn a_second_apply_that_was_killed_leaves_the_host_protected() {
    let protected = Protected::apply(ENFORCE);
    let Cable { host, remote, near, far } = &protected.cable;
    let _listeners = [PERMITTED_PORT, REFUSED_PORT]
        .map(|port| host.run(|| TcpListener::bind((near.v4, port)).expect("the port is free")));
    for delay in [1, 10, 30, 60, 100, 200, 400] {
        kill_apply_after(&protected.cable, Duration::from_millis(delay));
        // What is on the hook judges, whichever policy's program it is.
        let ask = |port| tcp(remote, far.v4.into(), (near.v4, port).into());
        assert_eq!(ask(PERMITTED_PORT), Reply::Answered, "killed after {delay} ms");
        assert_eq!(ask(REFUSED_PORT), Reply::Silence, "killed after {delay} ms");
        // Killed between the switch and its record, the new program judges and the record is of the old one: that is told.
        let (code, json) = status(&protected);
        let problems = sentences(&json, "problems");
        let is_told = problems.contains("than the applied one is attached");
        assert_eq!(code, Some(i32::from(is_told)), "killed after {delay} ms: {problems}");
    }
    protected.apply_again(ENFORCE);
    assert_eq!(status(&protected).0, Some(0), "the next apply puts it right");
}
