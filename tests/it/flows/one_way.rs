//! A flow lives as long as packets leave; what comes in prolongs it, but not for ever.

use std::thread;
use std::time::{Duration, Instant};

use enforcer_common::Reason;
use harness::packet::{Packet, tcp};
use harness::program::{About, Outcome, Program};

use super::{from_host, stage, to_host};
use crate::stage::Stage;

/// Another machine may take the CPU at any time. Then what was to be asked within a second is asked too late, and says nothing.
const ATTEMPTS: usize = 8;

#[test]
fn what_comes_in_alone_keeps_no_flow_beyond_one_way() {
    for hook in ["tc", "native"] {
        let stage = Stage::new(&format!("{}flows: {{udp: 3s, tcp: 3s, icmp: 3s, one_way: 4s}}\n", super::SITE), hook);
        let seen_whole = (0..ATTEMPTS).any(|attempt| {
            // Ports of its own each time, so that no flow is left over.
            is_seen_whole(&stage, hook, 40_000 + u16::try_from(attempt).expect("a few"))
        });
        if !seen_whole {
            eprintln!("skipped: {hook}: this machine was too busy to ask every second, {ATTEMPTS} times over");
        }
    }
}

/// Asks for answers to three conversations until none passes. Whether it was asked often enough to say how long they had to.
fn is_seen_whole(stage: &Stage, hook: &str, port: u16) -> bool {
    const UDP: Duration = Duration::from_secs(3);
    const ONE_WAY: Duration = Duration::from_secs(4);
    // Times are kept in ticks, and a second is not told from a little less.
    const INEXACT: Duration = Duration::from_millis(1300);
    let [inbound, outbound] = &stage.programs;
    let ask = |program: &Program, packet: &Packet| program.ask(&packet.build(), About::default());
    let began = Instant::now();
    let questions =
        [from_host(0).udp(port, 53), from_host(1).udp(port, 53), from_host(0).tcp(port, 80).flags(tcp::SYN)];
    for question in &questions {
        assert_eq!(ask(outbound, question), Some(Outcome::Passed));
    }
    let asked = Instant::now();
    let answers = [to_host(0).udp(53, port), to_host(1).udp(53, port), to_host(0).tcp(80, port).flags(tcp::ACK)];
    let mut until = [Duration::ZERO; 3];
    let mut last = began;
    let mut often = true;
    // Until long after the last of them has to end.
    while asked.elapsed() < ONE_WAY + 2 * INEXACT {
        for (answer, until) in answers.iter().zip(&mut until) {
            let before = asked.elapsed();
            if ask(inbound, answer) == Some(Outcome::Passed) {
                *until = before;
            }
        }
        often &= last.elapsed() < UDP - INEXACT;
        last = Instant::now();
        thread::sleep(Duration::from_millis(250));
    }
    let [v4, v6, of_tcp] = until;
    assert!(v4 < ONE_WAY + INEXACT && v6 < ONE_WAY + INEXACT, "{hook}: UDP until {v4:?} and {v6:?}");
    assert!(of_tcp < UDP + INEXACT, "{hook}: TCP until {of_tcp:?}");
    // What comes in prolongs a conversation of datagrams, until one_way.
    assert!(!often || v4 >= UDP && v6 >= UDP, "{hook}: UDP until {v4:?} and {v6:?}");
    often
}

#[test]
fn a_packet_that_leaves_counts_though_one_has_just_come_in() {
    let stage = stage("flows: {udp: 100s}\n");
    let seen_whole = (0..ATTEMPTS).any(|_| {
        let last_out = || stage.tables.flows4()[0].1.last_out;
        stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
        let before = last_out();
        thread::sleep(Duration::from_millis(1300));
        // Now the CPU remembers the flow: of the other direction.
        stage.inbound(&to_host(0).udp(53, 40_000), Reason::Flow);
        assert_eq!(last_out(), before);
        let began = Instant::now();
        stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
        assert!(last_out() > before);
        // And within a second of that nothing is written.
        let (before, state) = (last_out(), || stage.tables.flows4()[0].1);
        let last = state().last;
        stage.outbound(&from_host(0).udp(40_000, 53), Reason::Open);
        stage.inbound(&to_host(0).udp(53, 40_000), Reason::Flow);
        let after = (last_out(), state().last);
        let within_a_second = began.elapsed() < Duration::from_millis(900);
        assert!(!within_a_second || after == (before, last), "{after:?} after {:?}", (before, last));
        within_a_second
    });
    if !seen_whole {
        eprintln!("skipped: this machine was too busy to ask twice within a second, {ATTEMPTS} times over");
    }
}
