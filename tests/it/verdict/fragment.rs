//! Fragments: the first is judged by its ports, the others follow it.

use harness::packet::{Extension, Packet, protocol};

use super::{HOST, Judge, STRANGER};

fn ipv4(offset: u16, more: bool, id: u16) -> Packet {
    Packet::new().ipv4(STRANGER[0], HOST[0]).fragment(offset, more, id)
}

fn ipv6(offset: u16, more: bool, id: u32) -> Packet {
    Packet::new().ipv6(STRANGER[1], HOST[1]).extension(Extension::Fragment { offset, more, id })
}

#[test]
fn a_first_fragment_is_judged_by_its_ports() {
    let judge = Judge::new();
    judge.passes(
        "rule",
        &[
            ipv4(0, true, 1).udp(40_000, 161).udp_length(2000).payload(&[0; 64]),
            ipv6(0, true, 1).udp(40_000, 161).udp_length(2000).payload(&[0; 64]),
            ipv4(0, true, 2).tcp(40_000, 143).payload(&[0; 64]),
        ],
    );
    judge.drops(
        "no-rule",
        &[
            ipv4(0, true, 3).udp(40_000, 162).udp_length(2000).payload(&[0; 64]),
            ipv6(0, true, 3).udp(40_000, 162).udp_length(2000).payload(&[0; 64]),
        ],
    );
}

#[test]
fn later_fragments_follow_a_permitted_first() {
    let judge = Judge::new();
    judge.passes(
        "rule",
        &[
            ipv4(0, true, 11).udp(40_000, 161).udp_length(200).payload(&[0; 64]),
            ipv6(0, true, 11).udp(40_000, 161).udp_length(200).payload(&[0; 64]),
        ],
    );
    judge.passes(
        "fragment",
        &[
            ipv4(9, true, 11).raw(protocol::UDP, &[0; 64]),
            ipv4(17, false, 11).raw(protocol::UDP, &[0; 56]),
            ipv6(9, true, 11).raw(protocol::UDP, &[0; 64]),
            ipv6(17, false, 11).raw(protocol::UDP, &[0; 56]),
        ],
    );
}

#[test]
fn a_later_fragment_without_a_permitted_first_is_dropped() {
    let judge = Judge::new();
    judge.drops(
        "fragment",
        &[
            ipv4(9, true, 21).raw(protocol::UDP, &[0; 64]),
            ipv4(9, false, 21).raw(protocol::TCP, &[0; 64]),
            ipv6(9, true, 21).raw(protocol::UDP, &[0; 64]),
            ipv6(9, false, 21).raw(protocol::TCP, &[0; 64]),
        ],
    );
}

#[test]
fn another_datagram_does_not_follow_it() {
    let judge = Judge::new();
    judge.passes("rule", &[ipv4(0, true, 31).udp(40_000, 161).udp_length(200).payload(&[0; 64])]);
    judge.drops(
        "fragment",
        &[
            // Another identification, another protocol, another source.
            ipv4(9, false, 32).raw(protocol::UDP, &[0; 64]),
            ipv4(9, false, 31).raw(protocol::TCP, &[0; 64]),
            Packet::new().ipv4("198.18.0.77", HOST[0]).fragment(9, false, 31).raw(protocol::UDP, &[0; 64]),
        ],
    );
}

#[test]
fn a_first_fragment_without_its_ports_is_tiny() {
    let judge = Judge::new();
    let tiny = |bytes: usize| {
        [ipv4(0, true, 41).raw(protocol::TCP, &vec![0; bytes]), ipv6(0, true, 41).raw(protocol::TCP, &vec![0; bytes])]
    };
    judge.drops("tiny-fragment", &(0..20).flat_map(tiny).collect::<Vec<_>>());
    let tiny = |bytes: usize| {
        [ipv4(0, true, 42).raw(protocol::UDP, &vec![0; bytes]), ipv6(0, true, 42).raw(protocol::UDP, &vec![0; bytes])]
    };
    judge.drops("tiny-fragment", &(0..8).flat_map(tiny).collect::<Vec<_>>());
}

#[test]
fn a_tcp_fragment_that_could_overwrite_the_flags_is_tiny() {
    let judge = Judge::new();
    judge.drops(
        "tiny-fragment",
        &[ipv4(1, true, 51).raw(protocol::TCP, &[0; 64]), ipv6(1, false, 51).raw(protocol::TCP, &[0; 64])],
    );
}

#[test]
fn dont_fragment_is_no_fragment() {
    let judge = Judge::new();
    let mut frame = Packet::new().ipv4(STRANGER[0], HOST[0]).tcp(40_000, 143).build();
    frame[14 + 6] = 0x40;
    let outcome = judge.protected.inbound().judge(&frame);
    assert_eq!(outcome, harness::program::Outcome::Passed);
}
