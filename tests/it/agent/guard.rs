//! The guard: an agent finds a driver that does not run the native XDP program.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use harness::bypass::{Bypass, while_sending};
use harness::calls::{CHANGING, Then, watch};
use harness::packet::Packet;
use harness::sockets::Reply;
use serde_json::Value;

use super::file::metrics;
use super::{ENFORCING, Host, REFUSED_PORT, wait_for_value};
use crate::lifecycle::restorers;

/// Sends frames behind the native hook, while something is done.
fn while_bypassing<T>(bypass: &Bypass, work: impl FnOnce() -> T) -> T {
    let frame = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, REFUSED_PORT).build();
    while_sending(|| bypass.send(&frame), work)
}

/// A TCP connection that the host has opened to the peer, to a port that no rule names.
fn conversation(host: &Host) -> (TcpStream, TcpStream) {
    let address = (host.cable.far.v4, REFUSED_PORT);
    let listener = host.cable.remote.run(|| TcpListener::bind(address).expect("the port is free"));
    let client = host.cable.host.run(|| TcpStream::connect(address).expect("the peer listens"));
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("it is not zero");
    (client, listener.accept().expect("a connection waits").0)
}

fn dropped(host: &Host) -> u64 {
    let json = host.run(&["counters", "--format", "json"]).json();
    json["interfaces"][0]["verdicts"]["inbound"]["drop"]["packets"].as_u64().unwrap_or_default()
}

#[test]
fn an_agent_goes_over_to_tc_and_keeps_counters_flows_mode_and_window() {
    let host = Host::with_site(ENFORCING);
    let Some(bypass) = Bypass::to(&host.cable) else { return };
    let site = host.site();
    let site = site.to_str().expect("plain");
    // By hand and by name; the agent is told nothing about hooks.
    host.run(&["apply", site, "--hook", "native"]).expect_code(0);
    assert_eq!(host.ask(), Reply::Silence);
    host.run(&["mode", "audit", "--outbound", "--for", "2h"]).expect_code(0);
    let (mut client, mut server) = conversation(&host);
    let flows = || host.run(&["flows", "--format", "json"]).json().as_array().expect("a list").len();
    let had = flows();
    assert!(had > 0);
    let before = ["/since", "/deadline", "/inbound/mode", "/policy_hash"].map(|field| host.status(field));
    assert_ne!(before[1], Value::Null);
    let was_dropped = dropped(&host);
    assert!(was_dropped > 0);
    let agent = host.start(&["--metrics", "127.0.0.1:0"]);
    assert_eq!(host.status("/inbound/attach_mode"), "native", "what is in force stays");
    let pin = host.pins().join("inbound");
    while_bypassing(&bypass, || {
        agent.wait_for_log("switched from native XDP to tc");
        wait_for_value(&true, || dropped(&host) > was_dropped);
    });
    assert!(agent.log().contains("the driver veth does not run the native XDP program (Linux "), "{}", agent.log());
    assert_eq!(["/since", "/deadline", "/inbound/mode", "/policy_hash"].map(|field| host.status(field)), before);
    assert_eq!((host.status("/inbound/hook"), host.status("/drift")), ("tc".into(), false.into()));
    assert!(pin.exists());
    let ran = host.run(&["status"]).expect_code(0);
    assert!(ran.stdout.contains("switched from native XDP to tc: "), "{}", ran.stdout);
    assert_eq!(host.ask(), Reply::Silence);
    assert_eq!(flows(), had);
    server.write_all(b"still there").expect("the connection is open");
    let mut text = [0; 11];
    client.read_exact(&mut text).expect("what the peer sends still arrives");
    let links = host.cable.host.run(|| enforcer::host::links::links().expect("netlink answers"));
    assert!(links.iter().all(|link| link.xdp_program.is_none()), "native XDP is off");
    let text = metrics(&host, &agent.log());
    assert!(text.contains("\nenforcer_agent_left_native_total 1\n"), "{text}");
    assert!(text.contains("\nenforcer_agent_interfaces_not_judging 0\n"), "{text}");
    assert!(agent.stop());
    // The next change keeps to it, and detach removes all of it.
    host.run(&["apply", site]).expect_code(0);
    assert_eq!(host.status("/inbound/hook"), "tc");
    host.run(&["detach"]).expect_code(0);
    assert!(!host.pins().exists());
}

