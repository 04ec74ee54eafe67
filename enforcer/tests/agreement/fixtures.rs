//! The named ugly packets: the decision code and the plain reading both say of them what is expected.

use std::net::Ipv4Addr;

use enforcer::fixtures::{HOST, HOST6, SITE, STRANGER, STRANGER6, ugly};
use enforcer::judge::frame::{self, IPV4, IPV6, OUR_MAC, V4, ethernet};
use enforcer::judge::host::Host;
use enforcer::judge::reference::Reference;
use enforcer::judge::tables::HostTables;
use enforcer::policy::claims::{Claims, Mac};
use enforcer::policy::ruleset::{FlowSettings, Ruleset};
use enforcer_common::frame::{Bytes, Outer};
use enforcer_common::{Direction, Mode, Reason};

#[test]
fn every_ugly_packet_meets_its_fate_in_either_mode() {
    let ruleset = ruleset();
    let host = Host::with_addresses([HOST.into(), HOST6.into()]);
    for mode in [Mode::Audit, Mode::Enforce] {
        for fixture in ugly() {
            let tables = HostTables::new(&ruleset, &host);
            let mut reference = Reference::new(&ruleset, &host);
            for direction in Direction::ALL {
                tables.set_mode(direction, mode);
                reference.set_mode(direction, mode);
            }
            for (number, packet) in fixture.packets.iter().enumerate() {
                let frame = Bytes::new(&packet.frame);
                let place = format!("{} ({mode:?}), packet {}: {:02x?}", fixture.name, number + 1, packet.frame);
                let decided = tables.judge(packet.direction, &frame);
                assert_eq!(decided.outcome.reason(), packet.reason, "decided: {place}");
                assert_eq!(reference.judge(packet.direction, frame).reason, packet.reason, "read: {place}");
                assert_eq!(decided.goes_on(), decided.outcome.passes() || mode == Mode::Audit, "{place}");
            }
        }
    }
}

