//! Whoever may connect to the port of the metrics can neither take what the agent needs nor hold up a command.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::netns::another_interface;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::file::metrics;
use super::{Agent, ENFORCING, Host, wait_for, wait_for_value};

/// Slow clients.
const CLIENTS: usize = 1000;
/// Connections that the agent may have, as `agent/serve.rs` says.
const MOST_CONNECTIONS: usize = 64;

fn address(agent: &Agent<'_>) -> SocketAddr {
    let log = agent.log();
    let address = log.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("it says where");
    address.parse().expect("it is an address")
}

fn descriptors(agent: &Agent<'_>) -> usize {
    fs::read_dir(format!("/proc/{}/fd", agent.child.id())).expect("it runs").count()
}

#[test]
fn a_thousand_half_sent_requests_take_no_more_descriptors_than_are_kept_for_them() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("so many are allowed");
    let late = another_interface();
    let host = Host::with_site(&ENFORCING.replace("[IF]", &format!("[IF, {late}]")));
    let agent = host.start(&["--metrics", "127.0.0.1:0", "--check", "1s"]);
    let (address, before) = (address(&agent), descriptors(&agent));
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = host.cable.host.run(|| TcpStream::connect(address)).expect("it listens");
        // One that was closed already in favour of a later one is not read from.
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ");
        slow.push(stream);
    }
    let most = descriptors(&agent);
    assert!(most <= before + MOST_CONNECTIONS + 16, "{most} descriptors, {before} before {CLIENTS} clients came");
    assert!(metrics(&host, &agent.log()).contains("\nenforcer_build_info{"), "who asks is answered");
    host.cable.host.batch(&format!("link add {late} type veth peer name p{}\n", &late[2..]));
    wait_for_value(&Some(0), || host.run(&["status", "--interface", &late]).code);
    // Even those who stay do not stay for long.
    wait_for("the clients to be gone", || {
        let now = descriptors(&agent);
        if now <= before + 16 { Ok(()) } else { Err(format!("{now} descriptors, {before} before")) }
    });
    assert!(agent.stop());
}

#[test]
fn the_agent_takes_as_many_descriptors_as_it_may_have() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&[]);
    let text = fs::read_to_string(format!("/proc/{}/limits", agent.child.id())).expect("it runs");
    let line = text.lines().find(|line| line.starts_with("Max open files")).expect("there is one");
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let (soft, hard) = (numbers.next().expect("a number"), numbers.next().expect("a number"));
    assert_eq!(soft, hard.min(65_536), "{line}");
    assert!(agent.stop());
}

#[test]
fn requests_one_behind_the_other_do_not_hold_up_a_command() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&["--metrics", "127.0.0.1:0"]);
    let address = address(&agent);
    let goes_on = AtomicBool::new(true);
    let many = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10_000);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while goes_on.load(Ordering::Relaxed) {
                    let mut stream = host.cable.host.run(|| TcpStream::connect(address)).expect("it listens");
                    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("it is a time");
                    stream.set_write_timeout(Some(Duration::from_secs(5))).expect("it is a time");
                    let sent = stream.write_all(&many);
                    let mut text = Vec::new();
                    let read = stream.read_to_end(&mut text);
                    // The rest of what was sent is not read.
                    let answers = text.windows(12).filter(|window| window == b"HTTP/1.1 200").count();
                    assert!(answers <= 1, "{answers} answers on one connection; {sent:?}, {read:?}");
                }
            });
        }
        let times = ["audit", "enforce", "audit"].map(|mode| {
            let begun = Instant::now();
            host.run(&["mode", mode]).expect_code(0);
            begun.elapsed()
        });
        goes_on.store(false, Ordering::Relaxed);
        // Other tests hold the same lock meanwhile, for as long as an `apply` takes.
        assert!(times.iter().min().expect("there are three") < &Duration::from_secs(2), "{times:?}");
    });
    assert!(agent.stop());
}

#[test]
fn a_command_that_changes_something_does_not_wait_for_readers_that_come_after_it() {
    let host = Host::with_site(ENFORCING);
    host.run(&["apply", host.site().to_str().expect("plain")]).expect_code(0);
    let goes_on = AtomicBool::new(true);
    thread::scope(|scope| {
        // At every moment one of them reads.
        for at in 0..4 {
            let goes_on = &goes_on;
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(at * 25));
                while goes_on.load(Ordering::Relaxed) {
                    let reading = enforcer::dataplane::reading().expect("root may");
                    // Reads that belong together: the second does not wait for whoever waits for the first.
                    let _again = enforcer::dataplane::reading().expect("root may");
                    thread::sleep(Duration::from_millis(100));
                    drop(reading);
                }
            });
        }
        let begun = Instant::now();
        let mut command = host.cable.host.command(harness::enforcer::binary());
        command.args(["mode", "audit"]).env("ENFORCER_STATE_DIR", &host.folder);
        let mut child = command.spawn().expect("the binary starts");
        // If it waits for the readers, it waits for ever; they end so that this test does.
        while child.try_wait().expect("it is our child").is_none() && begun.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(20));
        }
        let took = begun.elapsed();
        goes_on.store(false, Ordering::Relaxed);
        assert!(child.wait().expect("it is our child").success());
        assert!(took < Duration::from_secs(20), "{took:?}");
    });
}
