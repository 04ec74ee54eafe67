//! IPv6 extension headers: up to eight are walked, each by its own length, and the port behind them is judged.

use harness::packet::{Extension, Packet};

use super::{HOST, Judge, STRANGER};

fn packet() -> Packet {
    Packet::new().ipv6(STRANGER[1], HOST[1])
}

fn chain(extensions: &[Extension]) -> Packet {
    extensions.iter().cloned().fold(packet(), Packet::extension)
}

fn destination(words: u8) -> Extension {
    Extension::Destination { words }
}

fn each_kind() -> Vec<Extension> {
    vec![
        Extension::HopByHop { words: 0 },
        Extension::HopByHop { words: 3 },
        destination(0),
        destination(7),
        // Segment routing (RFC 8754) and the type of mobile nodes (RFC 6275).
        Extension::Routing { kind: 4, segments: 0, words: 2 },
        Extension::Routing { kind: 2, segments: 1, words: 2 },
        Extension::Authentication { length: 1 },
        Extension::Authentication { length: 4 },
        Extension::Mobility { words: 1 },
        // An atomic fragment (RFC 6946) is a whole packet.
        Extension::Fragment { offset: 0, more: false, id: 7 },
    ]
}

#[test]
fn an_extension_header_of_any_kind_is_stepped_over() {
    let judge = Judge::new();
    let with = |port| each_kind().into_iter().map(|one| packet().extension(one).tcp(40_000, port)).collect::<Vec<_>>();
    judge.passes("rule", &with(143));
    judge.drops("no-rule", &with(23));
}

#[test]
fn headers_of_different_kinds_are_stepped_over_in_a_row() {
    let judge = Judge::new();
    let all = [
        Extension::HopByHop { words: 1 },
        destination(2),
        Extension::Routing { kind: 4, segments: 0, words: 4 },
        Extension::Authentication { length: 5 },
        Extension::Fragment { offset: 0, more: false, id: 7 },
        destination(0),
        Extension::Mobility { words: 0 },
    ];
    judge.passes("rule", &[chain(&all).udp(40_000, 161)]);
    judge.drops("no-rule", &[chain(&all).udp(40_000, 162)]);
}

#[test]
fn eight_extension_headers_are_walked_and_a_ninth_is_too_many() {
    let judge = Judge::new();
    let many = |number: usize| chain(&vec![destination(0); number]).tcp(40_000, 143);
    judge.passes("rule", &(0..=8).map(many).collect::<Vec<_>>());
    judge.drops("extension-headers", &[many(9), many(12)]);
}

#[test]
fn a_long_extension_header_is_stepped_over() {
    let judge = Judge::new();
    // 1024 bytes, and still within a frame of 1500.
    judge.passes("rule", &[chain(&[destination(127)]).tcp(40_000, 143)]);
    judge.drops("no-rule", &[chain(&[destination(127)]).tcp(40_000, 23)]);
}

#[test]
fn routing_type_zero_is_dropped() {
    let judge = Judge::new();
    let zero = Extension::Routing { kind: 0, segments: 1, words: 2 };
    judge.drops(
        "routing-header",
        &[packet().extension(zero.clone()).tcp(40_000, 143), chain(&[destination(0), zero]).tcp(40_000, 143)],
    );
}

#[test]
fn a_wrong_version_is_malformed() {
    let judge = Judge::new();
    let wrong = (0..16).filter(|version| *version != 6);
    judge.drops("malformed", &wrong.map(|version| packet().version(version).tcp(40_000, 143)).collect::<Vec<_>>());
}

#[test]
fn a_payload_length_that_does_not_fit_is_malformed() {
    let judge = Judge::new();
    let lengths = (0..20).chain([21, 1500, 65535]);
    judge.drops(
        "malformed",
        &lengths.map(|length| packet().payload_length(length).tcp(40_000, 143)).collect::<Vec<_>>(),
    );
}

#[test]
fn an_extension_header_that_is_longer_than_the_packet_is_malformed() {
    let judge = Judge::new();
    let too_long = Extension::Other { number: 60, bytes: vec![0, 200, 0, 0, 0, 0, 0, 0] };
    judge.drops("malformed", &[packet().extension(too_long).tcp(40_000, 143)]);
}

#[test]
fn no_next_header_and_unknown_ones_are_dropped_as_protocols() {
    let judge = Judge::new();
    judge.drops("protocol", &[packet().raw(59, &[0; 8]), packet().raw(253, &[0; 8]), packet().raw(4, &[0; 40])]);
}
