//! The guard: a driver that does not run the program of native XDP, as an agent finds it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use harness::bypass::Bypass;
use harness::packet::Packet;
use harness::sockets::Reply;
use serde_json::Value;

use super::file::metrics;
use super::{ENFORCING, Host, REFUSED_PORT, wait_for_value};

/// Sends frames behind the native hook, while something is done.
fn while_bypassing<T>(bypass: &Bypass, work: impl FnOnce() -> T) -> T {
    let frame = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, REFUSED_PORT).build();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                bypass.send(&frame);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let _over = Over(&is_over);
        work()
    })
}

/// Ends the sender, a panic or not.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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
    let before = ["/since", "/deadline", "/inbound/mode", "/policy_hash"].map(|field| host.status(field));
    assert_ne!(before[1], Value::Null);
    let was_dropped = dropped(&host);
    assert!(was_dropped > 0);
    let agent = host.start(&["--metrics", "127.0.0.1:0"]);
    assert_eq!(host.status("/inbound/attach_mode"), "native", "what is in force stays");
    let pin = host.pins().join("inbound");
    while_bypassing(&bypass, || {
        agent.wait_for_log("goes over from native XDP to tc");
        wait_for_value(&true, || dropped(&host) > was_dropped);
    });
    assert!(agent.log().contains("the driver veth does not run the program of native XDP (Linux "), "{}", agent.log());
    assert_eq!(["/since", "/deadline", "/inbound/mode", "/policy_hash"].map(|field| host.status(field)), before);
    assert_eq!((host.status("/inbound/hook"), host.status("/drift")), ("tc".into(), false.into()));
    assert!(pin.exists());
    let ran = host.run(&["status"]).expect_code(0);
    assert!(ran.stdout.contains("native XDP was left for tc: "), "{}", ran.stdout);
    assert_eq!(host.ask(), Reply::Silence);
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
