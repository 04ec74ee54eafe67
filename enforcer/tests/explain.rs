//! What `explain` says, and that its hints do what they promise.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use enforcer::judge::explain::{describe, judge};
use enforcer::judge::tuple::Tuple;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use expect_test::{Expect, expect};
use jiff::civil::date;

const SITE: &str = "\
interfaces: [eth0]
outbound: role
icmp_echo: peers
roles:
  - unity-connection
peers:
  cluster: [10.1.1.10]
  monitoring: [10.9.9.9]
allow:
  - {name: node-exporter, protocol: tcp, ports: [9100], from: [monitoring]}
  - {name: backup, direction: out, protocol: tcp, ports: [22], to: [10.8.0.4]}
  - {name: literal, protocol: udp, ports: [514], from: [10.7.0.0/16]}
deny:
  - {name: no-telnet, protocol: tcp, ports: [23]}
";

/// Each with the change that its hint asks for where that is not YAML to be pasted.
const TUPLES: &[&str] = &[
    "in tcp 10.0.0.5 -> :443",
    "in tcp 10.0.0.5 -> :20500",
    "in tcp 10.0.0.5 -> :9100",
    "in udp 10.0.0.5 -> :514",
    "in tcp 10.0.0.5 -> :8500",
    "in tcp 10.0.0.5 -> :41004",
    "in tcp 10.0.0.5 -> :4",
    "in tcp [2001:db8::5] -> :4",
    "in tcp 10.0.0.5 -> :23",
    "in udp 10.0.0.5:67 -> :68",
    "in esp 10.0.0.5 ->",
    "in 200 10.0.0.5 ->",
    "in icmp 10.0.0.5 ->",
    "in icmp 10.9.9.9 ->",
    "in tcp 127.0.0.1 -> :443",
    "out tcp -> 10.0.0.5:22",
    "out tcp -> 10.0.0.5:44444",
    "out tcp -> 10.8.0.4:22",
    "out udp -> 10.0.0.5:53",
    "out udp :161 -> 10.0.0.5:40000",
];

