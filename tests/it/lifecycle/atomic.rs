//! A change of policy comes into force between two packets: each is judged by the old one or by the new one, none by both or
//! neither. And a change that fails on one interface changes none.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use aya::programs::ProgramInfo;
use harness::bpf::{self, Kind};
use harness::enforcer::{Protected, enforcer, enforcer_with_input};
use harness::foreign::ForeignXdp;
use harness::machine::patience;
use harness::netns::Cable;
use harness::packet::Packet;

use super::{ENFORCE, status};

/// Changes of policy under the flood.
const CHANGES: usize = 10;
/// Frames that have to be judged meanwhile, at least.
const FRAMES: u64 = 2_000_000;
/// `r0 = XDP_TX; exit`: sends the frame that it is run on.
const SEND: [u64; 2] = [0x0000_0003_0000_00b7, 0x95];

/// Permits or refuses the port of the flood.
fn policy(near: &str, verb: &str) -> String {
    format!("interfaces: [{near}]\n{verb}:\n  - {{name: flood-{verb}, protocol: udp, ports: [7000]}}\n")
}

#[test]
fn every_packet_of_a_flood_is_judged_by_exactly_one_of_ten_policies() {
    let cable = Cable::quiet();
    let (near, far) = (cable.near.interface.clone(), cable.far.interface.clone());
    let change = |cable: &Cable, verb: &str| {
        let line = ["apply", "-", "--hook", "native", "--mode", "enforce"];
        enforcer_with_input(&cable.host, &line, &policy(&near, verb)).expect_code(0);
    };
    change(&cable, "allow");
    let protected = Protected { cable };
    let frame = Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(40_000, 7000).payload(&[0; 18]).build();
    let sender = bpf::load(Kind::Xdp, "sender", &SEND).expect("a program of two instructions loads");
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            protected.cable.remote.run(|| {
                while !done.load(Ordering::Relaxed) || sent.load(Ordering::Relaxed) < FRAMES {
                    bpf::send_live(&sender, &far, &frame, 20_000, 64).expect("live frames can be sent");
                    sent.fetch_add(20_000, Ordering::Relaxed);
                }
            });
        });
        for number in 0..CHANGES {
            change(&protected.cable, if number % 2 == 0 { "deny" } else { "allow" });
        }
        done.store(true, Ordering::Relaxed);
    });
    // The ring between the ends may overflow: what counts is what arrived.
    let arrived = settled(|| received(&protected));
    let counted = protected.counters();
    let judged = ["pass", "drop", "would_drop"].map(|verdict| counted.of_name(&format!("inbound verdict {verdict}")));
    assert_eq!(judged.iter().sum::<u64>(), arrived, "{counted:#?}");
    let [permitted, denied] =
        ["rule pass", "denied drop"].map(|name| counted.of_name(&format!("inbound reason {name}")));
    assert!(permitted > 0 && denied > 0, "both policies judged: {counted:#?}");
    assert_eq!(permitted + denied, arrived, "each packet under the one rule of one policy: {counted:#?}");
    println!("{arrived} of {} frames arrived: {permitted} permitted, {denied} denied", sent.load(Ordering::Relaxed));
}

#[test]
fn an_apply_that_fails_on_the_second_interface_leaves_the_first_as_it_was() {
    let protected = Protected::apply(ENFORCE);
    let host = &protected.cable.host;
    let near = protected.cable.near.interface.clone();
    let (second, peer) = (format!("{near}x"), format!("{near}y"));
    host.batch(&format!("link add {second} type veth peer name {peer}\nlink set {second} up\nlink set {peer} up\n"));
    let foreign = ForeignXdp::attach(host, &second);
    let before = (program(&protected), status(&protected).1["policy_hash"].clone());

    let both = format!("{near},{second}");
    let line = ["apply", "--role", "finesse", "--mode", "audit", "--hook", "native", "--interface", &both];
    let ran = enforcer(host, &line).expect_code(4);
    assert!(ran.stderr.contains(&second), "{}", ran.stderr);

    let (code, now) = status(&protected);
    assert_eq!((program(&protected), now["policy_hash"].clone()), before);
    assert_eq!((code, now["inbound"]["mode"].as_str()), (Some(0), Some("enforce")), "{now}");
    let all = enforcer(host, &["status", "--format", "json"]).json();
    assert_eq!(all["interfaces"].as_array().map(Vec::len), Some(1), "the second one is not protected: {all}");
    drop(foreign);
}

/// The kernel's numbers of both programs in force.
fn program(protected: &Protected) -> [u32; 2] {
    let pin = protected.pin();
    ["inbound", "outbound"].map(|name| ProgramInfo::from_pin(pin.with_file_name(name)).expect("it is pinned").id())
}

/// Frames that the near end has handed to its XDP program.
fn received(protected: &Protected) -> u64 {
    let near = &protected.cable.near.interface;
    let output =
        protected.cable.host.command("ethtool").args(["--statistics", near]).output().expect("ethtool is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let queues = text.lines().filter_map(|line| line.trim().strip_prefix("rx_queue_")?.split_once("_xdp_packets: "));
    queues.filter_map(|(_, number)| number.trim().parse::<u64>().ok()).sum()
}

/// A number that no longer changes.
fn settled(mut ask: impl FnMut() -> u64) -> u64 {
    let mut last = ask();
    loop {
        thread::sleep(Duration::from_millis(200) * patience());
        let now = ask();
        if now == last {
            return now;
        }
        last = now;
    }
}
