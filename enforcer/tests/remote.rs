//! Derived connections: the host that they lead to decides on which ports, and the peer that means its servers on which hosts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use enforcer::judge::explain::{describe, judge};
use enforcer::judge::tuple::Tuple;
use enforcer::policy::catalogue::{embedded, format_ranges};
use enforcer::policy::compile::{Compiled, compile};
use enforcer::policy::ruleset::{Match, Ruleset};
use enforcer::policy::site::{self, Site};
use enforcer::text::diagnostic::Text;
use enforcer_common::{Direction, EntryKind, ServiceIndex};
use expect_test::{Expect, expect};
use jiff::civil::date;

const HEAD: &str = "interfaces: [eth0]\noutbound: role\nroles: [cuic, live-data]\n";
const ROUTERS: &str = "peers: {cce-routers: [10.5.1.10, 10.5.1.11]}\n";

/// A host without an instance took instance 0, whatever the routers had.
#[test]
fn without_an_instance_of_its_own_a_host_reaches_those_of_every_instance_and_check_says_that_it_is_a_guess() {
    let text = format!("{HEAD}{ROUTERS}");
    let ruleset = ruleset(&text);
    for instance in 0..25 {
        assert_eq!(kind(&ruleset, 40034 + 40 * instance, "10.5.1.10"), EntryKind::Permit, "instance {instance}");
    }
    assert_eq!(kind(&ruleset, 40034 + 40, "10.5.1.99"), EntryKind::Peer);
    warnings(
        &text,
        "cce-router`",
        &expect![[r#"
            3: `cuic` and `live-data` connect to `cce-router`, and the site does not say `instance` and `side` of these hosts: ports for instance 0-24; side a and b are permitted, which is a guess
               say it, an entry for each host that differs: `remote: [{role: cce-router, instance: …, side: …, addresses: [10.5.1.10, 10.5.1.11]}]`
        "#]],
    );
}

/// The instance of another role of this host is a better guess than 0.
#[test]
fn a_role_without_an_instance_takes_that_of_the_other_roles_of_this_host() {
    let text = "interfaces: [eth0]\noutbound: role\nroles: [cce-peripherals, {role: cce-pg, instance: 3, side: a}]\npeers: {cce-routers: [10.5.1.10]}\n";
    rules(
        text,
        "cce-router/dmp-a",
        &expect![[r#"
            cce-router/dmp-a tcp 40122-40123,40137 to cce-routers
            cce-router/dmp-a udp 39500-39999 to cce-routers
        "#]],
    );
}

#[test]
fn what_remote_says_is_no_guess_and_each_entry_is_for_its_own_addresses() {
    let text = format!(
        "{HEAD}remote:\n  - {{role: cce-router, instance: 1, side: a, addresses: [10.5.1.10]}}\n  - {{role: cce-router, instance: 2, side: b, addresses: [10.5.1.20, \"2001:db8::20\"]}}\n  - {{role: cce-router, instance: 3, side: a, addresses: 10.5.1.10}}\n"
    );
    rules(
        &text,
        "cce-router/tip-events",
        &expect![[r#"
            cce-router/tip-events tcp 40074,40154 to 10.5.1.10
            cce-router/tip-events tcp 41114 to 10.5.1.20, 2001:db8::20
        "#]],
    );
    warnings(&text, "cce-router`", &expect![""]);
    let ruleset = ruleset(&text);
    assert_eq!(kind(&ruleset, 40074, "10.5.1.10"), EntryKind::Permit);
    assert_eq!(kind(&ruleset, 41074, "10.5.1.10"), EntryKind::None, "a host of side A has no port of side B");
    assert_eq!(kind(&ruleset, 40074, "10.5.1.20"), EntryKind::Peer, "the port of the other entry");
    assert_eq!(kind(&ruleset, 41114, "2001:db8::20"), EntryKind::Permit);
}

#[test]
fn remote_binds_the_peer_that_means_the_servers_of_its_role() {
    let text = "interfaces: [eth0]\nroles: [{role: cce-pg, instance: 1, side: b}]\npeers: {mine: [cce-pgs], cce-pgs: [10.5.1.22]}\nremote: [{role: cce-pg, instance: 1, side: a, addresses: [10.5.1.21]}]\nallow: [{name: x, protocol: tcp, ports: 1, from: [mine]}]\n";
    let (site, compiled) = compiled(text);
    let peer = |name: &str| site.peers[name].iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(peer("cce-pgs"), "10.5.1.21/32 10.5.1.22/32");
    assert_eq!(peer("mine"), "10.5.1.21/32 10.5.1.22/32");
    let entry = |port, remote: &str| {
        compiled.ruleset.entry(Direction::Inbound, ServiceIndex::tcp(port), remote.parse().unwrap()).kind()
    };
    assert_eq!(entry(43044, "10.5.1.21"), EntryKind::Permit);
    assert_eq!(entry(43044, "10.5.9.9"), EntryKind::Peer);
}

/// Addresses of the peer of which no entry tells keep the guess, and the others are out of it.
#[test]
fn an_address_without_an_entry_keeps_the_guess() {
    let text = format!("{HEAD}{ROUTERS}remote: [{{role: cce-router, instance: 1, side: a, addresses: [10.5.1.10]}}]\n");
    let ruleset = ruleset(&text);
    assert_eq!(kind(&ruleset, 40074, "10.5.1.10"), EntryKind::Permit);
    assert_eq!(kind(&ruleset, 40034, "10.5.1.10"), EntryKind::Peer);
    assert_eq!(kind(&ruleset, 40034, "10.5.1.11"), EntryKind::Permit);
    warnings(
        &text,
        "cce-router`",
        &expect![[r#"
            3: `cuic` and `live-data` connect to `cce-router`, and the site does not say `instance` and `side` of these hosts: ports for instance 0-24; side a and b are permitted, which is a guess
               say it, an entry for each host that differs: `remote: [{role: cce-router, instance: …, side: …, addresses: [10.5.1.11]}]`
        "#]],
    );
}

#[test]
fn an_entry_may_name_peers_and_leave_out_the_side() {
    let text = format!("{HEAD}{ROUTERS}remote: [{{role: cce-router, instance: 1, addresses: [cce-routers]}}]\n");
    rules(
        &text,
        "cce-router/tip-events",
        &expect![[r#"
            cce-router/tip-events tcp 40074,41074 to 10.5.1.10/31
        "#]],
    );
    warnings(
        &text,
        "cce-router`",
        &expect![[r#"
            5: `cuic` and `live-data` connect to `cce-router`, and the site does not say `side` of these hosts: ports for side a and b are permitted, which is a guess
               say it: `remote: [{role: cce-router, instance: 1, side: …, addresses: [10.5.1.10, 10.5.1.11]}]`
        "#]],
    );
}

#[test]
fn base_ports_and_the_number_of_a_gateway_come_from_the_entry() {
    let text = "interfaces: [eth0]\noutbound: role\nroles: [vvb, live-data]\nremote:\n  - {role: cvp-media-server, http_port: 8888, addresses: [10.5.3.1]}\n  - {role: cce-pg, instance: 1, side: b, pg: 2, addresses: [10.5.1.22]}\n";
    rules(
        text,
        "cvp-media-server/",
        &expect![[r#"
            cvp-media-server/media-http tcp 8888 to 10.5.3.1
            cvp-media-server/media-https tcp 443 to 10.5.3.1
        "#]],
    );
    rules(
        text,
        "cce-pg/",
        &expect![[r#"
            cce-pg/tip-events-2 tcp 45074 to 10.5.1.22
            cce-pg/tip-test-other-side-2 tcp 45075 to 10.5.1.22
        "#]],
    );
}

/// They went to the hosts whose processes are clients of a gateway, one of several peers behind which gateways stand.
#[test]
fn connections_to_gateways_bind_the_gateways() {
    let text = "interfaces: [eth0]\noutbound: role\nroles: [{role: cce-pg, instance: 1, side: a}]\npeers: {cce-pgs: [10.5.1.22], cce-pg-mds-clients: [10.5.1.77]}\n";
    rules(
        text,
        "cce-pg/mds-process-1",
        &expect![[r#"
            cce-pg/mds-process-1-a tcp 42000 to cce-pgs
            cce-pg/mds-process-1-b tcp 43000 to cce-pgs
        "#]],
    );
}

#[test]
fn explain_asks_for_the_peer_that_is_meant_and_not_for_one_that_is_there() {
    let site = "interfaces: [eth0]\noutbound: role\nroles: [{role: cce-pg, instance: 1, side: a}]\npeers: {cce-pgs: [10.5.1.22], cce-pg-mds-clients: [10.5.1.22]}\n";
    explained(
        site,
        "out tcp -> 10.5.1.99:43000",
        &expect![[r#"
            drop no-connection cce-pg/mds-process-1-b
            `cce-pg/mds-process-1-b` is for `cce-pgs`; if 10.5.1.99 is one of them, add it:
            peers:
              cce-pgs: [10.5.1.99]
        "#]],
    );
}

#[test]
fn explain_knows_a_port_of_another_instance_and_how_to_say_that_it_is_there() {
    let site = "interfaces: [eth0]\noutbound: role\nroles: [{role: cce-pg, instance: 1, side: a}]\npeers: {cce-routers: [10.5.1.10]}\n";
    let yaml = explained(
        site,
        "out tcp -> 10.5.1.10:40082",
        &expect![[r#"
            drop no-connection -
            the catalogue knows this port as `cce-router/dmp-a` (cce table 2, row 24, instance 2, side a); if 10.5.1.10 is a `cce-router` with instance 2, side a, say so:
            remote:
              - {role: cce-router, instance: 2, side: a, addresses: [10.5.1.10]}
        "#]],
    );
    let ruleset = ruleset(&format!("{site}{yaml}\n"));
    assert_eq!(kind(&ruleset, 40082, "10.5.1.10"), EntryKind::Permit, "the hint does what it says");
}

#[test]
fn explain_says_which_entry_is_missing_where_a_port_is_for_another_host() {
    let site = format!(
        "{HEAD}remote:\n  - {{role: cce-router, instance: 1, side: a, addresses: [10.5.1.10]}}\n  - {{role: cce-router, instance: 2, side: a, addresses: [10.5.1.20]}}\n"
    );
    let yaml = explained(
        &site,
        "out tcp -> 10.5.1.10:40114",
        &expect![[r#"
            drop no-connection cce-router/tip-events
            `cce-router/tip-events` is for hosts with other addresses; if 10.5.1.10 is a `cce-router` with instance 2, side a, say so:
            remote:
              - {role: cce-router, instance: 2, side: a, addresses: [10.5.1.10]}
        "#]],
    );
    let entry = yaml.strip_prefix("remote:\n").unwrap();
    let ruleset = ruleset(&format!("{site}{entry}\n"));
    assert_eq!(kind(&ruleset, 40114, "10.5.1.10"), EntryKind::Permit, "the hint does what it says");
}

/// One warning for all hosts of which the site has no addresses, because there may be none.
#[test]
fn hosts_without_addresses_are_named_once() {
    warnings(
        "interfaces: [eth0]\noutbound: role\nroles: [cce-peripherals, {role: cce-pg, instance: 3, side: a}]\n",
        "no address is bound",
        &expect![[r#"
            3: no address is bound for hosts to which this one connects: `cce-outbound-dialer` (ports for instance 3 are permitted, which is a guess), `cce-pg` (ports for instance 3; pg 1, 2 and 3; side a and b are permitted, which is a guess), `cce-router` (ports for instance 3; side a and b are permitted, which is a guess), `cvp-call-server` (ports for icm_port 5000 are permitted, which is a guess), `socialminer` (ports for media_routing_port 38001 are permitted, which is a guess)
               where there are such hosts: `remote: [{role: cce-outbound-dialer, instance: 3, addresses: […]}, {role: cce-pg, instance: 3, pg: …, side: …, addresses: […]}, {role: cce-router, instance: 3, side: …, addresses: […]}, {role: cvp-call-server, icm_port: 5000, addresses: […]}, {role: socialminer, media_routing_port: 38001, addresses: […]}]`
        "#]],
    );
}

#[test]
fn nothing_is_guessed_where_what_leaves_is_not_judged() {
    warnings("interfaces: [eth0]\nroles: [cuic, live-data]\n", "guess", &expect![""]);
}

#[test]
fn every_mistake_in_remote_has_its_place() {
    let text = "interfaces: [eth0]\nroles: [cuic]\nremote:\n  - {role: cce-routr, addresses: [10.5.1.10]}\n  - {role: cce-router, instnce: 1, addresses: [10.5.1.10]}\n  - {role: cce-router, instance: 01, addresses: [10.5.1.10]}\n  - {role: cce-router, side: c, addresses: []}\n  - {role: cce-router}\n  - {role: remote-management, addresses: [10.5.1.10]}\n  - {role: cce-router, addresses: [cce-routers]}\n";
    let unknown = text.replace("[cce-routers]", "[cce-router]");
    let errors = site::read(Text::new("site.yaml", unknown), embedded().unwrap()).unwrap_err();
    assert_eq!(errors.0.last().unwrap().message, "no peer is called `cce-router`");
    let errors = site::read(Text::new("site.yaml", text), embedded().unwrap()).unwrap_err();
    let lines: String = errors
        .0
        .iter()
        .map(|error| {
            let place = format!("{}:{}", error.line.unwrap(), error.column.unwrap());
            format!("{place}: {}\n   {}\n", error.message, error.hint.as_deref().unwrap_or("-"))
        })
        .collect();
    expect![[r#"
        4:12: no role is called `cce-routr`
           did you mean `cce-router`?
        5:24: the role `cce-router` has no parameter `instnce`
           did you mean `instance`?
        6:34: `instance` is a number from 0 to 24, found `01`
           `01` is octal to some programs and decimal to others: write `1` if it is decimal
        7:30: `side` is `a` or `b`, found `c`
           -
        7:44: the list is empty, so the entry is about no host
           -
        8:5: `addresses` is missing in an entry of `remote`
           -
        9:12: no connection of any role leads to the role `remote-management`
           `remote` is for roles that others connect to; name the role that this host has beside it
        10:12: the entry for `cce-router` names peers that have no addresses under `peers:`
           write the addresses of these hosts here
    "#]]
    .assert_eq(&lines);
}

fn kind(ruleset: &Ruleset, port: u16, remote: &str) -> EntryKind {
    ruleset.entry(Direction::Outbound, ServiceIndex::tcp(port), remote.parse().unwrap()).kind()
}

/// The outbound rules whose id starts so.
#[track_caller]
fn rules(text: &str, prefix: &str, expected: &Expect) {
    let rules = ruleset(text).rules.into_iter();
    let lines = rules.filter(|rule| rule.direction == Direction::Outbound && rule.id.starts_with(prefix)).map(|rule| {
        let Match::Ports { protocol, ports } = &rule.matches else { panic!("{rule:?}") };
        let peers = rule.peers.map_or("any".to_owned(), |peers| peers.join(", "));
        format!("{} {} {} to {peers}\n", rule.id, site::protocol_name(*protocol), format_ranges(ports))
    });
    expected.assert_eq(&lines.collect::<String>());
}

/// The warnings in which these words are.
#[track_caller]
fn warnings(text: &str, words: &str, expected: &Expect) {
    let warnings = compiled(text).1.warnings.into_iter().filter(|warning| warning.message.contains(words));
    let lines = warnings.map(|warning| {
        format!("{}: {}\n   {}\n", warning.line.unwrap(), warning.message, warning.hint.unwrap_or_default())
    });
    expected.assert_eq(&lines.collect::<String>());
}

/// Verdict, reason, rule and hint; returns what the hint asks to be pasted.
#[track_caller]
fn explained(text: &str, tuple: &str, expected: &Expect) -> String {
    let (site, compiled) = compiled(text);
    let tuple = Tuple::parse(tuple).unwrap_or_else(|error| panic!("{error}"));
    let found = judge(&compiled.ruleset, &tuple);
    let said = describe(&site, embedded().unwrap(), &compiled.ruleset, &tuple, found);
    let hint = said.hint.unwrap_or_default();
    expected.assert_eq(&format!("{} {} {}\n{hint}\n", said.verdict, said.reason, said.rule.as_deref().unwrap_or("-")));
    hint.split_once(":\n").map(|(_, yaml)| yaml.to_owned()).unwrap_or_default()
}

fn ruleset(text: &str) -> Ruleset {
    compiled(text).1.ruleset
}

fn compiled(text: &str) -> (Site, Compiled) {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|error| panic!("{error}"));
    let compiled = compile(&site, catalogue, date(2026, 11, 22)).unwrap();
    (site, compiled)
}
