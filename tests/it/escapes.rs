//! Names that others have chosen reach no terminal with what a terminal obeys, and begin no row of their own: in no command.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use enforcer::text::escape::is_hostile;
use harness::enforcer::{Protected, command};
use harness::netns::{Cable, another_interface};
use harness::skip::skip;
use harness::sockets::tcp_stream;

/// Processes of an intruder: they end the row before theirs, take it away, and hide.
const NAMES: [(u16, &str); 3] =
    [(4444, "\x1b[1A\x1b[2K\r"), (4445, "a\nroot (1)\u{9b}2J"), (4446, "\u{202e}x\u{200b}\x07\x7f")];
/// What stands in the site file, as its author wrote it and YAML reads it.
const SITE: &str = r#"interfaces: [IF, "LATE"]
roles: [unity-connection]
peers: {monitoring: [10.9.9.9]}
allow:
  - {name: x, protocol: tcp, ports: [9100], from: [monitoring], reason: "\e[2J\nerror: \u202e all is well"}
"#;

/// A process that listens on a port and has accepted a connection.
struct Intruder {
    child: Child,
    _connection: TcpStream,
}

impl Intruder {
    fn start(cable: &Cable, port: u16, name: &str) -> Self {
        let script = "use IO::Socket::INET; $0 = pack('H*', $ARGV[1]); $| = 1;
            my $s = IO::Socket::INET->new(Listen => 5, LocalPort => $ARGV[0], ReuseAddr => 1) or die;
            print \"up\\n\"; my $c = $s->accept; print \"met\\n\"; sleep 600;";
        let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut command = cable.host.command("perl");
        command.args(["-e", script, &port.to_string(), &hex]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("perl starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        assert_eq!(lines.next().expect("a line").expect("a text"), "up");
        let connection = tcp_stream(&cable.remote, (cable.near.v4, port).into());
        assert_eq!(lines.next().expect("a line").expect("a text"), "met");
        Self { child, _connection: connection }
    }
}

impl Drop for Intruder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a command prints, on both streams; given up after some time, for one that goes on.
fn printed(cable: &Cable, folder: &Folder, words: &[&str]) -> String {
    let mut inner = command(&cable.host, words);
    inner.env("ENFORCER_STATE_DIR", folder.0.join("state\x1b[7m"));
    inner.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = inner.spawn().expect("the binary starts");
    let id = i32::try_from(child.id()).expect("a process id");
    let watch = std::thread::spawn(move || child.wait_with_output().expect("it is our child"));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(if goes_on(words) { 3 } else { 120 });
    while !watch.is_finished() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    if !watch.is_finished() {
        // SAFETY: no pointers, and the process is our child, which nobody has waited for.
        unsafe { libc::kill(id, libc::SIGTERM) };
    }
    let output = watch.join().expect("it does not panic");
    let code = output.status.code();
    assert!(code.is_some_and(|code| code <= 4), "{words:?}: {code:?}");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap_or_else(|error| panic!("{words:?} prints what is not UTF-8: {error}"))
}

fn goes_on(words: &[&str]) -> bool {
    matches!(words[0], "events" | "run")
}

#[test]
fn no_command_prints_what_a_terminal_obeys() {
    if Command::new("perl").arg("-v").output().is_err() {
        return skip("there is no perl, which gives a process any name");
    }
    let protected = Protected { cable: Cable::new() };
    let cable = &protected.cable;
    let near = cable.near.interface.as_str();
    let late = another_interface();
    let (pattern, late) = (format!("{late}*"), format!("{late}\x1b[m"));
    cable.host.batch(&format!("link add {late} type veth peer name p{}\nlink set {late} up\n", &near[2..]));
    let folder = Folder(std::env::temp_dir().join(format!("enforcer-\x1b[2J\nerror: {near}")));
    fs::create_dir_all(folder.0.join("catalogue")).expect("it can be made");
    let path = |name: &str| folder.0.join(name).to_str().expect("it is UTF-8").to_owned();
    let site = path("site\u{202e}\r.yaml");
    let yaml = SITE.replace("IF", near).replace("LATE", &pattern);
    fs::write(&site, &yaml).expect("the folder is there");
    let broken = path("broken\x1b[1m.yaml");
    fs::write(&broken, "interfaces: [\"\\e[31meth0\"]\nroles: [\"\\e[2J\\u202e\"]\n\"\\e]0;x\\a\": 1\n")
        .expect("the folder is there");
    fs::write(path("catalogue/peers.yaml"), "\"\\e[31m\": 1\n").expect("the folder is there");
    fs::write(path("catalogue/x\x1b[2J.yaml"), "\"\\e[31m\": 1\n").expect("the folder is there");
    let (capture, none) = (path("capture\x1b[2J\n.pcap"), path("none\x1b[2J\n.yaml"));
    fs::write(&capture, b"\xd4\xc3\xb2\xa1\x1b[2J").expect("the folder is there");
    let (report, catalogue) = (path("report\x1b[2J.html"), path("catalogue"));
    let _intruders = NAMES.map(|(port, name)| Intruder::start(cable, port, name));
    let is_bad = |c: char| is_hostile(c) && c != '\n';
    let judged = |words: &[&str], found: &[&str]| {
        let text = printed(cable, &folder, words);
        let bad: Vec<char> = text.chars().filter(|c| is_bad(*c)).collect();
        assert_eq!(bad, Vec::<char>::new(), "{words:?}: {text}");
        let forged = text.lines().find(|line| line.starts_with("error: all is well") || line.starts_with("root (1)"));
        assert_eq!(forged, None, "{words:?}: {text}");
        for found in found {
            assert!(text.contains(found), "{words:?} should name {found}: {text}");
        }
    };
    let tuple = "in tcp 10.9.9.9:40000 -> :9100";
    let listed = &[":4444", ":4445", ":4446", r"\u{1b}[1A\u{1b}[2K\r", r"a\nroot (1)"][..];
    for (words, found) in [
        (&["check", &site][..], &[][..]),
        (&["check", &broken], &[]),
        (&["check", &none], &["none"]),
        (&["check", "--role", "finesse", "--interface", near, "--catalogue", &catalogue], &[]),
        (&["check", "--role", "\x1b[2J", "--interface", "\u{202e}"], &[]),
        (&["check", "\x1b[2J\u{202e}", "--\x1b[31m"], &[]),
        (&["\x1b[2J"], &[]),
        (&["compile", &site], &["site/x"]),
        (&["explain", &site, tuple], &["site/x"]),
        (&["explain", &site, "in tcp \x1b[2J"], &[]),
        (&["diff", &site, &none], &[]),
        (&["role", "show", "\x1b[2J"], &[]),
        (&["simulate", &site, &capture], &["capture"]),
        (&["simulate", &site, &none], &[]),
        (&["suggest", &site, "--denied", &capture], &["capture"]),
        (&["preflight", &site], listed),
        (&["apply", &none], &[]),
        (&["apply", &site, "--mode", "enforce", "--dry-run"], listed),
        (&["apply", &site, "--mode", "enforce", "--abort-if-cut"], listed),
        (&["--verbose", "apply", &site, "--mode", "audit", "--yes"], &[]),
        (&["status"], &["site"]),
        (&["status", "--interface", "\x1b[2J"], &[]),
        (&["counters", "--all"], &[]),
        (&["readiness"], &[]),
        (&["suggest"], &[]),
        (&["denied", "--limit", "0"], &[]),
        (&["report", "-o", &report], &["report"]),
        (&["mode", "enforce", "--yes"], &[":4444"]),
        (&["mode", "audit"], &[]),
        (&["events"], &[]),
        (&["boot"], &[]),
        (&["save"], &[]),
        (&["export", "nft", &none], &[]),
        (&["detach"], &[]),
        (&["run", &site, "--check", "1s"], &["a live connection is cut"]),
        (&["run", &broken], &[]),
        (&["detach"], &[]),
    ] {
        // The agent asks for nobody, so the policy of its second run has to enforce from the start.
        if words[0] == "run" {
            fs::write(&site, format!("{yaml}mode: enforce\n")).expect("the folder is there");
        }
        judged(words, found);
    }
    let page = fs::read_to_string(&report).expect("it was written");
    let bad: Vec<char> = page.chars().filter(|c| c.is_control() && *c != '\n').collect();
    assert_eq!(bad, Vec::<char>::new());
    assert!(page.contains(r"\u{1b}[1A\u{1b}[2K\r"), "the page names the intruder");
}

#[test]
fn json_has_names_as_they_are() {
    if Command::new("perl").arg("-v").output().is_err() {
        return skip("there is no perl, which gives a process any name");
    }
    let protected = Protected { cable: Cable::new() };
    let (port, name) = NAMES[0];
    let _intruder = Intruder::start(&protected.cable, port, name);
    let near = protected.cable.near.interface.as_str();
    let line = ["preflight", "--role", "unity-connection", "--interface", near, "--format", "json"];
    let json = protected.run(&line).json();
    let cut = json["cut"].as_array().expect("a list");
    let process = cut.iter().find_map(|one| one["process"].as_str()).expect("a process is named");
    assert!(process.starts_with(name), "{process:?}");
}
