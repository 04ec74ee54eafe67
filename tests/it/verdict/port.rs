//! Destination port and protocol: what the role lists passes, to whom it lists it, and everything else is dropped.

use harness::packet::tcp;

use super::{Judge, MEMBER, both, from_member, from_stranger};

#[test]
fn a_listed_port_is_open_to_anybody() {
    let judge = Judge::new();
    for port in [25, 143, 5000, 7443] {
        judge.passes("rule", &both(from_stranger(), |packet| packet.tcp(40_000, port)));
    }
    for port in [161, 16384] {
        judge.passes("rule", &both(from_stranger(), |packet| packet.udp(40_000, port)));
    }
}

#[test]
fn a_port_that_is_not_listed_is_dropped() {
    let judge = Judge::new();
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.tcp(40_000, 23)));
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.udp(40_000, 4444)));
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.tcp(40_000, 0)));
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.tcp(40_000, 65535)));
}

#[test]
fn tcp_udp_and_sctp_are_told_apart() {
    let judge = Judge::new();
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.udp(40_000, 143)));
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.tcp(40_000, 161)));
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.sctp(40_000, 143)));
}

#[test]
fn a_range_ends_where_it_is_printed_to_end() {
    let judge = Judge::new();
    for port in [21000, 21001, 21512] {
        judge.passes("rule", &both(from_stranger(), |packet| packet.tcp(40_000, port)));
    }
    for port in [20999, 21513] {
        judge.drops("no-rule", &both(from_stranger(), |packet| packet.tcp(40_000, port)));
    }
}

#[test]
fn a_cluster_port_is_open_to_members_only() {
    let judge = Judge::new();
    judge.passes("rule", &both(from_member(), |packet| packet.tcp(40_000, 1502)));
    judge.drops("peer", &both(from_stranger(), |packet| packet.tcp(40_000, 1502)));
    judge.passes("rule", &both(from_member(), |packet| packet.udp(40_000, 22001)));
    judge.drops("peer", &both(from_stranger(), |packet| packet.udp(40_000, 22001)));
}

#[test]
fn an_open_service_is_for_its_users_only_once_they_are_bound() {
    let judge = Judge::new();
    let web = |packet: harness::packet::Packet| packet.tcp(40_000, 443);
    judge.passes("rule", &both(from_member(), web));
    judge.passes("rule", &both(from_stranger(), web));
    let users = format!("client-workstations={},{}", MEMBER[0], MEMBER[1]);
    judge.protected.apply_again(&["--role", "unity-connection", "--peer", &users, "--hook", "native"]);
    judge.passes("rule", &both(from_member(), web));
    judge.drops("peer", &both(from_stranger(), web));
}

#[test]
fn an_internal_port_is_closed_to_members_too() {
    let judge = Judge::new();
    judge.drops("internal", &both(from_stranger(), |packet| packet.tcp(40_000, 8005)));
    judge.drops("internal", &both(from_member(), |packet| packet.tcp(40_000, 8005)));
}

#[test]
fn the_source_port_does_not_matter() {
    let judge = Judge::new();
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.tcp(143, 23)));
    judge.drops("no-rule", &both(from_stranger(), |packet| packet.udp(161, 4444)));
}

#[test]
fn what_is_no_answer_is_judged_by_its_port_whatever_its_flags() {
    let judge = Judge::new();
    for flags in [0, tcp::ACK, tcp::SYN | tcp::ACK, tcp::RST, tcp::FIN | tcp::PSH, 0xff] {
        judge.drops("no-rule", &both(from_stranger(), |packet| packet.tcp(40_000, 23).flags(flags)));
        judge.passes("rule", &both(from_stranger(), |packet| packet.tcp(40_000, 143).flags(flags)));
    }
}

#[test]
fn a_rule_counts_what_it_permits() {
    let judge = Judge::new();
    let frames = both(from_stranger(), |packet| packet.tcp(40_000, 143));
    let program = judge.protected.inbound();
    let (_, counted) = judge.protected.counted(|| {
        frames.iter().for_each(|frame| {
            let _ = program.judge(&frame.build());
        });
    });
    assert_eq!(counted.of_name("inbound rule unity-connection/imap"), 2, "{counted:?}");
}
