//! `limit`: a service that the document leaves open is for those whom the operator names, and for nobody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use enforcer::judge::explain::{describe, judge};
use enforcer::judge::tuple::Tuple;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::{Compiled, compile};
use enforcer::policy::diff::{Effect, diff};
use enforcer::policy::export::{Target, export};
use enforcer::policy::site::{self, Site};
use enforcer::text::diagnostic::Text;
use enforcer_common::{Direction, EntryKind, Mode, ServiceIndex};
use expect_test::{Expect, expect};
use jiff::civil::date;

const SITE: &str = "interfaces: [eth0]\nroles: [remote-management]\npeers: {admin-workstations: [10.9.0.64/26]}\nlimit: [{service: remote-management/rdp, from: [admin-workstations]}]\n";

#[test]
fn a_limited_service_is_for_those_who_are_named_and_for_nobody_else() {
    assert_eq!(entry(SITE, 3389, "10.9.0.65"), EntryKind::Permit);
    for other in ["10.9.0.1", "192.0.2.77", "2001:db8::77"] {
        assert_eq!(entry(SITE, 3389, other), EntryKind::Peer, "{other}");
        assert_eq!(entry(SITE, 5900, other), EntryKind::Permit, "{other}: vnc is not limited");
    }
}

#[test]
fn a_limit_never_adds_to_what_the_service_permits() {
    let site = "interfaces: [eth0]\nroles: [finesse]\npeers: {client-workstations: [10.30.0.0/16]}\nlimit: [{service: finesse/https, from: [10.30.1.0/24, 10.40.0.0/16]}]\n";
    assert_eq!(entry(site, 443, "10.30.1.1"), EntryKind::Permit);
    assert_eq!(entry(site, 443, "10.30.2.1"), EntryKind::Peer, "permitted by the service alone");
    assert_eq!(entry(site, 443, "10.40.0.1"), EntryKind::Peer, "named by the limit alone");
}

#[test]
fn an_allow_still_adds_and_a_deny_still_wins() {
    let site = format!(
        "{SITE}allow: [{{name: jump, protocol: tcp, ports: 3389, from: [10.8.0.1]}}]\ndeny: [{{name: no, protocol: tcp, ports: 3389, from: [10.9.0.66]}}]\n"
    );
    assert_eq!(entry(&site, 3389, "10.8.0.1"), EntryKind::Permit);
    assert_eq!(entry(&site, 3389, "10.9.0.66"), EntryKind::Deny);
    assert_eq!(entry(&site, 3389, "10.9.0.65"), EntryKind::Permit);
    assert_eq!(entry(&site, 3389, "192.0.2.1"), EntryKind::Peer);
    check(&site, "limited", &expect![""]);
}

/// Two roles that include a third have its service once.
#[test]
fn a_service_that_two_roles_bring_along_is_limited_in_both() {
    let site = "interfaces: [eth0]\nroles: [{role: cce-router, side: a}, {role: cce-logger, side: a, mode: audit}]\nlimit: [{service: windows-authentication/smb, from: [10.9.0.5]}]\n";
    assert_eq!(entry(site, 445, "10.9.0.5"), EntryKind::Permit);
    assert_eq!(entry(site, 445, "10.9.0.6"), EntryKind::Peer);
}

/// What this host may connect to on other hosts is no business of the limit.
#[test]
fn outbound_rules_of_the_same_service_stay_as_they_are() {
    let site = "interfaces: [eth0]\noutbound: role\nroles: [{role: cce-router, side: a}]\n";
    let limited = format!("{site}limit: [{{service: cce-router/dmp-a, from: [10.9.0.5]}}]\n");
    let outbound = |text: &str| {
        let rules = compiled(text).1.ruleset.rules;
        rules.into_iter().filter(|rule| rule.direction == Direction::Outbound).collect::<Vec<_>>()
    };
    assert_eq!(outbound(site), outbound(&limited));
}

