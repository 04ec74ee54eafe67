//! Denied packets, told one by one and summed up, both bounded.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::MapData;
use enforcer_common::layout::{Direct, LAYOUT_VERSION, map, mapped, reason_index};
use enforcer_common::{Direction, Reason};
use harness::enforcer::{HTTPS_ONLY, command};
use harness::machine::{cpus, stay_on_cpu};
use harness::packet::Packet;
use harness::program::{About, Outcome};
use harness::remembered::words;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stage::Stage;

#[test]
fn a_denied_packet_is_told_in_full() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    stage.inbound(&Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 443), Reason::Rule);
    assert_eq!(stage.tables.events(), [], "what passes is no event");
    let packet = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23);
    for _ in 0..3 {
        stage.inbound(&packet, Reason::NoRule);
    }
    let address = |last| mapped(u32::from_ne_bytes([198, 18, 0, last]));
    let events = stage.tables.events();
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!((event.denied.remote, event.local), (address(2), address(1)));
        assert_eq!((event.remote_port, event.local_port, event.denied.port), (40_000, 23, 23));
        assert_eq!((event.denied.protocol, event.denied.family, event.denied.direction), (6, 4, 0));
        assert_eq!((event.denied.reason, event.denied.enforced), (Reason::NoRule as u8, 1));
        assert_eq!(usize::try_from(event.bytes).ok(), Some(packet.build().len()));
    }
    let denied = stage.tables.denied();
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(denied[0].0, events[0].denied);
    assert_eq!(denied[0].1.counter.packets, 3);
    assert!(denied[0].1.first <= denied[0].1.last);
}

#[test]
fn a_flood_of_spoofed_sources_is_suppressed_and_counted() {
    const FLOOD: u64 = 20_000;
    let stage = Stage::new(HTTPS_ONLY, "native");
    for number in 0..FLOOD {
        let source = format!("10.{}.{}.{}", number >> 16, number >> 8 & 0xff, number & 0xff);
        let frame = Packet::new().ipv4(&source, "198.18.0.1").udp(40_000, 4444).build();
        assert_eq!(stage.programs[0].ask(&frame, About::default()), Some(Outcome::Dropped));
    }
    let events = u64::try_from(stage.tables.events().len()).expect("a number");
    let (suppressed, lost) = stage.tables.suppressed_and_lost();
    assert_eq!(events + lost + suppressed, FLOOD, "each is told, lost or suppressed: {events}, {lost}, {suppressed}");
    assert!(suppressed > 0, "the bucket never ran dry: {events}, {lost}");
    // As many as found a token, and never more than there is room for.
    let denied = stage.tables.denied().len();
    assert!(denied as u64 <= events + lost, "{denied} flows of {events} events, {lost} lost");
    assert!(denied <= stage.tables.denied_capacity() as usize);
    let counted = stage.counted();
    assert_eq!(counted.values().sum::<u64>(), FLOOD, "the counters are exact: {counted:?}");
}

#[test]
fn floods_on_every_cpu_at_once_are_counted_to_the_packet() {
    const FLOOD: u64 = 20_000;
    let stage = Stage::new(HTTPS_ONLY, "native");
    let frame = Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(40_000, 4444).build();
    let cpus = cpus();
    thread::scope(|scope| {
        for cpu in &cpus {
            let (program, frame) = (&stage.programs[0], &frame);
            scope.spawn(move || {
                stay_on_cpu(*cpu);
                for _ in 0..FLOOD {
                    assert_eq!(program.ask(frame, About::default()), Some(Outcome::Dropped));
                }
            });
        }
    });
    let all = FLOOD * cpus.len() as u64;
    assert_eq!(stage.counted(), [((Direction::Inbound, false, Reason::NoRule), all)].into());
    let events = u64::try_from(stage.tables.events().len()).expect("a number");
    let (suppressed, lost) = stage.tables.suppressed_and_lost();
    assert_eq!(events + lost + suppressed, all, "each is told, lost or suppressed: {events}, {lost}, {suppressed}");
    // As the programs were told: each CPU counts where no other does.
    let path = stage.protected.pin().with_file_name(format!("v{LAYOUT_VERSION}")).join(map::REASONS);
    let words = words(&MapData::from_pin(path).expect("it is pinned"));
    let parts = words.chunks(Direct::Reasons.size() as usize / 8);
    let index = reason_index(Direction::Inbound, false, Reason::NoRule) as usize * 2;
    let counted: Vec<u64> = parts.map(|part| part[index]).collect();
    for (cpu, counted) in counted.iter().enumerate() {
        assert_eq!(*counted, if cpus.contains(&cpu) { FLOOD } else { 0 }, "CPU {cpu} of {cpus:?}");
    }
}

#[test]
fn events_are_printed_as_they_come_and_to_one_reader() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    let packet = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23);
    stage.inbound(&packet, Reason::NoRule);
    let mut reader =
        Reader::start(&stage, &["--backlog", "--format", "json", "--direction", "inbound", "--count", "3"]);
    // One has been waiting; its line says that the reader is there.
    let first = reader.line();
    let second = stage.protected.run(&["events"]).expect_code(1);
    let id = reader.child.id().to_string();
    assert!(second.stderr.contains(&format!("process {id} reads the events")), "{}", second.stderr);
    stage.inbound(&packet, Reason::NoRule);
    stage.inbound(&Packet::new().ipv6("2001:db8::2", "2001:db8::1").udp(5000, 161), Reason::NoRule);
    let (next, last) = (reader.line(), reader.line());
    for event in [&first, &next] {
        assert_eq!(event["event"], "denied");
        assert_eq!((&event["remote"], &event["remote_port"]), (&"198.18.0.2".into(), &40_000.into()), "{event}");
        assert_eq!((&event["local"], &event["local_port"]), (&"198.18.0.1".into(), &23.into()), "{event}");
        assert_eq!((&event["reason"], &event["mode"]), (&"no-rule".into(), &"enforce".into()), "{event}");
        assert_eq!(event["interface"], stage.protected.cable.near.interface.as_str());
    }
    assert_eq!(
        (&last["remote"], &last["protocol"], &last["port"]),
        (&"2001:db8::2".into(), &"udp".into(), &161.into())
    );
    let (code, errors) = reader.end();
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("3 events; 0 refused packets suppressed, 0 events lost"), "{errors}");
    assert_eq!(stage.tables.events(), [], "nothing is left in the ring, and the next reader may come");
}

