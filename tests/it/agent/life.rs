//! Starting, stopping and killing the agent changes no verdict and loses no counter.

use std::fs;

use harness::enforcer::Counters;
use harness::machine::memory_of;
use harness::sockets::Reply;
use serde_json::Value;

use super::{ENFORCING, Host, REFUSED_PORT, SITE, wait_for, wait_for_value};

fn counters(host: &Host) -> Counters {
    let json = host.run(&["counters", "--format", "json"]).expect_code(0).json();
    Counters::of(&json, &host.cable.near.interface)
}

/// What must not change.
fn in_force(host: &Host) -> [Value; 4] {
    ["/policy_hash", "/applied", "/since", "/inbound/mode"].map(|pointer| host.status(pointer))
}

#[test]
fn a_killed_agent_leaves_everything_and_the_next_one_takes_over_without_a_touch() {
    let host = Host::with_site(ENFORCING);
    let _listener = host.listen();
    let agent = host.start(&[]);
    assert_eq!(host.ask(), Reply::Silence);
    let (before, dropped) = (in_force(&host), counters(&host).of_name("inbound verdict drop"));
    assert!(dropped > 0);
    agent.signal(libc::SIGKILL);
    drop(agent);
    assert_eq!(host.ask(), Reply::Silence, "nothing hangs on the agent");
    assert_eq!(in_force(&host), before);
    let agent = host.start(&[]);
    assert_eq!(in_force(&host), before, "what is as it should be is not applied again");
    assert!(counters(&host).of_name("inbound verdict drop") > dropped);
    assert!(agent.stop());
    assert_eq!(in_force(&host), before, "SIGTERM leaves it in force, too");
    assert_eq!(host.ask(), Reply::Silence);
}

#[test]
fn what_a_change_of_policy_took_is_given_back() {
    /// Kilobytes. Without that it keeps tens of thousands.
    const MOST: u64 = 6144;
    let networks: Vec<String> = (0..10_000).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect();
    let large = format!(
        "{SITE}peers:\n  many: [{}]\nallow:\n  - {{name: many, protocol: tcp, ports: [7000], from: [many]}}\n",
        networks.join(", ")
    );
    let host = Host::with_site(SITE);
    let agent = host.start(&["--check", "1s", "--metrics", "127.0.0.1:0"]);
    for site in [&large, ENFORCING, &large, SITE] {
        let before = host.status("/applied");
        host.write(site);
        wait_for_value(&true, || host.status("/applied") != before);
    }
    wait_for("little memory", || {
        let held = memory_of(agent.child.id());
        if held < MOST { Ok(()) } else { Err(format!("{held} kB")) }
    });
    assert!(agent.stop());
}

#[test]
fn a_second_agent_is_refused() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&[]);
    let site = host.site();
    let ran = host.run(&["run", site.to_str().expect("plain")]).expect_code(4);
    assert!(ran.stderr.contains(&agent.child.id().to_string()), "{}", ran.stderr);
    assert!(agent.stop());
    assert!(host.start(&[]).stop(), "the first one is over");
}

#[test]
fn sighup_reads_everything_anew_and_ends_what_detach_has_begun() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&["--check", "1s"]);
    host.run(&["detach"]).expect_code(0);
    agent.wait_for_log("detached by an operator");
    assert_eq!(host.interfaces(), Vec::<Value>::new());
    agent.signal(libc::SIGHUP);
    wait_for_value(&1, || host.interfaces().len());
    assert!(agent.stop());
}

#[test]
fn refused_packets_are_written_as_lines_and_the_file_may_be_moved_away() {
    let host = Host::with_site(ENFORCING);
    let path = host.folder.join("events.json");
    let agent = host.start(&["--events", path.to_str().expect("plain")]);
    let events = || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("each line is an object"));
        let of_port = |one: &Value| one["event"] == "denied" && one["port"] == REFUSED_PORT;
        lines.filter(of_port).collect::<Vec<Value>>()
    };
    assert_eq!(host.ask(), Reply::Silence);
    wait_for_value(&true, || !events().is_empty());
    let first = &events()[0];
    assert_eq!((&first["reason"], &first["mode"]), (&"no-rule".into(), &"enforce".into()), "{first}");
    fs::rename(&path, host.folder.join("events.json.1")).expect("it is there");
    agent.signal(libc::SIGHUP);
    wait_for_value(&true, || path.exists());
    assert_eq!(host.ask(), Reply::Silence);
    wait_for_value(&true, || !events().is_empty());
    assert!(agent.stop());
    // What was counted is written down for when the kernel has forgotten it.
    let history = fs::read_to_string(host.folder.join("history.jsonl")).expect("there is a history");
    assert!(history.lines().any(|line| line.contains("\"sample\"")), "{history}");
}

#[test]
fn with_detach_on_exit_nothing_is_left() {
    let host = Host::with_site(ENFORCING);
    let agent = host.start(&["--detach-on-exit"]);
    assert_eq!(host.interfaces().len(), 1);
    assert!(agent.stop());
    assert_eq!(host.interfaces(), Vec::<Value>::new());
    assert!(!host.pins().exists());
}

#[test]
fn systemd_is_told_when_it_is_ready_and_how_it_is() {
    use std::os::unix::net::UnixDatagram;

    let host = Host::with_site(ENFORCING);
    let path = host.folder.join("notify");
    let socket = UnixDatagram::bind(&path).expect("the folder is there");
    let site = host.site();
    let mut command = harness::enforcer::command(&host.cable.host, &["run", site.to_str().expect("plain")]);
    command.env("ENFORCER_STATE_DIR", &host.folder).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
    let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("the binary starts");
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("it is a time");
    while !["READY=1", "STATUS=", "WATCHDOG=1"].iter().all(|word| heard.iter().any(|one: &String| one.contains(word))) {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}; heard {heard:?}"));
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    let near = format!("STATUS={} enforce", host.cable.near.interface);
    assert!(heard.iter().any(|one| one.contains(&near)), "{heard:?}");
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
}