#[test]
fn every_reason_is_explained_with_the_change_that_turns_it() {
    let text: String = TUPLES.iter().map(|tuple| format!("{tuple}\n{}\n", explained(SITE, tuple))).collect();
    check(
        &text,
        &expect![[r#"
            in tcp 10.0.0.5 -> :443
              pass rule unity-connection/web unity-connection 1:27
                to keep the service to those whom you name: `limit: [{service: unity-connection/web, from: [...]}]`; to refuse it:
                deny:
                  - {name: no-tcp-443, protocol: tcp, ports: [443], from: [10.0.0.5]}

            in tcp 10.0.0.5 -> :20500
              drop peer unity-connection/conversation-cluster unity-connection 1:1
                `unity-connection/conversation-cluster` is for `cluster`; if 10.0.0.5 is one of them, add it:
                peers:
                  cluster: [10.0.0.5]

            in tcp 10.0.0.5 -> :9100
              drop peer site/node-exporter
                `site/node-exporter` is for `monitoring`; if 10.0.0.5 is one of them, add it:
                peers:
                  monitoring: [10.0.0.5]

            in udp 10.0.0.5 -> :514
              drop peer site/literal
                add 10.0.0.5 to `from` of `site/literal`

            in tcp 10.0.0.5 -> :8500
              drop peer unity-connection/cluster-manager unity-connection 1:19
                `unity-connection/cluster-manager` is for `cluster`; if 10.0.0.5 is one of them, add it:
                peers:
                  cluster: [10.0.0.5]

            in tcp 10.0.0.5 -> :41004
              drop no-rule -
                the catalogue knows this port as `cce-router/mds-private` (cce table 2, row 1), which this host does not have; to permit it:
                allow:
                  - {name: tcp-41004, protocol: tcp, ports: [41004], from: [10.0.0.5]}

            in tcp 10.0.0.5 -> :4
              drop no-rule -
                the catalogue does not know this port; to permit it:
                allow:
                  - {name: tcp-4, protocol: tcp, ports: [4], from: [10.0.0.5]}

            in tcp [2001:db8::5] -> :4
              drop no-rule -
                the catalogue does not know this port; to permit it:
                allow:
                  - {name: tcp-4, protocol: tcp, ports: [4], from: ["2001:db8::5"]}

            in tcp 10.0.0.5 -> :23
              drop denied site/no-telnet
                deny beats permit: take `site/no-telnet` out of `deny`, or let its `from` leave out 10.0.0.5

            in udp 10.0.0.5:67 -> :68
              pass dhcp -
                to refuse it by itself:
                deny:
                  - {name: no-udp-68, protocol: udp, ports: [68], from: [10.0.0.5]}

            in esp 10.0.0.5 ->
              drop protocol -
                no role lists this protocol; to permit it:
                allow:
                  - {name: esp, protocol: esp, from: [10.0.0.5]}

            in 200 10.0.0.5 ->
              drop protocol -
                no role lists this protocol; to permit it:
                allow:
                  - {name: protocol-200, protocol: 200, from: [10.0.0.5]}

            in icmp 10.0.0.5 ->
              drop echo -
                add 10.0.0.5 to a peer of the site, or set `icmp_echo: any`

            in icmp 10.9.9.9 ->
              pass echo site/icmp-echo
                `icmp_echo: none` answers no ping, `icmp_echo: peers` only those of bound peers

            in tcp 127.0.0.1 -> :443
              drop martian -
                no policy permits this source address from the wire

            out tcp -> 10.0.0.5:22
              pass rule unity-connection/sftp unity-connection 2:12
                to refuse it:
                deny:
                  - {name: no-tcp-22, direction: out, protocol: tcp, ports: [22], to: [10.0.0.5]}

            out tcp -> 10.0.0.5:44444
              drop no-connection -
                the catalogue does not know this port; to permit it:
                allow:
                  - {name: tcp-44444, direction: out, protocol: tcp, ports: [44444], to: [10.0.0.5]}

            out tcp -> 10.8.0.4:22
              pass rule site/backup
                to refuse it:
                deny:
                  - {name: no-tcp-22, direction: out, protocol: tcp, ports: [22], to: [10.8.0.4]}

            out udp -> 10.0.0.5:53
              pass rule unity-connection/dns unity-connection 2:5
                to refuse it:
                deny:
                  - {name: no-udp-53, direction: out, protocol: udp, ports: [53], to: [10.0.0.5]}

            out udp :161 -> 10.0.0.5:40000
              pass rule unity-connection/snmp unity-connection 1:17
                answers leave because `unity-connection/snmp` permits the question; to refuse both:
                deny:
                  - {name: no-udp-161, protocol: udp, ports: [161], from: [10.0.0.5]}

        "#]],
    );
}

#[test]
fn a_hint_that_can_be_pasted_turns_the_verdict() {
    let mut pasted = 0;
    for tuple in TUPLES {
        let (before, hint) = verdict(SITE, tuple);
        let Some((_, yaml)) = hint.as_deref().and_then(|hint| hint.split_once(":\n")) else { continue };
        let Some((key, entry)) = yaml.split_once(":\n") else { continue };
        let site = merged(key, entry);
        let (after, _) = verdict(&site, tuple);
        assert_ne!(before, after, "{tuple}: the hint changes nothing in\n{site}");
        pasted += 1;
    }
    assert!(pasted >= 12, "only {pasted} hints could be pasted");
}

/// The site with an entry of a hint; addresses of a peer that has some already are put beside them.
fn merged(key: &str, entry: &str) -> String {
    let known = entry.trim().split_once(" [").map(|(name, list)| (format!("\n  {name} ["), list.replace(']', ", ")));
    match known {
        Some((name, addresses)) if key == "peers" && SITE.contains(&name) => {
            SITE.replace(&name, &format!("{name}{addresses}"))
        }
        _ => SITE.replace(&format!("\n{key}:\n"), &format!("\n{key}:\n{entry}\n")),
    }
}

#[test]
fn outbound_that_is_not_judged_is_open() {
    let site = SITE.replace("outbound: role", "outbound: open");
    check(
        &format!("not judged\n{}", explained(&site, "out tcp -> 10.0.0.5:44444")),
        &expect![[r#"
            not judged
              pass open -
                `outbound: role` would judge it; to refuse it by itself:
                deny:
                  - {name: no-tcp-44444, direction: out, protocol: tcp, ports: [44444], to: [10.0.0.5]}
        "#]],
    );
}

fn explained(site: &str, tuple: &str) -> String {
    let explanation = explanation(site, tuple);
    let rule = explanation.rule.as_deref().unwrap_or("-");
    let source =
        explanation.source.map_or_else(String::new, |row| format!(" {} {}:{}", row.document, row.table, row.row));
    let hint = explanation.hint.map_or_else(String::new, |hint| format!("    {}\n", hint.replace('\n', "\n    ")));
    format!("  {} {} {rule}{source}\n{hint}", explanation.verdict, explanation.reason)
}

fn verdict(site: &str, tuple: &str) -> (&'static str, Option<String>) {
    let explanation = explanation(site, tuple);
    (explanation.verdict.name(), explanation.hint)
}

fn explanation(site: &str, tuple: &str) -> enforcer::judge::explain::Explanation {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("site.yaml", site), catalogue).unwrap_or_else(|error| panic!("{error}"));
    let compiled = enforcer::policy::compile::compile(&site, catalogue, date(2026, 8, 1)).unwrap();
    let tuple = Tuple::parse(tuple).unwrap_or_else(|error| panic!("{error}"));
    describe(&site, catalogue, &compiled.ruleset, &tuple, judge(&compiled.ruleset, &tuple))
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(text);
}
