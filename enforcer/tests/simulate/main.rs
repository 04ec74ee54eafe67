//! `simulate`: every kind of capture, whole and broken, through the real binary and through the reader.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod files;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use enforcer::judge::capture::{End, LinkType, read};
use enforcer::judge::frame::{self, IPV4, IPV6, OUR_MAC, V4, ethernet};
use expect_test::{Expect, expect};
use files::{pcap, pcapng};
use proptest::prelude::*;

const SITE: &str = "\
interfaces: [eth0]
roles: [unity-connection]
peers:
  cluster: [10.1.1.10]
allow:
  - {name: node-exporter, protocol: tcp, ports: [9100]}
";
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SECOND: u64 = 1_000_000_000;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn to_host(last: u8, source: u16, destination: u16, flags: u8) -> Vec<u8> {
    V4::new(Ipv4Addr::new(10, 2, 0, last), HOST, 6).build(&frame::tcp(source, destination, flags))
}

fn from_host(last: u8, source: u16, destination: u16, flags: u8) -> Vec<u8> {
    V4::new(HOST, Ipv4Addr::new(10, 2, 0, last), 6).build(&frame::tcp(source, destination, flags))
}

/// A permitted connection, one of the host, refused ones by peer and without a rule with the host's answer, ARP, ping.
fn packets() -> Vec<Vec<u8>> {
    vec![
        to_host(5, 40_000, 9100, SYN),
        from_host(5, 9100, 40_000, SYN | ACK),
        from_host(6, 50_000, 443, SYN),
        to_host(6, 443, 50_000, SYN | ACK),
        to_host(5, 40_001, 20_500, SYN),
        to_host(7, 40_002, 44_444, SYN),
        from_host(7, 44_444, 40_002, ACK),
        to_host(7, 40_002, 44_444, ACK),
        to_host(8, 40_003, 44_444, SYN),
        V4::new(Ipv4Addr::new(10, 2, 0, 5), HOST, 1).build(&frame::icmp(8, 1)),
    ]
}

fn frames() -> Vec<(u64, usize, Vec<u8>)> {
    let mut frames: Vec<Vec<u8>> = packets().iter().map(|packet| ethernet(OUR_MAC, &[], IPV4, packet)).collect();
    frames.push(ethernet(OUR_MAC, &[], 0x0806, &[0; 28]));
    frames.push(ethernet(OUR_MAC, &[], 0x8864, &[0; 28]));
    let numbered = frames.into_iter().zip(0_u64..);
    numbered.map(|(frame, number)| (number * SECOND, frame.len(), frame)).collect()
}