#[test]
fn native_xdp_that_was_asked_for_by_name_is_kept_and_reported() {
    let host = Host::with_site(ENFORCING);
    let Some(bypass) = Bypass::to(&host.cable) else { return };
    let agent = host.start(&["--hook", "native", "--metrics", "127.0.0.1:0"]);
    while_bypassing(&bypass, || {
        agent.wait_for_log("nothing is judged: ");
        host.run(&["status"]).expect_code(1);
        let blind = || metrics(&host, &agent.log()).contains("\nenforcer_agent_interfaces_not_judging 1\n");
        wait_for_value(&true, blind);
    });
    assert_eq!(host.status("/inbound/attach_mode"), "native");
    assert_eq!(agent.log().matches("nothing is judged: ").count(), 1, "once: {}", agent.log());
    assert!(agent.stop());
}

/// If set, this program switches the named interface to tc instead of testing.
const INTERFACE: &str = "ENFORCER_TESTS_LEAVE_NATIVE";
/// The test that does so.
const LEAVE: &str =
    "agent::guard::whoever_is_killed_on_the_way_to_tc_leaves_a_host_that_is_protected_and_can_be_changed";

#[test]
fn whoever_is_killed_on_the_way_to_tc_leaves_a_host_that_is_protected_and_can_be_changed() {
    if let Ok(interface) = env::var(INTERFACE) {
        enforcer::dataplane::leave_native(&interface, "a test says so")
            .expect("it is protected")
            .expect("by native XDP");
        return;
    }
    let host = Host::with_site(ENFORCING);
    let site = host.site();
    let site = site.to_str().expect("plain");
    let this = env::current_exe().expect("this program has a path");
    let leave = |die_at: usize| {
        let mut made = 0;
        let mut command = host.cable.host.command(this.to_str().expect("plain"));
        command.args(["--exact", LEAVE]).env(INTERFACE, &host.cable.near.interface);
        let ran = watch(&mut command, CHANGING, |call| {
            // The first thing that changes is the name of a link.
            made += usize::from(made > 0 || call.is_rename());
            if made == die_at {
                let id = i32::try_from(call.thread).expect("a process id");
                // SAFETY: no pointers. It is a thread of the process that this test has started, and waits for an answer.
                assert_eq!(unsafe { libc::kill(id, libc::SIGKILL) }, 0);
            }
            Then::GoOn
        });
        (made, ran)
    };
    let mut died = 0;
    loop {
        host.run(&["apply", site, "--hook", "native"]).expect_code(0);
        let (made, ran) = leave(died + 1);
        let killed = format!("killed at call {made}");
        assert_eq!(host.ask(), Reply::Silence, "{killed}");
        if made <= died {
            ran.expect_code(0);
            break;
        }
        died += 1;
        // Either hook can be asked for next.
        let hook = if died % 2 == 0 { "native" } else { "tc" };
        let ran = host.run(&["apply", site, "--hook", hook]);
        assert_eq!(ran.code, Some(0), "{killed}, then {hook}: {}", ran.stderr);
        let ran = host.run(&["status"]);
        assert_eq!(ran.code, Some(0), "{killed}, then {hook}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(host.ask(), Reply::Silence, "{killed}, then {hook}");
    }
    assert!(died > 10, "all that changes something was looked at: {died}");
    assert_eq!(host.status("/inbound/hook"), "tc");
}

#[test]
fn a_change_that_waits_goes_over_to_tc_with_its_policy_and_is_in_audit_past_the_deadline() {
    let host = Host::with_site(ENFORCING);
    let _listener = host.listen();
    let near = &host.cable.near.interface;
    let site = host.site();
    host.run(&["apply", site.to_str().expect("plain"), "--hook", "native"]).expect_code(0);
    let first = host.status("/policy_hash");
    let within = format!("{}s", 30 * harness::machine::patience());
    let line = ["apply", "--role", "finesse", "--interface", near, "--hook", "native", "--confirm-within", &within];
    host.run(&line).expect_code(0);
    assert_eq!(host.status("/at_deadline"), "last-confirmed");
    for id in restorers(host.cable.host.inode()) {
        // SAFETY: no pointers. The process is one that our own command has started.
        assert_eq!(unsafe { libc::kill(id, libc::SIGKILL) }, 0);
    }
    let this = env::current_exe().expect("this program has a path");
    let mut leave = host.cable.host.command(this.to_str().expect("plain"));
    leave.args(["--exact", LEAVE]).env(INTERFACE, near);
    assert!(leave.output().expect("it starts").status.success());
    let found = ["/inbound/hook", "/at_deadline", "/judges"].map(|pointer| host.status(pointer));
    assert_eq!(found, ["tc", "audit", "unconfirmed"].map(Value::from));
    assert_eq!(host.ask(), Reply::Silence, "it goes on enforcing");
    wait_for_value(&Reply::Answered, || host.ask());
    assert_eq!(host.status("/inbound/mode"), "audit");
    host.run(&["save"]).expect_code(0);
    assert_eq!((host.status("/policy_hash"), host.ask()), (first, Reply::Silence));
}
