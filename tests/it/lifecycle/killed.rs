//! The command is killed in the middle of its work.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use harness::enforcer::{Protected, command};
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;

use super::ENFORCE;

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
    for delay in [1, 10, 30, 60, 100, 200, 400] {
        kill_apply_after(&protected.cable, Duration::from_millis(delay));
        let program = protected.inbound();
        assert_eq!(program.judge(&permitted().build()), Outcome::Passed, "killed after {delay} ms");
        assert_eq!(program.judge(&refused().build()), Outcome::Dropped, "killed after {delay} ms");
    }
}
