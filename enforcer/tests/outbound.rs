//! Outbound rules: from what the documents print on either side of a row.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::net::IpAddr;

use enforcer::policy::catalogue::{embedded, format_ranges};
use enforcer::policy::compile::compile;
use enforcer::policy::ruleset::{Match, Ruleset};
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use enforcer_common::{Direction, Entry, EntryKind, ServiceIndex};
use expect_test::{Expect, expect};
use jiff::civil::date;

/// Side and instance of the router are those of its formulas; both sides are called.
#[test]
fn a_gateway_reaches_both_sides_of_its_router() {
    let site = "interfaces: [eth0]\noutbound: role\nroles: [{role: cce-pg, side: a, instance: 2}]\npeers: {cce-routers: [10.5.1.0/30]}\n";
    check(
        site,
        "cce-router/",
        &expect![[r#"
        cce-router/dmp-a tcp:40082-40083,40097 to cce-routers
        cce-router/dmp-a udp:39500-39999 to cce-routers
        cce-router/dmp-b tcp:41082-41083,41097 to cce-routers
        cce-router/dmp-b udp:39500-39999 to cce-routers
    "#]],
    );
    let ruleset = ruleset(site);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(40082), "10.5.1.1"), EntryKind::Permit);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(41082), "10.5.1.2"), EntryKind::Permit);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(40082), "10.5.9.9"), EntryKind::Peer);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(40002), "10.5.1.1"), EntryKind::None);
}

/// Rows that a host shares with its own kind are printed once, on the listener.
#[test]
fn a_router_reaches_the_other_side() {
    let site = "interfaces: [eth0]\noutbound: role\nroles: [{role: cce-router, side: a, instance: 1}]\n";
    check(
        site,
        "cce-router/mds-private",
        &expect![[r#"
        cce-router/mds-private tcp:41044-41045,41056,41060-41062,41072-41073 to any
        cce-router/mds-private udp:39500-39999 to any
    "#]],
    );
}

#[test]
fn a_connection_prints_its_own_ports() {
    let site = "interfaces: [eth0]\noutbound: role\nroles: [{role: finesse, cti_port_a: 42107}]\npeers: {cce-cti-servers: [10.5.2.1]}\n";
    check(
        site,
        "finesse/",
        &expect![[r#"
        finesse/awdb tcp:1433 to any
        finesse/cti-a tcp:42107 to cce-cti-servers
        finesse/cti-b tcp:43027 to cce-cti-servers
        finesse/gadgets-http tcp:80,8082 to any
        finesse/gadgets-https tcp:443,8445 to any
        finesse/xmpp-nodes tcp:5222 to any
    "#]],
    );
}

#[test]
fn a_cluster_without_addresses_is_reached_by_nobody_and_an_unbound_open_peer_by_anybody() {
    let site = "interfaces: [eth0]\noutbound: role\nroles: [unity-connection]\n";
    let ruleset = ruleset(site);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(20500), "10.1.1.10"), EntryKind::Peer);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(25), "10.1.1.10"), EntryKind::Permit);
    let bound =
        format!("{site}peers: {{cluster: [10.1.1.10], mail-servers: [10.4.1.25], digital-networking: [10.4.1.26]}}\n");
    let ruleset = self::ruleset(&bound);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(20500), "10.1.1.10"), EntryKind::Permit);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(20500), "10.1.1.11"), EntryKind::Peer);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(25), "10.1.1.10"), EntryKind::Peer);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(25), "10.4.1.25"), EntryKind::Permit);
}

/// TFTP answers from another port, whether or not what leaves is judged.
#[test]
fn a_server_that_answers_from_another_port_is_marked() {
    for outbound in ["open", "role"] {
        for (peers, elsewhere) in [("", true), ("peers: {unified-cm: [10.2.1.1]}\n", false)] {
            let ruleset =
                ruleset(&format!("interfaces: [eth0]\noutbound: {outbound}\nroles: [unity-connection]\n{peers}"));
            let entry = |remote: &str| {
                ruleset.entry(Direction::Outbound, ServiceIndex::udp(69), remote.parse::<IpAddr>().unwrap())
            };
            assert!(entry("10.2.1.1").has(Entry::ANSWER_ANY), "{outbound} {peers}");
            assert_eq!(entry("10.9.9.9").has(Entry::ANSWER_ANY), elsewhere, "{outbound} {peers}");
            assert!(
                !ruleset.entry(Direction::Outbound, ServiceIndex::udp(53), [10, 2, 1, 1].into()).has(Entry::ANSWER_ANY)
            );
        }
    }
}

#[test]
fn a_denied_destination_is_not_reached() {
    let ruleset = ruleset(
        "interfaces: [eth0]\noutbound: role\nroles: [unity-connection]\ndeny: [{name: no, direction: out, protocol: tcp, ports: [25], to: [10.4.0.0/16]}]\n",
    );
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(25), "10.4.1.1"), EntryKind::Deny);
    assert_eq!(kind(&ruleset, ServiceIndex::tcp(25), "10.5.1.1"), EntryKind::Permit);
}

fn kind(ruleset: &Ruleset, service: ServiceIndex, remote: &str) -> EntryKind {
    ruleset.entry(Direction::Outbound, service, remote.parse().unwrap()).kind()
}

/// The outbound rules whose id starts so: ports and peers.
fn check(text: &str, prefix: &str, expected: &Expect) {
    let lines = ruleset(text)
        .rules
        .into_iter()
        .filter(|rule| rule.direction == Direction::Outbound && rule.id.starts_with(prefix));
    let lines = lines.map(|rule| {
        let Match::Ports { protocol, ports } = &rule.matches else { panic!("{rule:?}") };
        let peers = rule.peers.map_or("any".to_owned(), |peers| peers.join(", "));
        format!("{} {}:{} to {peers}\n", rule.id, site::protocol_name(*protocol), format_ranges(ports))
    });
    expected.assert_eq(&lines.collect::<String>());
}

fn ruleset(text: &str) -> Ruleset {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|error| panic!("{error}"));
    compile(&site, catalogue, date(2026, 11, 22)).unwrap().ruleset
}