#[test]
fn what_was_refused_before_the_command_began_is_left_out() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    let refused = |port| Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port);
    stage.inbound(&refused(23), Reason::NoRule);
    let mut reader = Reader::start(&stage, &["--format", "json", "--direction", "inbound", "--count", "1"]);
    let mut said = BufReader::new(reader.child.stderr.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("text");
    assert!(line.contains("earlier events are left out"), "{line}");
    stage.inbound(&refused(24), Reason::NoRule);
    assert_eq!(reader.line()["port"], 24);
    assert_eq!(reader.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_receiver_that_is_not_there_is_told_before_there_is_an_event() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    let mut sending = command(&stage.protected.cable.host, &["events", "--to", "tcp://127.0.0.1:9"]);
    let mut sending = sending.stderr(Stdio::piped()).spawn().expect("it starts");
    let end = Instant::now() + Duration::from_secs(60);
    let code = loop {
        if let Some(status) = sending.try_wait().expect("it is our child") {
            break status.code();
        }
        if Instant::now() > end {
            sending.kill().expect("it is our child");
        }
        thread::sleep(Duration::from_millis(50));
    };
    let mut errors = String::new();
    sending.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
    assert_eq!((code, errors.contains("cannot send events to tcp://127.0.0.1:9: ")), (Some(1), true), "{errors}");
}

#[test]
fn an_interrupted_reader_ends_well() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let stage = Stage::new(HTTPS_ONLY, "tc");
        stage.inbound(&Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, 23), Reason::NoRule);
        let mut reader = Reader::start(&stage, &["--backlog", "--direction", "inbound"]);
        let mut line = String::new();
        reader.out.read_line(&mut line).expect("text");
        assert!(line.ends_with("in tcp 198.18.0.2:40000 -> 198.18.0.1:23 no-rule, dropped (54 bytes)\n"), "{line}");
        reader.signal(signal);
        let (code, errors) = reader.end();
        assert_eq!((code, errors.contains("1 events;")), (Some(0), true), "{errors}");
    }
}

#[test]
fn a_reader_that_does_not_read_holds_nobody_up() {
    const FLOOD: u64 = 40_000;
    let stage = Stage::new(HTTPS_ONLY, "native");
    let frame = Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(40_000, 4444).build();
    assert_eq!(stage.programs[0].ask(&frame, About::default()), Some(Outcome::Dropped));
    let mut reader = Reader::start(&stage, &["--backlog", "--format", "json", "--direction", "inbound"]);
    assert_eq!(reader.line()["event"], "denied");
    // From here on its pipe fills up, and then the ring.
    for _ in 1..FLOOD {
        assert_eq!(stage.programs[0].ask(&frame, About::default()), Some(Outcome::Dropped));
    }
    let counted = stage.counted();
    assert_eq!(counted.values().sum::<u64>(), FLOOD, "each packet was judged and counted: {counted:?}");
    reader.signal(Signal::SIGINT);
    let mut told = 1;
    let mut said = (0, 0);
    for line in (&mut reader.out).lines().map_while(Result::ok) {
        let line: Value = serde_json::from_str(&line).expect("JSON");
        if line["event"] == "denied" {
            told += 1;
        } else {
            said = (line["suppressed"].as_u64().expect("a number"), line["lost"].as_u64().expect("a number"));
        }
    }
    let (code, errors) = reader.end();
    assert_eq!(code, Some(0), "{errors}");
    let left = stage.tables.events().len() as u64;
    let (suppressed, lost) = stage.tables.suppressed_and_lost();
    assert_eq!(told + left + suppressed + lost, FLOOD, "told {told}, left {left}, {suppressed}, {lost}: {errors}");
    assert!(suppressed > 0 && said.0 <= suppressed && said.1 <= lost, "{said:?}, {suppressed}, {lost}");
    assert!(errors.contains(&format!("{suppressed} refused packets suppressed, {lost} events lost")), "{errors}");
}

#[test]
fn a_reader_ends_when_nothing_is_protected_any_more() {
    let stage = Stage::new(HTTPS_ONLY, "tc");
    let near = stage.protected.cable.near.interface.clone();
    let reader = Reader::start(&stage, &["--format", "json"]);
    stage.protected.run(&["detach", "--interface", &near]).expect_code(0);
    let (code, errors) = reader.end();
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("no interface in this network namespace is protected"), "{errors}");
}

/// `enforcer events` in the background.
struct Reader {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Reader {
    #[track_caller]
    fn start(stage: &Stage, arguments: &[&str]) -> Self {
        let line = [&["events"], arguments].concat();
        let mut command = command(&stage.protected.cable.host, &line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, out }
    }

    #[track_caller]
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("it runs");
    }

    /// Exit code and what it said.
    #[track_caller]
    fn end(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
        (self.child.wait().expect("it ends").code(), errors)
    }
}