#[test]
fn refused_and_passed_packets_are_grouped_with_what_would_permit_them() {
    check(
        "ethernet.pcap",
        &pcap(false, false, 1, &frames()),
        &[],
        &expect![[r#"
            note: assuming 10.0.0.1 as the protected host, because it occurs in 10 of 10 packets; `--local ADDRESS` overrides this
            12 packets in 11 s: 7 would pass, 5 would be refused

            REFUSED              PACKETS  REASON     FROM OR TO          FIRST  WHAT WOULD PERMIT IT
            in tcp 44444         3        no-rule    10.2.0.7, 10.2.0.8  #6     an `allow` of the site
            in tcp 20500         1        peer       10.2.0.5            #5     unity-connection/conversation-cluster, if its peers had the address
            in ethertype 0x8864  1        ethertype                      #12    an `allow` of the site

            PASSED               PACKETS  REASON        FROM OR TO                     FIRST  RULE
            out tcp              3        open          10.2.0.5, 10.2.0.6 and 1 more  #2
            in tcp 9100          1        rule          10.2.0.5                       #1     site/node-exporter
            in tcp               1        flow          10.2.0.6                       #4
            in ethertype 0x0806  1        link-control                                 #11
            in icmp type 8       1        echo          10.2.0.5                       #10    site/icmp-echo
        "#]],
    );
}

#[test]
fn the_same_packets_fare_alike_in_every_format() {
    let local = ["--local", "10.0.0.1"];
    let expected = json("e.pcap", &pcap(false, false, 1, &frames()), &local);
    for (name, file) in [
        ("big.pcap", pcap(true, false, 1, &frames())),
        ("nano.pcap", pcap(false, true, 1, &frames())),
        ("nanobig.pcap", pcap(true, true, 1, &frames())),
    ] {
        assert_eq!(json(name, &file, &local), expected, "{name}");
    }
    let blocks: Vec<_> = frames().into_iter().map(|(at, length, data)| (at / 1000, length, data, None)).collect();
    assert_eq!(json("e.pcapng", &pcapng(1, &[], &blocks), &local), expected);

    let ip: Vec<_> = packets().into_iter().zip(0_u64..).map(|(data, at)| (at * SECOND, data.len(), data)).collect();
    let expected = verdicts("raw.pcap", &pcap(false, false, 101, &ip), &local);
    assert_eq!(expected.len(), 6, "{expected:?}");
    let cooked = |before: &dyn Fn(bool) -> Vec<u8>| {
        let with = ip.iter().map(|(at, _, data)| {
            let leaves = data[12..16] == HOST.octets();
            let data = [before(leaves).as_slice(), data].concat();
            (*at, data.len(), data)
        });
        with.collect::<Vec<_>>()
    };
    let sll = cooked(&|leaves| [[0, if leaves { 4 } else { 0 }].as_slice(), &[0; 12], &[8, 0]].concat());
    let sll2 =
        cooked(&|leaves| [[8, 0, 0, 0, 0, 0, 0, 1, 0, 1].as_slice(), &[if leaves { 4 } else { 0 }], &[0; 9]].concat());
    // The header says which way each packet went, so that nothing has to be named.
    assert_eq!(verdicts("sll.pcap", &pcap(false, false, 113, &sll), &[]), expected);
    assert_eq!(verdicts("sll2.pcap", &pcap(false, false, 276, &sll2), &[]), expected);
}

#[test]
fn the_capture_may_say_whose_it_is() {
    let address = [HOST.octets(), [255, 255, 255, 0]].concat();
    let blocks: Vec<_> = frames().into_iter().map(|(at, length, data)| (at / 1000, length, data, None)).collect();
    let (code, out, err) = run("address.pcapng", &pcapng(1, &[(4, address)], &blocks), &[]);
    assert_eq!(code, 0);
    assert!(err.contains("according to the capture, its interface has 10.0.0.1"), "{err}");
    assert!(out.starts_with("12 packets in 11 s: 7 would pass"), "{out}");

    let blocks = packets().into_iter().zip(0_u64..).map(|(data, at)| {
        let flags = if data[12..16] == HOST.octets() { 2 } else { 1 };
        let frame = ethernet(OUR_MAC, &[], IPV4, &data);
        (at, frame.len(), frame, Some(flags))
    });
    let (_, _, err) = run("flags.pcapng", &pcapng(1, &[], &blocks.collect::<Vec<_>>()), &[]);
    assert!(err.contains("packets from 10.0.0.1 left the host"), "{err}");
}

#[test]
fn without_an_address_in_most_packets_the_host_must_be_named() {
    let between = |a: u8, b: u8| {
        let packet = V4::new(Ipv4Addr::new(10, 3, 0, a), Ipv4Addr::new(10, 3, 0, b), 6).build(&frame::tcp(1, 2, SYN));
        (0, packet.len() + 14, ethernet(OUR_MAC, &[], IPV4, &packet))
    };
    let file = pcap(false, false, 1, &[between(1, 2), between(3, 4), between(5, 6)]);
    let (code, out, err) = run("foreign.pcap", &file, &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("name it with `--local ADDRESS`"), "{err}");
    let (code, out, _) = run("foreign.pcap", &file, &["--local", "10.3.0.2"]);
    assert_eq!(code, 0);
    assert!(out.contains("2 packets not judged: between other hosts"), "{out}");
}

#[test]
fn what_was_not_captured_is_no_malformed_packet() {
    let mut cut = frames();
    for (_, _, data) in &mut cut {
        // Ethernet, IPv4 and TCP headers are there, what follows is not.
        data.truncate(54);
    }
    let long: Vec<_> = cut.iter().map(|(at, length, data)| (*at, length + 1000, data.clone())).collect();
    let whole = verdicts("e.pcap", &pcap(false, false, 1, &frames()), &["--local", "10.0.0.1"]);
    let padded: Vec<_> = whole.iter().filter(|line| !line.contains("malformed")).cloned().collect();
    assert_eq!(verdicts("long.pcap", &pcap(false, false, 1, &long), &["--local", "10.0.0.1"]), padded);

    for (_, _, data) in &mut cut {
        // Outbound packets are not judged by this site, so nothing has to be read of them.
        data.truncate(40);
    }
    let (code, out, _) = run("cut.pcap", &pcap(false, false, 1, &cut), &["--local", "10.0.0.1"]);
    assert_eq!(code, 0);
    assert!(out.contains("8 packets not judged: the capture cut them too short"), "{out}");
    assert!(!out.contains("malformed"), "{out}");
}

#[test]
fn a_link_type_that_is_not_understood_is_named() {
    let (code, out, _) = run("wlan.pcap", &pcap(false, false, 105, &frames()), &["--local", "10.0.0.1"]);
    assert_eq!(code, 0);
    assert!(out.contains("12 packets not judged: link type 105 is not understood"), "{out}");
}

#[test]
fn broken_files_say_where_and_print_what_was_read() {
    let whole = pcap(false, false, 1, &frames());
    let local = ["--local", "10.0.0.1"];
    let (code, out, err) = run("short.pcap", &whole[..whole.len() - 10], &local);
    assert_eq!(code, 2);
    assert!(out.starts_with("11 packets"), "{out}");
    check_text(
        &err,
        &expect![[r#"
            error: short.pcap is cut short: the block at byte 770, after packet 11, is incomplete; the output covers the packets before it
        "#]],
    );

    let mut corrupt = whole.clone();
    corrupt[24 + 16 + 54 + 8..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let (code, out, err) = run("corrupt.pcap", &corrupt, &local);
    assert_eq!(code, 2);
    assert!(out.starts_with("1 packet "), "{out}");
    check_text(
        &err,
        &expect![[r#"
            error: corrupt.pcap is corrupt at byte 94, after packet 1: a length field says 4294967295 bytes; the output covers the packets before it
        "#]],
    );

    for (name, file) in [("text", b"roles: [unity-connection]".as_slice()), ("empty", b""), ("tiny", &whole[..10])] {
        let (code, out, err) = run(name, file, &local);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.starts_with("error: "), "{err}");
    }
    let (code, _, err) = run_with(&["simulate", "-", "/nowhere/x.pcap"]);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_file_that_ends_anywhere_is_read_up_to_there() {
    let blocks: Vec<_> = frames().into_iter().map(|(at, length, data)| (at / 1000, length, data, Some(1))).collect();
    for (whole, first) in [(pcap(false, false, 1, &frames()), 24), (pcapng(1, &[], &blocks), 28)] {
        for length in first..=whole.len() {
            let mut seen = 0;
            let (end, _) = read(&whole[..length], |packet| {
                assert_eq!(packet.link, LinkType::Ethernet);
                seen += 1;
            })
            .unwrap();
            match end {
                End::Complete => {}
                End::Truncated { packets, byte } => assert!(packets == seen && byte < length),
                End::Corrupt { .. } => panic!("{end:?} at {length}"),
            }
            assert!(length < whole.len() || end == End::Complete && seen == 12, "{end:?}, {seen} packets");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_corruption_makes_the_reader_fall(at in any::<prop::sample::Index>(), with in any::<[u8; 4]>(), ng in any::<bool>()) {
        let blocks: Vec<_> = frames().into_iter().map(|(at, length, data)| (at, length, data, Some(2))).collect();
        let address = [HOST.octets(), [255, 255, 255, 0]].concat();
        let mut file = if ng { pcapng(1, &[(4, address), (9, vec![6])], &blocks) } else { pcap(true, true, 1, &frames()) };
        let at = at.index(file.len() - 4);
        file[at..at + 4].copy_from_slice(&with);
        let mut packets = 0;
        let _ = read(file.as_slice(), |packet| {
            packets += 1;
            assert!(packet.data.len() <= packet.length);
        });
        prop_assert!(packets <= 1000);
    }
}

#[test]
fn an_ipv6_capture_is_guessed_too() {
    let host = "2001:db8::1".parse().unwrap();
    let packets: Vec<_> = (1..=3_u16)
        .map(|last| {
            let remote = format!("2001:db8:2::{last}").parse().unwrap();
            let frame =
                ethernet(OUR_MAC, &[], IPV6, &frame::ipv6(remote, host, 64, &[], 6, &frame::tcp(last, 9100, SYN)));
            (0, frame.len(), frame)
        })
        .collect();
    let (code, out, err) = run("v6.pcap", &pcap(false, false, 1, &packets), &[]);
    assert_eq!(code, 0);
    assert!(err.contains("assuming 2001:db8::1 as the protected host, because it occurs in 3 of 3 packets"), "{err}");
    assert!(out.starts_with("3 packets in 0 s: 3 would pass"), "{out}");
}

/// Direction, service, verdict and reason of every group, with its packets.
fn verdicts(name: &str, file: &[u8], arguments: &[&str]) -> Vec<String> {
    let report = json(name, file, arguments);
    let groups = report["groups"].as_array().unwrap().iter();
    let mut lines: Vec<String> = groups
        .map(|group| {
            let word = |key: &str| group[key].as_str().unwrap().to_owned();
            format!(
                "{} {} {} {} {}",
                word("direction"),
                word("service"),
                word("verdict"),
                word("reason"),
                group["packets"]
            )
        })
        .filter(|line| !line.contains("ethertype"))
        .collect();
    lines.sort();
    lines
}

fn json(name: &str, file: &[u8], arguments: &[&str]) -> serde_json::Value {
    let (code, out, err) = run(name, file, &[&["--format", "json"], arguments].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn check(name: &str, file: &[u8], arguments: &[&str], expected: &Expect) {
    let (code, out, err) = run(name, file, arguments);
    assert_eq!(code, 0, "{err}");
    check_text(&format!("{err}{out}"), expected);
}

/// The directory of the files is another in every run.
fn check_text(text: &str, expected: &Expect) {
    expected.assert_eq(&text.replace(&format!("{}/", directory().display()), ""));
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn run(name: &str, file: &[u8], arguments: &[&str]) -> (i32, String, String) {
    // Tests run at the same time: each call has files of its own.
    let thread = format!("{:?}", std::thread::current().id());
    let unique: String = thread.chars().filter(char::is_ascii_digit).collect();
    let folder = directory().join(unique);
    std::fs::create_dir_all(&folder).unwrap();
    let (site, capture) = (folder.join("site.yaml"), folder.join(name));
    std::fs::write(&site, SITE).unwrap();
    std::fs::write(&capture, file).unwrap();
    let words = [&["simulate", site.to_str().unwrap(), capture.to_str().unwrap()], arguments].concat();
    let (code, out, err) = run_with(&words);
    (code, out, err.replace(&format!("{}/", folder.display()), ""))
}

fn run_with(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_enforcer")).args(words).env("NO_COLOR", "1").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
