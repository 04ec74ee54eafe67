//! Refused packets as syslog, read by rsyslog.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use enforcer_common::Reason;
use harness::debian::unpacked;
use harness::enforcer::{HTTPS_ONLY, command};
use harness::packet::Packet;
use harness::skip::skip;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stage::Stage;

/// A running rsyslog on the loopback interface of a host: UDP and TCP at 5514, TLS at 6514. What it has parsed is a file of JSON lines.
struct Rsyslog {
    child: Child,
    folder: PathBuf,
}

impl Rsyslog {
    /// `None`: it cannot be had here, and the test is skipped.
    fn start(stage: &Stage) -> Option<Self> {
        let packages = ["rsyslog", "rsyslog-gnutls", "libestr0", "libfastjson4"];
        let root = match unpacked("rsyslog", &packages, "usr/sbin/rsyslogd") {
            Ok(root) => root,
            Err(why) => {
                skip(&why);
                return None;
            }
        };
        let host = &stage.protected.cable.host;
        host.batch("link set lo up\n");
        let folder = std::env::temp_dir().join(format!("enforcer-siem-{}", host.name()));
        fs::create_dir_all(&folder).expect("there is room");
        if !certificate(&folder) {
            skip("there is no openssl to make a certificate with");
            return None;
        }
        let configuration = folder.join("rsyslog.conf");
        fs::write(&configuration, text(&root, &folder)).expect("there is room");
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        let log = File::create(folder.join("log")).expect("there is room");
        let child = host
            .command(root.join("usr/sbin/rsyslogd"))
            .env("LD_LIBRARY_PATH", &libraries)
            .args(["-n", "-i"])
            .arg(folder.join("pid"))
            .arg("-f")
            .arg(&configuration)
            .arg("-M")
            .arg(libraries.join("rsyslog"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("rsyslog starts");
        let rsyslog = Self { child, folder };
        let is_up = || host.run(|| std::net::TcpStream::connect(("127.0.0.1", 6514)).is_ok());
        wait("rsyslog to listen", is_up, || rsyslog.log());
        Some(rsyslog)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The messages that came by this input, once there are so many.
    #[track_caller]
    fn messages(&self, number: usize) -> Vec<Value> {
        let read = || {
            let text = fs::read_to_string(self.folder.join("messages")).unwrap_or_default();
            let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            all.filter(|one| one["programname"] == "enforcer").collect::<Vec<_>>()
        };
        wait("messages", || read().len() >= number, || format!("{:?} {}", read(), self.log()));
        read()
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool, found: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain for {what}: {}", found());
        thread::sleep(Duration::from_millis(20));
    }
}

fn certificate(folder: &Path) -> bool {
    let line = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out ca.pem -days 2 -subj /CN=siem \
                -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
    let made = Command::new("openssl").args(line.split_whitespace()).current_dir(folder).output();
    made.is_ok_and(|output| output.status.success())
}

/// Its configuration: what was parsed, structured data included, is written as JSON.
fn text(root: &Path, folder: &Path) -> String {
    let (root, folder) = (root.display(), folder.display());
    format!(
        r#"global(workDirectory="{folder}" maxMessageSize="8k"
  defaultNetstreamDriverCAFile="{folder}/ca.pem" defaultNetstreamDriverCertFile="{folder}/ca.pem" defaultNetstreamDriverKeyFile="{folder}/key.pem")
# Of {root}.
module(load="imudp")
module(load="imptcp")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.Authmode="anon")
module(load="mmpstrucdata")
input(type="imudp" address="127.0.0.1" port="5514")
input(type="imptcp" address="127.0.0.1" port="5514")
input(type="imtcp" address="127.0.0.1" port="6514")
template(name="parsed" type="list") {{ property(name="jsonmesg") constant(value="\n") }}
action(type="mmpstrucdata")
action(type="omfile" file="{folder}/messages" template="parsed")
"#
    )
}

#[test]
fn rsyslog_reads_every_transport_and_finds_every_parameter() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    let Some(rsyslog) = Rsyslog::start(&stage) else { return };
    let tls = format!("tls://127.0.0.1:6514?ca={}/ca.pem", rsyslog.folder.display());
    for (index, to) in ["udp://127.0.0.1:5514", "tcp://127.0.0.1:5514", &tls].into_iter().enumerate() {
        let port = u16::try_from(1000 + index).expect("few");
        stage.inbound(&Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port), Reason::NoRule);
        stage.protected.run(&["events", "--backlog", "--count", "1", "--to", to]).expect_code(0);
        let messages = rsyslog.messages(index + 1);
        let text = port.to_string();
        let message = messages.iter().find(|one| one["$!"]["rfc5424-sd"]["denied@32473"]["port"] == text.as_str());
        let message = message.unwrap_or_else(|| panic!("{to}: {messages:#?}"));
        assert_eq!((&message["app-name"], &message["msgid"]), (&"enforcer".into(), &"denied".into()), "{message:#}");
        assert_eq!((&message["syslogfacility"], &message["syslogseverity"]), (&"20".into(), &"4".into()));
        let parameters = &message["$!"]["rfc5424-sd"]["denied@32473"];
        let near = stage.protected.cable.near.interface.as_str();
        for (name, value) in [
            ("interface", near),
            ("direction", "inbound"),
            ("reason", "no-rule"),
            ("mode", "enforce"),
            ("protocol", "tcp"),
            ("remote", "198.18.0.2"),
            ("remote_port", "40000"),
            ("local", "198.18.0.1"),
        ] {
            assert_eq!(parameters[name], value, "{to}: {message:#}");
        }
        let said = message["msg"].as_str().expect("a text");
        assert!(said.contains(&format!("-> 198.18.0.1:{port} no-rule, dropped")), "{said}");
    }
}

