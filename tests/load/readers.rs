//! Everybody who looks, again and again.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use harness::enforcer::Counters;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value};

use crate::Over;
use crate::world::{METRICS, World};

/// Commands that print and end, and the agent's metrics.
pub(crate) fn commands(world: &World, over: &Over) -> Map<String, Value> {
    let mut last = None;
    let mut rounds: u64 = 0;
    while !over.is() {
        let counters = world.run(&["counters", "--format", "json"]).expect_code(0).json();
        let now = world.pairs.each_ref().map(|pair| Counters::of(&counters, &pair.near));
        if let Some(last) = last.replace(now.clone()) {
            never_less(&last, &now);
        }
        world.run(&["counters", "--format", "prometheus"]).expect_code(0);
        let denied = world.run(&["denied", "--format", "json"]).expect_code(0).json();
        assert!(denied.is_object() || denied.is_array(), "{denied}");
        let status = world.run(&["status", "--format", "json"]).json();
        assert_eq!(status["interfaces"].as_array().map(Vec::len), Some(2), "both are protected all the time: {status}");
        let metrics = metrics(world);
        assert!(metrics.contains("enforcer_packets_total{"), "{metrics}");
        rounds += 1;
    }
    assert!(rounds > 0, "nothing was read");
    Map::from_iter([("rounds_of_reading_everything".to_owned(), rounds.into())])
}

/// What was counted stays counted, whatever changes meanwhile.
fn never_less(before: &[Counters; 2], now: &[Counters; 2]) {
    for (before, now) in before.iter().zip(now) {
        for (name, number) in &before.packets {
            // Rules go with their policy.
            if !name.contains(" rule ") {
                assert!(now.of_name(name) >= *number, "{name}: {} after {number}", now.of_name(name));
            }
        }
    }
}

fn metrics(world: &World) -> String {
    world.host.run(|| {
        let mut stream = TcpStream::connect(METRICS).expect("the agent listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        text
    })
}

/// `enforcer events`, which has the ring for itself.
pub(crate) fn events(world: &World, over: &Over) -> Map<String, Value> {
    let mut child = world.command(&["events", "--format", "json"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = child.stdout.take().expect("piped");
    let reader = thread::spawn(move || {
        let (mut lines, mut bytes) = (0_u64, [0; 65536]);
        while let Ok(count @ 1..) = out.read(&mut bytes) {
            lines += bytes[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        lines
    });
    while !over.is() {
        thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().expect("our child").is_none(), "`enforcer events` has ended by itself");
    }
    interrupt(child.id());
    let status = child.wait().expect("our child");
    assert_eq!(status.code(), Some(0), "`enforcer events` was interrupted");
    let events = reader.join().expect("it only reads");
    assert!(events > 0, "no event was told");
    Map::from_iter([("events_told".to_owned(), events.into())])
}

/// `enforcer top`, on a terminal that somebody reads.
pub(crate) fn top(world: &World, over: &Over) -> Map<String, Value> {
    let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a terminal can be made");
    let end = || Stdio::from(pty.slave.try_clone().expect("it can be shared"));
    let mut command = world.command(&["top", "--interval", "1s"]);
    let mut child =
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color").spawn().expect("it starts");
    drop((command, pty.slave));
    let mut screen = File::from(pty.master);
    let reader = thread::spawn(move || {
        let (mut all, mut last, mut bytes) = (0_u64, String::new(), [0; 65536]);
        // It ends when the last end of the terminal is closed.
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            all += count as u64;
            last.push_str(&String::from_utf8_lossy(&bytes[..count]));
            // What it says at its end stands behind the last picture.
            last = last.chars().skip(last.chars().count().saturating_sub(2000)).collect();
        }
        (all, last)
    });
    while !over.is() {
        thread::sleep(Duration::from_millis(100));
        if child.try_wait().expect("our child").is_some() {
            break;
        }
    }
    if over.is() {
        interrupt(child.id());
    }
    let status = child.wait().expect("our child");
    let (drawn, last) = reader.join().expect("it only reads");
    assert!(over.is() && status.code() == Some(0), "`enforcer top` has ended by itself ({status}): {last}");
    assert!(drawn > 0, "nothing was drawn");
    Map::from_iter([("bytes_drawn_by_top".to_owned(), drawn.into())])
}

fn interrupt(process: u32) {
    let id = i32::try_from(process).expect("a process id");
    kill(Pid::from_raw(id), Signal::SIGTERM).expect("it runs");
}
