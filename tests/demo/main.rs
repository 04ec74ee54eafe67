//! The demo: a host in the role of Unity Connection, and clients that try what its policy permits and what it does not.
//!
//! Everything is real but the network: the binary, the programs in the kernel, the sockets on both sides. Two namespaces
//! joined by a cable stand for the host and for everybody else; both are gone when it ends, however it ends.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that talks to the person who started it")]

mod attempt;
mod report;

use std::process::ExitCode;

use harness::enforcer::Protected;
use harness::interrupt;
use harness::sockets::Servers;
use harness::table::table;

use crate::attempt::{Attempt, MEMBER};
use crate::report::Report;

fn main() -> ExitCode {
    interrupt::listen();
    match std::panic::catch_unwind(run) {
        Ok(wrong) if wrong.is_empty() => {
            println!("\nEvery outcome is what the policy says. Nothing is left behind.");
            ExitCode::SUCCESS
        }
        Ok(wrong) => {
            eprintln!("\nNot what the policy says:\n  {}", wrong.join("\n  "));
            ExitCode::FAILURE
        }
        // The cables, the pins and the namespaces went with the stack that was unwound.
        Err(panic) if panic.is::<interrupt::Interrupted>() => {
            eprintln!("\ninterrupted; nothing is left behind");
            ExitCode::from(130)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Plays the whole demo and returns what was not as it should be.
fn run() -> Vec<String> {
    println!("Two namespaces, a cable between them. The near end gets the role unity-connection, in audit:");
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
    println!("  stranger {} and {}, bound to nothing", cable.far.v4, cable.far.v6);
    println!("  a server listens on every port that is tried, so only the policy stands between it and a client\n");

    let attempts = attempt::all(cable);
    let servers = Servers::start(&cable.host, &attempt::ports(&attempts, "tcp"), &attempt::ports(&attempts, "udp"));
    let mut report = Report::default();
    play(&protected, "audit", &attempts, &mut report);
    protected.mode("enforce");
    play(&protected, "enforce", &attempts, &mut report);

    println!("\nCounters of the kernel, with the rows of the vendor's document:\n");
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
    let meaning = if mode == "audit" { "what the policy refuses is counted, and arrives" } else { "it is dropped" };
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
