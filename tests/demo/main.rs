//! The demo: a host with the role Unity Connection, and clients that try permitted and refused ports. With `--estate`: every host of
//! the reference estate, and each tries the others.
//!
//! Only the network is simulated: the binary, the programs in the kernel and the sockets on both sides are real. Two namespaces
//! joined by a cable stand for the host and for its clients. The demo always removes both, even when it fails or is interrupted.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to the person who started it")]

mod estate;
mod report;

use std::process::ExitCode;

use harness::attempts::{self, Attempt, MEMBER};
use harness::enforcer::Protected;
use harness::interrupt;
use harness::sockets::Servers;
use harness::table::table;

use crate::report::Report;

fn main() -> ExitCode {
    interrupt::listen();
    let chosen = if std::env::args().any(|word| word == "--estate") { estate::run } else { run };
    match std::panic::catch_unwind(chosen) {
        Ok(wrong) if wrong.is_empty() => {
            println!("\nEvery outcome matches the policy. Nothing is left behind.");
            ExitCode::SUCCESS
        }
        Ok(wrong) => {
            eprintln!("\nThese outcomes differ from the policy:\n  {}", wrong.join("\n  "));
            ExitCode::FAILURE
        }
        // The cables, the pins and the namespaces went with the stack that was unwound.
        Err(panic) if panic.is::<interrupt::Interrupted>() => {
            eprintln!("\ninterrupted; everything has been removed");
            ExitCode::from(130)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs the whole demo and returns the outcomes that differ from the policy.
fn run() -> Vec<String> {
    println!("Two namespaces joined by a cable. The near end gets the role unity-connection, in audit:");
    let protected = Protected::apply(&[
        "--role",
        "unity-connection",
        "--peer",
        &format!("cluster={},{}", MEMBER[0], MEMBER[1]),
        "--mode",
        "audit",
    ]);
    let cable = &protected.cable;
    for address in MEMBER {
        cable.add_remote_address(address);
    }
    println!("  host {} and {}", cable.near.v4, cable.near.v6);
    println!("  cluster member {} and {}, bound to the peer `cluster`", MEMBER[0], MEMBER[1]);
    println!("  stranger {} and {}, bound to no peer", cable.far.v4, cable.far.v6);
    println!("  a server listens on every port that a client tries, so only the policy can refuse a client\n");

    let attempts = attempts::all(cable);
    let servers = Servers::start(&cable.host, &attempts::ports(&attempts, "tcp"), &attempts::ports(&attempts, "udp"));
    let mut report = Report::default();
    play(&protected, "audit", &attempts, &mut report);
    protected.mode("enforce");
    play(&protected, "enforce", &attempts, &mut report);

    println!("\nCounters read from the kernel, with the rows of the vendor's document:\n");
    let counters = protected.run(&["counters", "--format", "json"]).expect_code(0).json();
    print!("{}", report::counters(&counters, &cable.near.interface));
    drop(servers);
    let pins = protected.pin();
    drop(protected);
    if pins.exists() {
        report.wrong.push(format!("{} is still there after `enforcer detach`", pins.display()));
    }
    report.wrong
}

fn play(protected: &Protected, mode: &str, attempts: &[Attempt], report: &mut Report) {
    let meaning =
        if mode == "audit" { "refused packets are counted and still arrive" } else { "refused packets are dropped" };
    println!("Mode {mode}: {meaning}.\n");
    let mut rows = Vec::new();
    for attempt in attempts {
        interrupt::check();
        let (reply, counted) = protected.counted(|| attempt.make(&protected.cable));
        rows.push(report.judge(mode, attempt, reply, &counted));
    }
    print!("{}", table(&["from", "to", "policy", "why", "arrived", "counted as"], &rows));
    println!();
}
