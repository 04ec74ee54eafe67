//! `enforcer readiness`, and the history that it reads.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use harness::enforcer::{Protected, Ran, enforcer_with};
use harness::netns::Cable;
use harness::sockets::{Servers, tcp};
use serde_json::Value;

const SITE: &str = "\
interfaces: [IF]
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
";

/// A protected interface with a state folder of its own.
struct Host {
    protected: Protected,
    folder: PathBuf,
}

impl Host {
    fn new() -> Self {
        let cable = Cable::new();
        let folder =
            env::temp_dir().join(format!("enforcer-readiness-{}-{}", std::process::id(), cable.near.interface));
        let host = Self { protected: Protected { cable }, folder };
        host.run(&["apply", "-", "--hook", "tc"]).expect_code(0);
        host
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let Cable { host, near, .. } = &self.protected.cable;
        let folder = self.folder.to_str().expect("a temporary folder has a plain name");
        enforcer_with(host, arguments, &SITE.replace("IF", &near.interface), &[("ENFORCER_STATE_DIR", folder)])
    }

    fn history(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("history.jsonl")).expect("it is written");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn append(&self, line: &str) {
        let file = OpenOptions::new().append(true).open(self.folder.join("history.jsonl"));
        writeln!(file.expect("it is there"), "{line}").expect("there is room");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.run(&["detach"]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn met(json: &Value, check: &str) -> bool {
    let checks = json["checks"].as_array().expect("checks");
    checks.iter().find(|one| one["name"] == check).is_some_and(|one| one["met"] == true)
}

#[test]
fn a_host_is_ready_when_audit_ran_long_enough_and_nothing_is_left() {
    let host = Host::new();
    let json = host.run(&["readiness", "--format", "json"]).expect_code(1).json();
    assert_eq!((json["ready"].clone(), met(&json, "audit-hours"), met(&json, "in-force")), (false.into(), false, true));

    // The same audit, but a week and a day earlier.
    let mut first = host.history().remove(0);
    assert_eq!((&first["event"], &first["modes"]["inbound"]), (&"applied".into(), &"audit".into()), "{first}");
    let now: jiff::Timestamp = first["at"].as_str().and_then(|text| text.parse().ok()).expect("a time");
    first["at"] = (now - jiff::SignedDuration::from_hours(8 * 24)).to_string().into();
    host.append(&first.to_string());
    host.append("{\"at\": \"cut sho");
    let ran = host.run(&["readiness", "--format", "json"]).expect_code(0);
    let json = ran.json();
    let audit = &json["audit"][0];
    assert!(audit["hours"].as_f64() >= Some(191.0) && audit["policy_hours"].as_f64() >= Some(191.0), "{audit}");
    assert_eq!((audit["weekdays"].as_array().map(Vec::len), &audit["restarts"]), (Some(7), &0.into()), "{audit}");
    assert!(json["notes"].to_string().contains("1 lines of the history"), "{}", json["notes"]);
    assert_eq!(json["unused"][0]["id"], "site/https");

    // Somebody needs a port that nothing permits.
    let Cable { host: near_side, remote, near, far } = &host.protected.cable;
    let _servers = Servers::start(near_side, &[7777], &[]);
    tcp(remote, IpAddr::from(far.v4), (near.v4, 7777).into());
    let ran = host.run(&["readiness"]).expect_code(1);
    assert!(ran.stdout.contains("tcp 7777") && ran.stdout.contains("allow tcp-7777"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("not ready: suggested\n"), "{}", ran.stdout);
    host.run(&["readiness", "--max-flows", "1"]).expect_code(0);

    // The file of the policy in force is that policy; of another one nothing was seen.
    let ran = host.run(&["readiness", "-", "--max-flows", "1"]).expect_code(0);
    assert!(ran.stderr.contains("for policy "), "{}", ran.stderr);
    let ran = host.run(&["readiness", "--role", "finesse", "--interface", &near.interface]).expect_code(2);
    assert!(ran.stderr.contains("judged by the active policy"), "{}", ran.stderr);
}

#[test]
fn the_history_tells_what_was_done() {
    let host = Host::new();
    host.run(&["mode", "enforce", "--confirm-within", "1h"]).expect_code(0);
    host.run(&["confirm"]).expect_code(0);
    let json = host.run(&["readiness", "--format", "json"]).expect_code(0).json();
    assert_eq!(json["audit"][0]["enforces"], true, "what enforces needs no audit: {json}");
    host.run(&["detach"]).expect_code(0);
    let history = host.history();
    let events: Vec<&str> = history.iter().filter_map(|entry| entry["event"].as_str()).collect();
    assert_eq!(events, ["applied", "mode", "confirmed", "detached"]);
    assert!(history[1]["until"]["at"].is_string() && history[2]["until"].is_null(), "{history:#?}");
    assert!(history.iter().all(|entry| entry["totals"]["inbound"]["pass"].is_u64()), "{history:#?}");
}