#[test]
fn check_names_what_still_permits_a_limited_port() {
    check(
        "interfaces: [eth0]\nroles: [remote-management, interaction-analyzer]\nlimit: [{service: remote-management/rdp, from: [10.9.0.5]}]\nallow: [{name: again, protocol: tcp, ports: 3000-4000}]\n",
        "limited",
        &expect![[r#"
            3: `remote-management/rdp` is limited, but `site/again` permits tcp 3389 and `interaction-analyzer/remote-desktop` permits tcp 3389 to other addresses
               limit these services too, give these entries of `allow` a `from`, or `deny` the port
        "#]],
    );
}

#[test]
fn check_says_that_a_limit_leaves_nobody_or_has_no_effect() {
    check(
        "interfaces: [eth0]\nroles: [{role: cce-router, side: a}, finesse]\npeers: {client-workstations: [10.30.0.0/16]}\nlimit:\n  - {service: cce-router/dmp-b, from: [10.9.0.5]}\n  - {service: finesse/https, from: [10.40.0.0/16]}\n",
        "limited",
        &expect![[r#"
            5: `cce-router/dmp-b` is limited, and does not exist with the settings of this site
               remove the entry, or check the role's parameters
            6: `finesse/https` is limited to nobody
               `limit` permits whom `from` names and the service permits, and no address is both
        "#]],
    );
}

/// The warning about a management port ends with the entry that answers it, and goes away with it.
#[test]
fn the_warning_about_management_ports_ends_with_the_limit_that_answers_it() {
    let bare = "interfaces: [eth0]\nroles: [remote-management]\npeers: {admin-workstations: [10.9.0.5]}\n";
    let warnings = compiled(bare).1.warnings;
    let hint = warnings.iter().find(|one| one.message.contains("management ports")).unwrap().hint.clone().unwrap();
    let entry = hint.split('`').rev().nth(1).unwrap();
    assert!(hint.ends_with('`') && entry.starts_with("limit: ["), "{hint}");
    check(&format!("{bare}{entry}\n"), "management ports", &expect![""]);
    for port in [23, 3389, 5900] {
        assert_eq!(self::entry(&format!("{bare}{entry}\n"), port, "10.9.0.6"), EntryKind::Peer);
    }
}

#[test]
fn every_mistake_in_limit_has_its_place() {
    let text = "interfaces: [eth0]\nroles: [unity-connection, remote-management]\nlimit:\n  - {service: remote-managment/rdp, from: [10.0.0.1]}\n  - {service: remote-management/rpd, from: [10.0.0.1]}\n  - {service: rdp, from: [10.0.0.1]}\n  - {service: finesse/https, from: [10.0.0.1]}\n  - {service: unity-connection/database, from: [10.0.0.1]}\n  - {service: unity-connection/tomcat-control, from: [10.0.0.1]}\n  - {service: remote-management/vnc, from: any}\n  - {service: remote-management/vnc, from: []}\n  - {service: remote-management/vnc, from: [admin-workstation]}\n  - {service: remote-management/rdp, from: [10.0.0.1]}\n  - {service: remote-management/rdp, from: [10.0.0.2]}\n  - {service: remote-management/telnet}\n  - {from: [10.0.0.1], mode: audit}\n";
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
        4:15: `remote-managment/rdp`: no role is called `remote-managment`
           did you mean `remote-management`?
        5:15: `remote-management/rpd`: the role has no service of this name
           did you mean `rdp`?
        6:15: expected a service such as `remote-management/rdp`, found `rdp`
           did you mean `remote-management/rdp`?
        7:15: `finesse/https`: this host does not have the role `finesse`
           this host has unity-connection, remote-management
        8:15: `unity-connection/database`: the document keeps it to `cluster`, so there is nothing to narrow
           `limit` narrows what the document leaves open; bind fewer addresses to the peer, or write a `deny` entry
        9:15: `unity-connection/tomcat-control`: the document keeps it to the host itself, so there is nothing to narrow
           `limit` narrows what the document leaves open; bind fewer addresses to the peer, or write a `deny` entry
        10:44: `from: any` narrows nothing
           name those who may use the service, or leave the entry out
        11:44: the list is empty, so nobody could use the service
           name those who may use the service; for nobody, write a `deny` entry
        12:45: no peer is called `admin-workstation`
           did you mean `admin-workstations`?
        14:15: `remote-management/rdp` is limited twice
           the first entry is on line 13; write one list
        15:5: `from` is missing in an entry of `limit`
           -
        16:5: `service` is missing in an entry of `limit`
           -
        16:24: an entry of `limit` has no key `mode`
           an entry of `limit` has service, from, reason
    "#]]
    .assert_eq(&lines);
}

#[test]
fn explain_names_the_limit_and_what_it_would_take() {
    explained(
        SITE,
        "in tcp 192.0.2.7 -> :3389",
        &expect![[r#"
            drop peer remote-management/rdp
            `limit` keeps `remote-management/rdp` to `admin-workstations`; if 192.0.2.7 is one of them, add it:
            peers:
              admin-workstations: [192.0.2.7]
        "#]],
    );
    explained(
        "interfaces: [eth0]\nroles: [remote-management]\nlimit:\n  - {service: remote-management/rdp, from: [10.9.0.5]}\n",
        "in tcp 192.0.2.7 -> :3389",
        &expect![[r#"
            drop peer remote-management/rdp
            add 192.0.2.7 to `from` of the entry for `remote-management/rdp` (line 4)
        "#]],
    );
    explained(
        "interfaces: [eth0]\nroles: [remote-management]\n",
        "in tcp 192.0.2.7 -> :3389",
        &expect![[r#"
            pass rule remote-management/rdp
            to keep the service to those whom you name: `limit: [{service: remote-management/rdp, from: [...]}]`; to refuse it:
            deny:
              - {name: no-tcp-3389, protocol: tcp, ports: [3389], from: [192.0.2.7]}
        "#]],
    );
}

#[test]
fn diff_says_who_loses_the_service() {
    let bare = "interfaces: [eth0]\nroles: [remote-management]\npeers: {admin-workstations: [10.9.0.64/26]}\n";
    let difference = diff(&compiled(bare).1.ruleset, &compiled(SITE).1.ruleset);
    let changes = &difference.changes;
    assert!(!changes.is_empty());
    for change in changes {
        assert_eq!((change.change, change.ports.as_deref()), (Effect::Deny, Some("3389")), "{change:?}");
        assert_eq!(change.after.rule.as_deref(), Some("remote-management/rdp"));
        assert!(!change.remote.contains("10.9.0.65".parse().unwrap()), "{change:?}");
    }
}

#[test]
fn every_export_narrows_the_service() {
    let mut lines = String::new();
    for target in Target::ALL {
        let (site, compiled) = compiled(SITE);
        let text = export(target, &site, &compiled, Some(Mode::Enforce)).unwrap().text;
        let of = text.lines().filter(|line| line.contains("3389")).map(|line| format!("{target:?}: {}\n", line.trim()));
        lines.extend(of);
    }
    expect![[r#"
        Nft: tcp dport { 3389 } ip saddr @admin_workstations_v4 counter accept comment "remote-management/rdp"
        Nft: tcp dport { 23, 3389, 5631, 5800, 5900 } counter goto refuse_inbound comment "reason peer"
        Iptables: -A ENFORCER-IN-tcp -p tcp -m multiport --dports 3389 -m comment --comment "remote-management/rdp" -j EN-IY-admin_workstations
        Iptables: -A ENFORCER-IN-tcp -p tcp -m multiport --dports 23,3389,5631,5800,5900 -m comment --comment "reason peer" -j ENFORCER-NOT-IN
        Iptables: -A ENFORCER-IN-tcp -p tcp -m multiport --dports 23,3389,5631,5800,5900 -m comment --comment "reason peer" -j ENFORCER-NOT-IN
        Windows: New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer remote-management/rdp' -Direction Inbound -Action Allow -Enabled True -Protocol TCP -LocalPort '3389' -RemoteAddress '10.9.0.64/26' | Out-Null
        IosAcl: permit tcp object-group ENFORCER-admin_workstations-1cd40afe any eq 3389
        IosAcl: permit tcp any eq 3389 object-group ENFORCER-admin_workstations-1cd40afe
    "#]]
    .assert_eq(&lines);
}

fn entry(text: &str, port: u16, remote: &str) -> EntryKind {
    let ruleset = compiled(text).1.ruleset;
    ruleset.entry(Direction::Inbound, ServiceIndex::tcp(port), remote.parse().unwrap()).kind()
}

/// The warnings in which these words are.
#[track_caller]
fn check(text: &str, words: &str, expected: &Expect) {
    let warnings = compiled(text).1.warnings.into_iter().filter(|warning| warning.message.contains(words));
    let lines = warnings.map(|warning| {
        format!("{}: {}\n   {}\n", warning.line.unwrap(), warning.message, warning.hint.unwrap_or_default())
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[track_caller]
fn explained(text: &str, tuple: &str, expected: &Expect) {
    let (site, compiled) = compiled(text);
    let tuple = Tuple::parse(tuple).unwrap_or_else(|error| panic!("{error}"));
    let found = judge(&compiled.ruleset, &tuple);
    let said = describe(&site, embedded().unwrap(), &compiled.ruleset, &tuple, found);
    let hint = said.hint.unwrap_or_default();
    expected.assert_eq(&format!("{} {} {}\n{hint}\n", said.verdict, said.reason, said.rule.as_deref().unwrap_or("-")));
}

fn compiled(text: &str) -> (Site, Compiled) {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|error| panic!("{error}"));
    let compiled = compile(&site, catalogue, date(2026, 11, 22)).unwrap();
    (site, compiled)
}
