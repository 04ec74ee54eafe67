//! A host may have thousands of addresses; more than can be told apart are refused with their number.

use std::fmt::Write as _;
use std::slice::from_ref;

use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;

use super::{ENFORCE, pins_of};

/// Addresses that a program tells from those of others, as `dataplane/load/own.rs` says.
const MOST: u32 = 16_384;

/// Gives the near end so many addresses more.
fn add(cable: &Cable, numbers: std::ops::Range<u32>) {
    let near = &cable.near.interface;
    let lines = numbers.fold(String::new(), |mut lines, number| {
        // Writing into memory does not fail.
        let _ = writeln!(lines, "addr add 10.77.{}.{}/32 dev {near}", number >> 8, number & 255);
        lines
    });
    cable.host.batch(&lines);
}

#[test]
fn a_host_with_thousands_of_addresses_knows_all_of_them() {
    let cable = Cable::new();
    add(&cable, 0..4300);
    let protected = Protected::apply_on(cable, ENFORCE);
    for ours in ["10.77.0.0", "10.77.16.203"] {
        let spoofed = Packet::new().ipv4(ours, "198.18.0.1").tcp(40_000, 443);
        protected.expect(Outcome::Dropped, "martian", from_ref(&spoofed));
    }
    let theirs = Packet::new().ipv4("10.77.16.204", "198.18.0.1").tcp(40_000, 4444);
    protected.expect(Outcome::Dropped, "no-rule", from_ref(&theirs));
}

#[test]
fn more_addresses_than_can_be_told_apart_are_refused_with_their_number() {
    let cable = Cable::new();
    add(&cable, 0..MOST);
    let protected = Protected { cable };
    let near = protected.cable.near.interface.clone();
    let mut line = vec!["apply", "--interface", &near];
    line.extend(ENFORCE);
    let ran = protected.run(&line).expect_code(3);
    assert!(ran.stderr.contains(&format!("no more than {MOST}")), "{}", ran.stderr);
    assert_eq!(pins_of(&near), Vec::<std::path::PathBuf>::new());
}