#[test]
fn a_server_with_another_certificate_is_refused() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    let Some(rsyslog) = Rsyslog::start(&stage) else { return };
    stage.inbound(&Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23), Reason::NoRule);
    let other = rsyslog.folder.join("other");
    fs::create_dir_all(&other).expect("there is room");
    assert!(certificate(&other));
    let to = format!("tls://127.0.0.1:6514?ca={}/ca.pem", other.display());
    let said = stage.protected.run(&["events", "--backlog", "--count", "1", "--to", &to]).expect_code(1).stderr;
    assert!(said.contains("cannot send events to tls://127.0.0.1:6514: ") && said.contains("certificate"), "{said}");
    let to = "tls://127.0.0.1:6514?ca=/nowhere.pem";
    let said = stage.protected.run(&["events", "--backlog", "--to", to]).expect_code(2).stderr;
    assert!(said.contains("/nowhere.pem"), "{said}");
}

#[test]
fn an_agent_whose_server_is_gone_keeps_working_and_sends_later_what_happened() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    let folder = std::env::temp_dir().join(format!("enforcer-siem-agent-{}", stage.protected.cable.near.interface));
    fs::create_dir_all(&folder).expect("there is room");
    let site = folder.join("site.yaml");
    fs::write(&site, HTTPS_ONLY.replace("IF", &stage.protected.cable.near.interface)).expect("there is room");
    let host = &stage.protected.cable.host;
    let line = ["run", site.to_str().expect("plain"), "--events", "tcp://127.0.0.1:5514", "--hook", "tc"];
    let mut agent = command(host, &line);
    let log = folder.join("log");
    let file = File::create(&log).expect("there is room");
    agent.env("ENFORCER_STATE_DIR", &folder).env_remove("JOURNAL_STREAM").stdout(Stdio::null()).stderr(file);
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let mut agent = agent.spawn().expect("it starts");
    let running = || stage.protected.run(&["check-health"]).code == Some(0);
    wait("the agent", running, said);
    stage.inbound(&Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 4711), Reason::NoRule);
    wait("an error", || said().contains("cannot send events to tcp://127.0.0.1:5514: "), said);
    assert!(running(), "the agent works while nobody takes its events");
    let Some(rsyslog) = Rsyslog::start(&stage) else {
        let _ = agent.kill();
        let _ = agent.wait();
        return;
    };
    let messages = rsyslog.messages(1);
    let is_there = messages.iter().any(|one| one["$!"]["rfc5424-sd"]["denied@32473"]["port"] == "4711");
    let id = Pid::from_raw(i32::try_from(agent.id()).expect("a process id"));
    kill(id, Signal::SIGTERM).expect("it runs");
    assert!(agent.wait().expect("it is ours").success());
    assert!(is_there, "{messages:#?} {}", said());
    // The network was not there before rsyslog was, which may be another error than a closed port.
    assert!((1..=2).contains(&said().matches("cannot write events").count()), "an error is told once: {}", said());
    fs::remove_dir_all(&folder).expect("it is ours");
}