#[test]
fn the_names_of_the_fixtures_tell_them_apart() {
    let mut names: Vec<String> = ugly().into_iter().map(|fixture| fixture.name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// Random packets tell it only where a policy answers from any port.
#[test]
fn what_is_sent_to_many_makes_no_flow() {
    let ruleset = ruleset();
    let host = Host::with_addresses([HOST.into(), HOST6.into()]);
    for (last, flows) in [([192, 0, 2, 9], 1), ([224, 0, 0, 251], 0), ([255; 4], 0)] {
        let tables = HostTables::new(&ruleset, &host);
        let judgement = tables.judge(Direction::Outbound, &Bytes::new(&question(last)));
        assert!(judgement.goes_on());
        assert_eq!(tables.flows(), flows, "to {last:?}");
    }
}

/// Random packets hardly ever tell it: the peer has to be heard in time, and the host has to be silent for longer than the timeout.
#[test]
fn what_comes_in_does_not_prolong_a_connection() {
    let mut ruleset = ruleset();
    // Longer than the timeout, as it is for a connection that is closing.
    ruleset.settings.flows = FlowSettings { tcp: 20, one_way: 50, ..ruleset.settings.flows };
    let host = Host::with_addresses([HOST.into(), HOST6.into()]);
    let (tables, mut reference) = (HostTables::new(&ruleset, &host), Reference::new(&ruleset, &host));
    let segment = |from: Ipv4Addr, to: Ipv4Addr, ports: (u16, u16), flags| {
        ethernet(OUR_MAC, &[], IPV4, &V4::new(from, to, 6).build(&frame::tcp(ports.0, ports.1, flags)))
    };
    let question = segment(HOST, STRANGER, (40_000, 9000), 0x02);
    let answer = segment(STRANGER, HOST, (9000, 40_000), 0x10);
    tables.set_mode(Direction::Inbound, Mode::Enforce);
    reference.set_mode(Direction::Inbound, Mode::Enforce);
    for (seconds, direction, bytes, reason) in [
        (1000, Direction::Outbound, &question, Reason::Open),
        (1015, Direction::Inbound, &answer, Reason::Flow),
        (1025, Direction::Inbound, &answer, Reason::NoRule),
    ] {
        tables.set_time(seconds * 1000);
        reference.set_time(seconds * 1000);
        let frame = Bytes::new(bytes);
        assert_eq!(tables.judge(direction, &frame).outcome.reason(), reason, "decided after {seconds} s");
        assert_eq!(reference.judge(direction, frame).reason, reason, "read after {seconds} s");
    }
}

/// Random packets hardly ever tell it: what the host sends has to come late enough to be no answer for sure, and what it asks has to be
/// answered later still.
#[test]
fn what_a_rule_in_audit_refuses_stays_in_doubt_on_a_host_that_enforces() {
    let ruleset = compiled(&format!("{SITE}  - {{name: probing, protocol: udp, ports: [4000], mode: audit}}\n"));
    let host = Host::with_addresses([HOST.into(), HOST6.into()]);
    let (tables, mut reference) = (HostTables::new(&ruleset, &host), Reference::new(&ruleset, &host));
    let datagram = |from: Ipv4Addr, to: Ipv4Addr, ports: (u16, u16)| {
        ethernet(OUR_MAC, &[], IPV4, &V4::new(from, to, 17).build(&frame::udp(ports.0, ports.1, b"hello")))
    };
    let theirs = datagram(STRANGER, HOST, (9000, 4000));
    let ours = datagram(HOST, STRANGER, (4000, 9000));
    tables.set_mode(Direction::Inbound, Mode::Enforce);
    reference.set_mode(Direction::Inbound, Mode::Enforce);
    for (milliseconds, direction, bytes, reason) in [
        (1_000_000, Direction::Inbound, &theirs, Reason::Denied),
        (1_000_400, Direction::Outbound, &ours, Reason::Open),
        (1_000_500, Direction::Inbound, &theirs, Reason::Flow),
        (1_004_000, Direction::Inbound, &theirs, Reason::Denied),
    ] {
        tables.set_time(milliseconds);
        reference.set_time(milliseconds);
        let frame = Bytes::new(bytes);
        assert_eq!(tables.judge(direction, &frame).outcome.reason(), reason, "decided at {milliseconds}");
        assert_eq!(reference.judge(direction, frame).reason, reason, "read at {milliseconds}");
    }
}

/// Random packets tell it once in some millions.
#[test]
fn a_spoofed_fragment_does_not_stop_the_datagram_of_this_host() {
    let ruleset = compiled(&format!("{SITE}outbound: role\n"));
    let host = Host::with_addresses([HOST.into(), HOST6.into()]);
    let tables = HostTables::new(&ruleset, &host);
    let mut reference = Reference::new(&ruleset, &host);
    let part = |offset, more| {
        let header = V4 { id: 7, offset, more, ..V4::new(HOST, STRANGER, 6) };
        ethernet(OUR_MAC, &[], IPV4, &header.build(&frame::tcp(443, 40_000, 0x10)))
    };
    for (direction, frame, reason) in [
        (Direction::Outbound, part(0, true), Reason::Rule),
        (Direction::Inbound, part(0, true), Reason::Martian),
        (Direction::Outbound, part(3, false), Reason::FragmentPass),
    ] {
        let frame = Bytes::new(&frame);
        assert_eq!(tables.judge(direction, &frame).outcome.reason(), reason, "decided");
        assert_eq!(reference.judge(direction, frame).reason, reason, "read");
    }
}

#[test]
fn what_never_came_from_the_wire_is_not_judged_on_its_way_to_this_host() {
    let peer = [10, 1, 0, 5];
    let from = |octets: [u8; 4]| Outer { family: 4, remote: [0, 0, 0, u32::from_ne_bytes(octets)] };
    let esp = "  - {name: ipsec, protocol: esp, from: [monitoring]}\n";
    let udp = "  - {name: nat-traversal, protocol: udp, ports: [4500], from: [10.1.0.5]}\n";
    let refused = ethernet(OUR_MAC, &[], IPV4, &V4::new(STRANGER, HOST, 6).build(&frame::tcp(40_000, 4444, 2)));
    let permitted = ethernet(OUR_MAC, &[], IPV4, &V4::new(STRANGER, HOST, 6).build(&frame::tcp(40_000, 443, 2)));
    // Without a link header the source would be read as an ethertype: this one is IPv4's.
    let looped = V4::new([8, 0, 0, 1].into(), [239, 1, 2, 3].into(), 17).build(&frame::udp(40_000, 5000, b"hello"));
    let plain = Bytes::new(&refused);
    let decrypted = |octets| Bytes { decrypted_from: Some(from(octets)), ..plain };
    for (rules, guest, frame, reason) in [
        (esp, false, decrypted(peer), Reason::Decrypted),
        (udp, false, decrypted(peer), Reason::Decrypted),
        (esp, false, decrypted([10, 9, 0, 5]), Reason::NoRule),
        ("", false, decrypted(peer), Reason::NoRule),
        (esp, true, decrypted(peer), Reason::NoRule),
        (esp, false, Bytes { bytes: &permitted, ..decrypted(peer) }, Reason::Rule),
        ("", false, Bytes { is_looped: true, ..Bytes::new(&looped) }, Reason::Loopback),
        ("", true, Bytes { is_looped: true, ..plain }, Reason::NoRule),
    ] {
        let ruleset = compiled(&SITE.replace("deny:\n", &format!("{rules}deny:\n")));
        let host = Host { guest, ..Host::with_addresses([HOST.into(), HOST6.into()]) };
        let (tables, mut reference) = (HostTables::new(&ruleset, &host), Reference::new(&ruleset, &host));
        assert_eq!(tables.judge(Direction::Inbound, &frame).outcome.reason(), reason, "decided: {rules}{guest}");
        assert_eq!(reference.judge(Direction::Inbound, frame).reason, reason, "read: {rules}{guest}");
    }
}

#[test]
fn a_guest_that_is_no_switch_sends_nothing_to_all_bridges() {
    let ruleset = ruleset();
    let (bridges, bridges_of_cisco) = ([1, 0x80, 0xc2, 0, 0, 0], [1, 0, 0x0c, 0xcc, 0xcc, 0xcd]);
    let llc = |to, header: &[u8]| ethernet(to, &[], 38, &[header, &[0; 38][..]].concat());
    let per_vlan = [0xaa, 0xaa, 3, 0, 0, 0x0c, 1, 0x0b];
    for (frame, is_switch, reason) in [
        (llc(bridges, &[0x42, 0x42, 3]), false, Reason::Spoofed),
        (llc(bridges, &[0x10, 0x10, 3]), false, Reason::Spoofed),
        (llc(bridges_of_cisco, &per_vlan), false, Reason::Spoofed),
        (llc(OUR_MAC, &[0x42, 0x42, 3]), false, Reason::Spoofed),
        (llc(OUR_MAC, &[0x10, 0x10, 3]), false, Reason::Open),
        (llc(bridges_of_cisco, &per_vlan), true, Reason::Open),
        (llc(bridges, &[0x42, 0x42, 3]), true, Reason::Open),
    ] {
        let claims = Claims { router: is_switch, ..Claims::default() };
        let host = Host { guest: true, claims, ..Host::default() };
        let (tables, mut reference) = (HostTables::new(&ruleset, &host), Reference::new(&ruleset, &host));
        let frame = Bytes::new(&frame);
        assert_eq!(tables.judge(Direction::Outbound, &frame).outcome.reason(), reason, "decided: {frame:02x?}");
        assert_eq!(reference.judge(Direction::Outbound, frame).reason, reason, "read: {frame:02x?}");
    }
}

/// Random packets have a second option of the right kind once in some thousands.
#[test]
fn a_link_layer_address_that_is_not_the_guests_is_found_behind_one_that_is() {
    let ruleset = ruleset();
    let option = |last| [2, 1, 2, 0, 0, 0, 0, last];
    let advertisement = |options: &[[u8; 8]]| {
        let body = [frame::icmp(136, 0), HOST6.octets().to_vec(), options.concat()].concat();
        ethernet(OUR_MAC, &[], IPV6, &frame::ipv6(HOST6, STRANGER6, 255, &[], 58, &body))
    };
    let claims = Claims { mac: Mac::parse("02:00:00:00:00:02"), ..Claims::default() };
    let host = Host { guest: true, claims, ..Host::default() };
    for (frame, reason) in [
        (advertisement(&[]), Reason::Open),
        (advertisement(&[option(2), option(2)]), Reason::Open),
        (advertisement(&[option(9)]), Reason::Spoofed),
        (advertisement(&[option(2), option(9)]), Reason::Spoofed),
    ] {
        let (tables, mut reference) = (HostTables::new(&ruleset, &host), Reference::new(&ruleset, &host));
        let frame = Bytes::new(&frame);
        assert_eq!(tables.judge(Direction::Outbound, &frame).outcome.reason(), reason, "decided: {frame:02x?}");
        assert_eq!(reference.judge(Direction::Outbound, frame).reason, reason, "read: {frame:02x?}");
    }
}

/// A UDP datagram to this address.
fn question(to: [u8; 4]) -> Vec<u8> {
    let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let ipv4 = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    let udp = [0x9c, 0x40, 0x14, 0xe9, 0, 8, 0, 0];
    [&ethernet[..], &ipv4, &HOST.octets(), &to, &udp].concat()
}

fn ruleset() -> Ruleset {
    compiled(SITE)
}

fn compiled(site: &str) -> Ruleset {
    let catalogue = enforcer::policy::catalogue::embedded().expect("the catalogue");
    let text = enforcer::text::diagnostic::Text::new("fixtures", site);
    let site = enforcer::policy::site::read(text, catalogue).unwrap_or_else(|error| panic!("{error}"));
    enforcer::policy::compile::compile(&site, catalogue, jiff::civil::date(2026, 8, 1)).expect("it compiles").ruleset
}
