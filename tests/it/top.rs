//! `enforcer top`, on a terminal of 80 columns and 24 lines.

use std::net::IpAddr;
use std::num::NonZero;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use harness::enforcer::{Protected, command};
use harness::netns::Cable;
use harness::sockets::{Servers, tcp};
use harness::terminal::{Size, Terminal};
use nix::sys::termios::{LocalFlags, tcgetattr};

const SITE: &str = "\
interfaces: [IF]
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
  - {name: other, protocol: tcp, ports: [444]}
";

/// As small as it may be.
const SIZE: Size = Size { lines: NonZero::new(24).expect("some"), columns: NonZero::new(80).expect("some") };

/// Starts `enforcer top` on a terminal of its own.
fn start(protected: &Protected) -> Terminal {
    Terminal::start(command(&protected.cable.host, &["top", "--interval", "1s"]), SIZE)
}

/// Waits until it ends, and looks whether the terminal is as it was.
#[track_caller]
fn expect_end(mut top: Terminal) {
    let status = top.child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", top.text());
    let flags = tcgetattr(top.end.as_fd()).expect("it is a terminal").local_flags;
    assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON), "what is typed is seen again: {flags:?}");
    let end = Instant::now() + Duration::from_secs(60);
    // What was written last may still be on its way.
    while top.screen().screen().alternate_screen() {
        assert!(Instant::now() < end, "it has left its screen");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!top.screen().screen().hide_cursor());
}

#[test]
fn rules_and_denied_flows_are_shown_filtered_sorted_and_paused() {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let Cable { host, remote, near, far } = &protected.cable;
    let _servers = Servers::start(host, &[443, 7777], &[]);
    for port in [443, 7777] {
        tcp(remote, IpAddr::from(far.v4), (near.v4, port).into());
    }
    let mut top = start(&protected);
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
    top.expect("the help", |text| text.contains("Press any key"));
    top.press("x");
    top.expect("the tables", |text| !text.contains("Press any key"));
    top.press("q");
    expect_end(top);
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let top = start(&protected);
    top.expect("it draws", |text| text.contains("site/https"));
    let id = i32::try_from(top.child.id()).expect("a process id");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM).expect("it runs");
    expect_end(top);
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let protected = Protected::apply_site(Cable::new(), SITE, &["--hook", "tc"]);
    let ran = protected.run(&["top"]).expect_code(2);
    assert!(ran.stderr.contains("counters --watch"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}
