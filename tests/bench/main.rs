//! What a packet costs, above a program that does nothing, in nanoseconds.
//!
//! The same run measures both, in turns, and the least of several rounds counts: whatever else the machine does can only
//! make a round slower.

#![expect(clippy::print_stdout, reason = "a tool that talks to the person who started it")]

use std::process::ExitCode;

use harness::enforcer::Protected;
use harness::foreign;
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Program;

const ROUNDS: usize = 7;
const RUNS: u32 = 1_000_000;

/// What is measured: a name, the frame, and how many nanoseconds it may cost, where that is agreed.
fn cases() -> Vec<(&'static str, Packet, Option<u128>)> {
    let [v4, v6] = [("198.18.0.2", "198.18.0.1"), ("2001:db8::2", "2001:db8::1")].map(|(a, b)| Packet::new().ip(a, b));
    let member = Packet::new().ipv4("198.18.0.3", "198.18.0.1");
    vec![
        ("permitted, IPv4 TCP", v4.clone().tcp(40_000, 443), Some(15)),
        ("permitted, IPv6 TCP", v6.tcp(40_000, 443), Some(15)),
        ("permitted, IPv4 UDP", v4.clone().udp(40_000, 161), None),
        ("permitted, IPv4 TCP behind two tags", v4.clone().vlan(1).vlan(2).tcp(40_000, 443), None),
        ("permitted to a peer, IPv4 TCP", member.tcp(40_000, 1502), None),
        ("refused, IPv4 TCP", v4.tcp(40_000, 4444), None),
    ]
}

fn main() -> ExitCode {
    let arguments =
        ["--role", "unity-connection", "--peer", "cluster=198.18.0.3", "--mode", "enforce", "--hook", "native"];
    let protected = Protected::apply_on(Cable::quiet(), &arguments);
    let (program, empty) = (protected.inbound(), foreign::empty());
    println!("XDP, {RUNS} test runs a round, least of {ROUNDS} rounds, nanoseconds above an empty program:\n");
    let mut is_slow = false;
    for (name, packet, limit) in cases() {
        let frame = packet.build();
        let (floor, cost) = least(&empty, &program, &frame);
        let above = cost.saturating_sub(floor);
        let agreed = limit.map_or_else(String::new, |limit| format!("   at most {limit}"));
        let verdict = if limit.is_some_and(|limit| above > limit) { "   <-- too slow" } else { "" };
        is_slow |= !verdict.is_empty();
        println!("  {name:<36} {above:>4}   ({cost} - {floor}){agreed}{verdict}");
    }
    if is_slow { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The least that either program took.
fn least(empty: &Program, program: &Program, frame: &[u8]) -> (u128, u128) {
    let rounds = (0..ROUNDS).map(|_| (empty.nanoseconds(frame, RUNS), program.nanoseconds(frame, RUNS)));
    rounds.fold((u128::MAX, u128::MAX), |(floor, cost), (empty, full)| (floor.min(empty), cost.min(full)))
}
