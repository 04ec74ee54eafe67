//! What `diff` prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fmt::Write;

use enforcer::policy::catalogue::embedded;
use enforcer::policy::diff::diff;
use enforcer::policy::ruleset::Ruleset;
use enforcer::text::diagnostic::Text;
use expect_test::{Expect, expect};
use jiff::civil::date;

const SITE: &str = "\
interfaces: [eth0]
roles:
  - finesse
peers:
  cluster: [10.1.1.10]
  monitoring: [10.9.0.0/16]
allow:
  - {name: node-exporter, protocol: tcp, ports: [9100], from: [monitoring]}
  - {name: sync, protocol: tcp, ports: [7000-7002, 7005], from: [cluster], mode: audit}
";

#[test]
fn words_and_order_are_no_difference() {
    let other = "# the same\n".to_owned()
        + &SITE.replace("{name: node-exporter, protocol: tcp,", "{protocol: tcp, name: node-exporter,");
    check(SITE, &other, &expect![[r""]]);
}

#[test]
fn a_peer_that_grows_is_shown_by_what_it_gains() {
    check(
        SITE,
        &SITE.replace("[10.1.1.10]", "[10.1.1.10, 10.1.1.12]"),
        &expect![[r#"
        Permit inbound tcp 7000-7002,7005 remote 10.1.1.12/32: Some("site/sync") -> Some("site/sync")
    "#]],
    );
}

#[test]
fn a_hole_in_a_permitted_network_is_named() {
    let site = SITE.to_owned() + "deny:\n  - {name: rogue, protocol: tcp, ports: [9000-9200], from: [10.9.8.0/24]}\n";
    check(
        SITE,
        &site,
        &expect![[r#"
        Deny inbound tcp 9100 remote 10.9.8.0/24: Some("site/node-exporter") -> Some("site/rogue")
    "#]],
    );
    check(
        &site,
        SITE,
        &expect![[r#"
        Permit inbound tcp 9100 remote 10.9.8.0/24: Some("site/rogue") -> Some("site/node-exporter")
    "#]],
    );
}

#[test]
fn modes_outbound_and_settings_count() {
    let site = SITE.replace("  - finesse", "  - {role: finesse, mode: audit}")
        + "scope: host\nflows: {udp: 60s}\nicmp_echo: none\n";
    check(
        SITE,
        &site,
        &expect![[r#"
        Deny inbound icmp-echo - remote any: Some("site/icmp-echo") -> None
        scope unset -> host
        flows.udp 180s -> 60s
    "#]],
    );
}

#[test]
fn outbound_that_is_judged_is_refused_but_for_connections() {
    check(
        SITE,
        &(SITE.to_owned() + "outbound: role\n"),
        &expect![[r#"
            Deny outbound tcp 0-52,54-79,81-442,444-1432,1434-5221,5223-8081,8083-8444,8446-42026,42028-42066,42068-42106,42108-42146,42148-42186,42188-42226,42228-42266,42268-42306,42308-42346,42348-42386,42388-42426,42428-42466,42468-42506,42508-42546,42548-42586,42588-42626,42628-42666,42668-42706,42708-42746,42748-42786,42788-42826,42828-42866,42868-42906,42908-42946,42948-42986,42988-43026,43028-43066,43068-43106,43108-43146,43148-43186,43188-43226,43228-43266,43268-43306,43308-43346,43348-43386,43388-43426,43428-43466,43468-43506,43508-43546,43548-43586,43588-43626,43628-43666,43668-43706,43708-43746,43748-43786,43788-43826,43828-43866,43868-43906,43908-43946,43948-43986,43988-65535 remote any: None -> None
            Deny outbound udp 0-52,54-122,124-65535 remote any: None -> None
            Deny outbound sctp 0-65535 remote any: None -> None
            Deny outbound protocols 0,3-5,7-16,18-57,59-131,133-255 remote any: None -> None
            Deny outbound ethertypes 0x0600-0x07ff,0x0801-0x0805,0x0807-0x80ff,0x8101-0x86dc,0x86de-0x8808,0x880a-0x888d,0x888f-0x88a7,0x88a9-0x88cb,0x88cd-0x88f6,0x88f8-0xffff remote any: None -> None
        "#]],
    );
}

fn check(first: &str, second: &str, expected: &Expect) {
    let difference = diff(&ruleset(first), &ruleset(second));
    let mut text = String::new();
    for change in &difference.changes {
        let ports = change.ports.as_deref().or(change.numbers.as_deref()).unwrap_or("-");
        let nets = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let remote = change.remote.prefixes.as_deref().map_or("any".to_owned(), nets);
        let except = if change.remote.except.is_empty() {
            String::new()
        } else {
            format!(" except {}", nets(&change.remote.except))
        };
        writeln!(
            text,
            "{:?} {} {} {ports} remote {remote}{except}: {:?} -> {:?}",
            change.change, change.direction, change.protocol, change.before.rule, change.after.rule
        )
        .unwrap();
    }
    for setting in &difference.settings {
        writeln!(text, "{} {} -> {}", setting.setting, setting.before, setting.after).unwrap();
    }
    expected.assert_eq(&text);
}

fn ruleset(site: &str) -> Ruleset {
    let catalogue = embedded().unwrap();
    let site =
        enforcer::policy::site::read(Text::new("site.yaml", site), catalogue).unwrap_or_else(|error| panic!("{error}"));
    enforcer::policy::compile::compile(&site, catalogue, date(2026, 8, 1)).unwrap().ruleset
}
