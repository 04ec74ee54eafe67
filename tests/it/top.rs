//! `enforcer top`, on a terminal of 80 columns and 24 lines.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::num::NonZero;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness::enforcer::{Protected, command};
use harness::netns::Cable;
use harness::sockets::{Servers, tcp};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use vt100::Parser;

const SITE: &str = "\
interfaces: [IF]
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
  - {name: other, protocol: tcp, ports: [444]}
";

/// As small as it may be.
const LINES: NonZero<u16> = NonZero::new(24).expect("some");
const COLUMNS: NonZero<u16> = NonZero::new(80).expect("some");

/// `enforcer top` with a terminal of its own, and what stands on it.
struct Top {
    child: Child,
    keys: File,
    terminal: OwnedFd,
    screen: Arc<Mutex<Parser>>,
}

impl Top {
    fn start(protected: &Protected) -> Self {
        let size = Winsize { ws_row: LINES.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a terminal can be made");
        let end = || Stdio::from(pty.slave.try_clone().expect("it can be shared"));
        let mut command = command(&protected.cable.host, &["top", "--interval", "1s"]);
        let child = command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color").spawn();
        let keys = File::from(pty.master);
        let screen = Arc::new(Mutex::new(Parser::new(LINES, COLUMNS, 0)));
        let (mut reader, written) = (keys.try_clone().expect("it can be shared"), Arc::clone(&screen));
        // It ends when the last end of the terminal is closed.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                written.lock().expect("nobody has panicked").process(&bytes[..count]);
            }
        });
        Self { child: child.expect("it starts"), keys, terminal: pty.slave, screen }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads");
    }

    fn text(&self) -> String {
        self.screen.lock().expect("nobody has panicked").screen().contents()
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    fn expect(&self, what: &str, is: impl Fn(&str) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !is(&self.text()) {
            assert!(Instant::now() < end, "{what}:\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it ends, and looks whether the terminal is as it was.
    #[track_caller]
    fn expect_end(mut self) {
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "{}", self.text());
        let flags = tcgetattr(self.terminal.as_fd()).expect("it is a terminal").local_flags;
        assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON), "what is typed is seen again: {flags:?}");
        let end = Instant::now() + Duration::from_secs(60);
        // What was written last may still be on its way.
        while self.screen.lock().expect("nobody has panicked").screen().alternate_screen() {
            assert!(Instant::now() < end, "it has left its screen");
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!self.screen.lock().expect("nobody has panicked").screen().hide_cursor());
    }
}

#[test]
fn rules_and_denied_flows_are_shown_filtered_sorted_and_paused() {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let Cable { host, remote, near, far } = &protected.cable;
    let _servers = Servers::start(host, &[443, 7777], &[]);
    for port in [443, 7777] {
        tcp(remote, IpAddr::from(far.v4), (near.v4, port).into());
    }
    let mut top = Top::start(&protected);
    let client = far.v4.to_string();
    top.expect("rules, reasons, flows and modes", |text| {
        ["site/https", "site/other", "no-rule", "tcp 7777", "audit", &client, "sort: rate", "passed/s"]
            .iter()
            .all(|word| text.contains(word))
    });
    top.press("s");
    top.expect("another order", |text| text.contains("sort: packets"));
    top.press("/oth\r");
    top.expect("only what fits", |text| text.contains("site/other") && !text.contains("site/https"));
    top.press("\x1b");
    top.expect("everything again", |text| text.contains("site/https") && !text.contains("filter:"));
    top.press("p");
    top.expect("a pause", |text| text.contains("PAUSED"));
    top.press("?");
    top.expect("the help", |text| text.contains("any key") || text.contains("Any key"));
    top.press("x");
    top.expect("the tables", |text| !text.contains("Any key"));
    top.press("q");
    top.expect_end();
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let top = Top::start(&protected);
    top.expect("it draws", |text| text.contains("site/https"));
    let id = i32::try_from(top.child.id()).expect("a process id");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM).expect("it runs");
    top.expect_end();
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let ran = protected.run(&["top"]).expect_code(2);
    assert!(ran.stderr.contains("counters --watch"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}
