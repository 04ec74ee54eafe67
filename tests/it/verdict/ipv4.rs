//! The IPv4 header: options are skipped by its length, and what contradicts itself is dropped.

use harness::packet::Packet;

use super::{HOST, Judge, STRANGER};

fn packet() -> Packet {
    Packet::new().ipv4(STRANGER[0], HOST[0])
}

#[test]
fn options_do_not_move_the_port() {
    let judge = Judge::new();
    let with = |port: u16| (0..=10).map(|words| packet().options(words).tcp(40_000, port)).collect::<Vec<_>>();
    judge.passes("rule", &with(143));
    judge.drops("no-rule", &with(23));
    let with = |port: u16| (0..=10).map(|words| packet().options(words).udp(40_000, port)).collect::<Vec<_>>();
    judge.passes("rule", &with(161));
    judge.drops("no-rule", &with(162));
}

#[test]
fn options_that_look_like_ports_are_not_read_as_ports() {
    let judge = Judge::new();
    // The bytes where the ports would stand without options say 143; the real port is 23.
    let mut frame = packet().options(2).tcp(40_000, 23).build();
    frame[14 + 20..14 + 28].copy_from_slice(&[0x9c, 0x40, 0x00, 0x8f, 0x9c, 0x40, 0x00, 0x8f]);
    let program = judge.protected.inbound();
    assert_eq!(program.judge(&frame), harness::program::Outcome::Dropped);
}

#[test]
fn a_wrong_version_is_malformed() {
    let judge = Judge::new();
    let frames: Vec<_> =
        (0..16).filter(|version| *version != 4).map(|version| packet().version(version).tcp(40_000, 143)).collect();
    judge.drops("malformed", &frames);
}

#[test]
fn a_header_length_below_five_words_is_malformed() {
    let judge = Judge::new();
    let frames: Vec<_> = (0..5).map(|words| packet().ihl(words).tcp(40_000, 143)).collect();
    judge.drops("malformed", &frames);
}

#[test]
fn a_header_longer_than_the_packet_is_malformed() {
    let judge = Judge::new();
    // A TCP header of 20 bytes: from 11 words on, not even the IP header fits.
    let frames: Vec<_> = (6..=15).map(|words| packet().ihl(words).tcp(40_000, 143)).collect();
    judge.drops("malformed", &frames);
}

#[test]
fn a_total_length_that_does_not_fit_is_malformed() {
    let judge = Judge::new();
    let frames: Vec<_> =
        (0..40).chain([41, 100, 1500, 65535]).map(|length| packet().total_length(length).tcp(40_000, 143)).collect();
    judge.drops("malformed", &frames);
}

#[test]
fn padding_of_the_link_is_no_part_of_the_packet() {
    let judge = Judge::new();
    let padded = packet().total_length(40).tcp(40_000, 143).payload(&[0; 6]);
    judge.passes("rule", &[padded]);
    // A UDP header that lies in the padding only.
    let hidden = packet().total_length(20).udp(40_000, 161).payload(&[0; 18]);
    judge.drops("malformed", &[hidden]);
}

#[test]
fn checksums_are_not_judged() {
    let judge = Judge::new();
    judge.passes("rule", &[packet().checksum(0xdead).tcp(40_000, 143)]);
}

#[test]
fn a_tcp_header_that_contradicts_itself_is_malformed() {
    let judge = Judge::new();
    let frames: Vec<_> =
        (0..16).filter(|words| *words != 5).map(|words| packet().tcp(40_000, 143).data_offset(words)).collect();
    judge.drops("malformed", &frames);
}

#[test]
fn a_udp_length_that_does_not_fit_is_malformed() {
    let judge = Judge::new();
    let frames: Vec<_> =
        (0..8).chain([13, 65535]).map(|length| packet().udp(40_000, 161).udp_length(length).payload(b"four")).collect();
    judge.drops("malformed", &frames);
    judge.passes("rule", &[packet().udp(40_000, 161).payload(b"four")]);
}
