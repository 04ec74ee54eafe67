//! The pictures of the README: the report page and `enforcer top` of a host that clients ask for what its policy permits and
//! for what it does not.
//!
//! Everything is real: the binary, the programs in the kernel, the sockets, the browser and the terminal. It is started in
//! namespaces of its own (mounts, processes, host name), so that the pictures show no name of the machine that makes them and
//! nothing that the machine protects is touched.

#![expect(clippy::print_stderr, reason = "a tool that talks to the person who started it")]

mod screen;

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use harness::attempts::{self, Attempt, MEMBER};
use harness::browser::{Browser, Scheme};
use harness::enforcer::{Protected, command, state_folder};
use harness::interrupt;
use harness::netns::Cable;
use harness::sockets::Servers;
use harness::terminal::{Size, Terminal};

/// The name of the host in the pictures.
const HOST: &str = "cuc1.example.com";
/// The name of its interface.
const INTERFACE: &str = "eth0";
/// How long clients ask before the first picture is taken.
const AUDIT: Duration = Duration::from_secs(90);
/// Between two questions of a client.
const PAUSE: Duration = Duration::from_millis(50);
/// The window of the browser.
const WINDOW: (u32, u32) = (1120, 1180);
/// The terminal of `enforcer top`.
const SIZE: Size = Size { lines: NonZero::new(30).expect("some"), columns: NonZero::new(96).expect("some") };

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: pictures FOLDER (cargo xtask pictures starts it)");
        return ExitCode::from(2);
    };
    interrupt::listen();
    match std::panic::catch_unwind(|| run(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(panic) if panic.is::<interrupt::Interrupted>() => {
            eprintln!("\ninterrupted; nothing is left behind");
            ExitCode::from(130)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(folder: &Path) {
    alone();
    let browser = Browser::find().expect("there is no chromium to open the page in (Debian: chromium)");
    fs::create_dir_all(folder).expect("a folder can be made");
    let peers = format!("cluster={},{}", MEMBER[0], MEMBER[1]);
    let protected = Protected::apply_on(
        Cable::named(INTERFACE),
        &["--role", "unity-connection", "--peer", &peers, "--mode", "audit"],
    );
    let cable = &protected.cable;
    for address in MEMBER {
        cable.add_remote_address(address);
    }
    let attempts = attempts::all(cable);
    let _servers = Servers::start(&cable.host, &attempts::ports(&attempts, "tcp"), &attempts::ports(&attempts, "udp"));
    eprintln!("pictures: clients ask for {} seconds, in audit", AUDIT.as_secs());
    ask(cable, &attempts, AUDIT);

    let page = folder.join("report.html");
    let page_name = page.to_str().expect("a plain name");
    protected.run(&["report", "-o", page_name]).expect_code(0);
    let picture = browser.picture(&page, WINDOW, Scheme::Light);
    fs::write(folder.join("report.png"), picture).expect("there is room");

    eprintln!("pictures: the same, with `enforcer top`");
    protected.mode("enforce");
    let mut top = Terminal::start(command(&cable.host, &["top", "--interval", "1s"]), SIZE);
    ask(cable, &attempts, Duration::from_secs(40));
    top.expect("rates", |text| text.contains("PACKETS/S") && text.contains("no-rule"));
    let svg = screen::svg(top.screen().screen(), "enforcer top");
    fs::write(folder.join("top.svg"), svg).expect("there is room");
    top.press("q");
    top.child.wait().expect("it ends");
}

/// Clients ask again and again, for so long: some for what is permitted, one for what is not.
fn ask(cable: &Cable, attempts: &[Attempt], how_long: Duration) {
    let end = Instant::now() + how_long;
    let rounds = |mine: Vec<&Attempt>| {
        while Instant::now() < end && !interrupt::asked() {
            for attempt in &mine {
                // What becomes of it is what the pictures show.
                let _ = attempt.make(cable);
                thread::sleep(PAUSE);
            }
        }
    };
    let (permitted, refused): (Vec<&Attempt>, Vec<_>) = attempts.iter().partition(|one| one.says.is_ok());
    let (some, others) = permitted.split_at(permitted.len() / 3);
    thread::scope(|scope| {
        for mine in [some.to_vec(), others.to_vec(), refused] {
            scope.spawn(move || rounds(mine));
        }
    });
    interrupt::check();
}

/// Gives this process, which is the first of its namespaces, a host name, a file system for pins and a folder for state.
fn alone() {
    assert_eq!(std::process::id(), 1, "cargo xtask pictures starts this in namespaces of its own");
    nix::unistd::sethostname(HOST).expect("this takes root");
    let state = state_folder();
    fs::create_dir_all(&state).expect("a folder can be made");
    let state = state.to_str().expect("a plain name");
    for (kind, place) in [("bpf", "/sys/fs/bpf"), ("tmpfs", state)] {
        let arguments = ["-t", kind, "-o", "mode=0700", kind, place];
        let status = Command::new("mount").args(arguments).status().expect("mount(8) is there");
        assert!(status.success(), "cannot mount {kind} on {place}");
    }
}
