//! What monitoring sees of an agent.

use super::file::metrics_at;
use super::{ENFORCING, Host, wait_for};

/// Exit code and line of the plugin.
fn plugin(host: &Host, options: &[&str]) -> (i32, String) {
    let ran = host.run(&[&["check-health"], options].concat());
    (ran.code.unwrap_or(-1), ran.stdout)
}

#[track_caller]
fn wait_for_line(host: &Host, options: &[&str], code: i32, part: &str) {
    wait_for(part, || match plugin(host, options) {
        (found, line) if found == code && line.contains(part) => Ok(()),
        found => Err(format!("{found:?}")),
    });
}

#[test]
fn a_stopped_a_stale_and_a_misled_agent_are_told_apart() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&["--check", "1s"]);
    wait_for_line(&host, &["--expect", "enforce"], 0, "ENFORCER OK - ");
    let (_, line) = plugin(&host, &[]);
    assert!(line.contains("; agent checked ") && line.contains(" agent_age=") && line.contains("s;4;20;0 "), "{line}");
    host.write("interfaces: [IF]\nroles: [no-such-role]\n");
    wait_for_line(&host, &[], 1, "WARNING - the site file is not applied: ");
    host.write(ENFORCING);
    wait_for_line(&host, &[], 0, "ENFORCER OK - ");
    // It still holds its lock, perhaps also that of the pins, and does nothing any more.
    agent.signal(libc::SIGSTOP);
    let ages = ["--agent-age", "1s,2s", "--timeout", "2s"];
    wait_for_line(&host, &ages, 2, "CRITICAL - the agent's last check is ");
    agent.signal(libc::SIGCONT);
    wait_for_line(&host, &["--agent-age", "10s,1h"], 0, "ENFORCER OK - ");
    assert!(agent.stop());
    wait_for_line(&host, &[], 1, "WARNING - no agent runs");
    wait_for_line(&host, &["--no-agent"], 0, "ENFORCER OK - ");
}

#[test]
fn rules_are_in_a_scrape_that_asks_for_them() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&["--metrics", "127.0.0.1:0"]);
    let log = agent.log();
    for (path, has_rules) in [("/metrics", false), ("/metrics?detail=full", true), ("/metrics?x=1", false)] {
        let text = metrics_at(&host, &log, path);
        assert_eq!(text.contains("\nenforcer_rule_packets_total{"), has_rules, "{path}");
        assert!(text.contains("\nenforcer_host_packets_total{") && text.contains("\nenforcer_agent_"), "{path}");
    }
    assert!(agent.stop());
}
