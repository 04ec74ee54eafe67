//! What is suggested for denied flows, and that it permits them and nothing but what it says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fmt::Write as _;

use enforcer::judge::explain::judge;
use enforcer::judge::tuple::Tuple;
use enforcer::observe::suggest::{Base, suggest};
use enforcer::observe::suggest::{Denied, Options, Suggestions, Tried};
use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::diff::diff;
use enforcer::policy::ruleset::Ruleset;
use enforcer::policy::site::{self, Site, parse_protocol};
use enforcer::text::diagnostic::Text;
use enforcer::text::yaml::{Limits, parse};
use enforcer_common::{Direction, Reason, Verdict};
use expect_test::{Expect, expect};
use jiff::civil::{Date, date};

const TODAY: Date = date(2026, 11, 22);
const SITE: &str = "\
interfaces: [eth0]
roles: [unity-connection]
peers:
  cluster: [10.1.1.10]
  monitoring: 10.9.9.9
allow:
  - {name: node-exporter, protocol: tcp, ports: [9100], from: [monitoring]}
  - {name: tcp-7777, protocol: tcp, ports: [1], from: [10.0.0.1]}
deny:
  - {name: no-telnet, protocol: tcp, ports: [23]}
";

#[test]
fn each_flow_is_explained_by_a_peer_a_role_or_an_entry_of_its_own() {
    check(
        SITE,
        Options::default(),
        &[
            "200 in tcp 10.9.9.8 -> :9100",
            "20 in tcp 10.1.1.11 -> :20500",
            "9 in tcp 10.1.1.11 -> :8500",
            "50 in tcp 10.0.0.7 -> :7777",
            "2 in tcp 10.0.0.8 -> :7777",
            "1 in tcp 8.8.8.8 -> :22222",
            "40 in tcp 10.5.1.10 -> :40001",
            "40 in tcp 10.5.1.10 -> :40003",
            "5 in esp 10.1.1.10 ->",
            "4 in tcp 10.0.0.7 -> :23",
            "3 in tcp 10.0.0.7 -> :443",
        ],
        &expect![[r#"
            roles:
              - {role: cce-router, side: a}
            peers:
              cluster: [10.1.1.11]
              monitoring: [10.9.9.8]
            allow:
              - {name: tcp-7777-2, protocol: tcp, ports: [7777], from: [10.0.0.7, 10.0.0.8], reason: "from denied flows; state the purpose"}
              - {name: esp, protocol: esp, from: [10.1.1.10], reason: "from denied flows; state the purpose"}
              - {name: tcp-22222, protocol: tcp, ports: [22222], from: [8.8.8.8], reason: "from denied flows; state the purpose"}

            allow tcp-7777-2: 2 flows, 52 packets
              rules site/tcp-7777-2 rows 0
              also AlsoOpens { ports: 0, to_anybody: false, examples: [] }
              low: permits only the flows that were seen
            allow esp: 1 flows, 5 packets
              rules site/esp rows 0
              also AlsoOpens { ports: 0, to_anybody: false, examples: [] }
              low: permits only the flows that were seen
            allow tcp-22222: 1 flows, 1 packets
              rules site/tcp-22222 rows 0
              also AlsoOpens { ports: 0, to_anybody: false, examples: [] }
              high: permits only the flows that were seen; 8.8.8.8 may be on the Internet; seen only once, so it may be a mistake
            peer monitoring: 1 flows, 200 packets
              rules site/node-exporter rows 0
              also AlsoOpens { ports: 0, to_anybody: false, examples: [] }
              low: accept only if these addresses belong to `monitoring`; they gain no other access
            peer cluster: 2 flows, 29 packets
              rules unity-connection/cluster-manager unity-connection/conversation-cluster rows 2
              also AlsoOpens { ports: 23, to_anybody: false, examples: ["inbound tcp 1090,1099 (unity-connection/alert-manager)", "inbound tcp 1935,19003,20500-20502 (unity-connection/conversation-cluster)", "inbound tcp 1502-1503 (unity-connection/database)", "inbound tcp 8001 (unity-connection/database-change-notification)", "inbound tcp 1515 (unity-connection/database-replication)", "inbound tcp 20055 (unity-connection/licence-server)"] }
              high: members of `cluster` reach services that nobody else can reach: accept only if these addresses are such servers
              narrower allow:
                  - {name: tcp-8500, protocol: tcp, ports: [8500], from: [10.1.1.11], reason: "from denied flows; state the purpose"}
                  - {name: tcp-20500, protocol: tcp, ports: [20500], from: [10.1.1.11], reason: "from denied flows; state the purpose"}
            role cce-router: 2 flows, 80 packets
              rules cce-router/dmp-a cce-router/mds-state-transfer-a rows 2
              also AlsoOpens { ports: 528, to_anybody: true, examples: ["inbound tcp 7890 (cce-diagnostic-framework/diagnostics)", "inbound tcp 40002-40003,40017 (cce-router/dmp-a)", "inbound tcp 40000 (cce-router/mds-process-a)", "inbound tcp 40001 (cce-router/mds-state-transfer-a)", "inbound tcp 40007 (cce-router/rtfeed-a)", "inbound tcp 40034 (cce-router/tip-events)"] }
              high: accept only if this host has the role: it opens 528 ports more, some to any address
              narrower allow:
                  - {name: tcp-40001, protocol: tcp, ports: [40001], from: [10.5.1.10], reason: "from denied flows; state the purpose"}
                  - {name: tcp-40003, protocol: tcp, ports: [40003], from: [10.5.1.10], reason: "from denied flows; state the purpose"}
            ? tcp Some(443) no entry of a site can permit it: A rule of a role or of the site permits it.
            ? tcp Some(23) `site/no-telnet` of the site denies it; deny overrides permit
        "#]],
    );
}

#[test]
fn outbound_flows_get_connections() {
    check(
        &(SITE.to_owned() + "outbound: role\n"),
        Options::default(),
        &["7 out tcp -> 10.8.0.4:4422", "9 out tcp -> 10.1.1.12:20500", "1 out udp -> [2001:db8::9]:9"],
        &expect![[r#"
            peers:
              cluster: [10.1.1.12]
            allow:
              - {name: out-tcp-4422, direction: out, protocol: tcp, ports: [4422], to: [10.8.0.4], reason: "from denied flows; state the purpose"}
              - {name: out-udp-9, direction: out, protocol: udp, ports: [9], to: ["2001:db8::9"], reason: "from denied flows; state the purpose"}

            allow out-tcp-4422: 1 flows, 7 packets
              rules site/out-tcp-4422 rows 0
              also AlsoOpens { ports: 0, to_anybody: false, examples: [] }
              low: permits only the flows that were seen
            allow out-udp-9: 1 flows, 1 packets
              rules site/out-udp-9 rows 0
              also AlsoOpens { ports: 0, to_anybody: false, examples: [] }
              medium: permits only the flows that were seen; seen only once, so it may be a mistake
            peer cluster: 1 flows, 9 packets
              rules unity-connection/conversation-cluster rows 1
              also AlsoOpens { ports: 47, to_anybody: false, examples: ["inbound tcp 1090,1099 (unity-connection/alert-manager)", "inbound tcp 8500 (unity-connection/cluster-manager)", "inbound tcp 1935,19003,20500-20502 (unity-connection/conversation-cluster)", "inbound tcp 1502-1503 (unity-connection/database)", "inbound tcp 8001 (unity-connection/database-change-notification)", "inbound tcp 1515 (unity-connection/database-replication)"] }
              high: members of `cluster` reach services that nobody else can reach: accept only if these addresses are such servers
              narrower allow:
                  - {name: out-tcp-20500, direction: out, protocol: tcp, ports: [20500], to: [10.1.1.12], reason: "from denied flows; state the purpose"}
        "#]],
    );
}

#[test]
fn narrow_suggestions_are_entries_alone() {
    let flows = ["200 in tcp 10.9.9.8 -> :9100", "20 in tcp 10.1.1.11 -> :20500"];
    let found = suggestions(SITE, Options { narrow: true }, &flows);
    let changes = changes(SITE, &found);
    assert_eq!(changes, "inbound tcp 9100 10.9.9.8/32 site/tcp-9100\ninbound tcp 20500 10.1.1.11/32 site/tcp-20500\n");
}

#[test]
fn a_scan_is_not_turned_into_permits() {
    let scan: Vec<String> = (1000..1040).map(|port| format!("1 in tcp 10.0.0.66 -> :{port}")).collect();
    let mut flows: Vec<&str> = scan.iter().map(String::as_str).collect();
    flows.push("9 in tcp 10.0.0.7 -> :7777");
    let found = suggestions(SITE, Options::default(), &flows);
    assert_eq!(found.unexplained.len(), 40);
    assert!(found.unexplained.iter().all(|one| one.why.contains("scan")), "{:?}", found.unexplained[0]);
    assert_eq!(changes(SITE, &found), "inbound tcp 7777 10.0.0.7/32 site/tcp-7777-2\n");
}

/// Each answer comes to another port, which no entry for a port would meet.
#[test]
fn answers_to_multicast_are_not_suggested_port_by_port() {
    let answers: Vec<String> =
        (0..6).map(|n| format!("1 in udp 10.1.1.{} -> :{}", 11 + n % 2, 40000 + 7 * n)).collect();
    let mut flows: Vec<&str> = answers.iter().map(String::as_str).collect();
    flows.push("9 in udp 10.0.0.7 -> :30001");
    flows.push("9 in tcp 10.0.0.7 -> :40007");
    let found = suggestions(SITE, Options::default(), &flows);
    let names: Vec<&str> = found.suggestions.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["tcp-40007", "udp-30001"]);
    assert_eq!(found.unexplained.len(), 6);
    let [note] = found.notes.as_slice() else { panic!("{:?}", found.notes) };
    let (_, yaml) = note.split_once("range:\n").unwrap();
    assert!(yaml.contains("ports: [32768-60999], from: [10.1.1.11, 10.1.1.12]"), "{note}");
    // What the note says would help does.
    let entry = yaml.split_once("allow:\n").unwrap().1;
    let site = SITE.replace("\nallow:\n", &format!("\nallow:\n{entry}\n"));
    let after = suggestions(&site, Options::default(), &flows);
    assert!(after.notes.is_empty() && after.suggestions.len() == 2, "{after:?}");
}

#[test]
fn a_service_on_a_high_port_is_suggested_as_any_other() {
    let found =
        suggestions(SITE, Options::default(), &["5 in udp 10.1.1.11 -> :40000", "5 in udp 10.1.1.11 -> :40001"]);
    assert!(found.notes.is_empty());
    assert_eq!(found.suggestions.len(), 2);
}

#[test]
fn a_port_that_half_the_network_tries_is_left_to_a_person() {
    let many: Vec<String> = (0..70).map(|n| format!("1 in udp 10.0.1.{n} -> :9999")).collect();
    let found = suggestions(SITE, Options::default(), &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(found.suggestions.is_empty() && found.yaml.is_empty());
    assert!(found.unexplained[0].why.starts_with("70 addresses"), "{:?}", found.unexplained[0]);
}

#[test]
fn what_no_site_can_permit_stays_unexplained() {
    let catalogue = embedded().unwrap();
    let (site, ruleset) = compiled(SITE);
    let tree = parse(&Text::new("site.yaml", SITE), Limits::SITE).unwrap();
    let flow = |reason, tried, remote: Option<&str>| Denied {
        direction: Direction::Inbound,
        reason,
        tried,
        remote: remote.map(|text| text.parse().unwrap()),
        local: None,
        packets: 1,
        dropped: 0,
        bytes: 60,
    };
    let denied = [
        flow(Reason::Malformed, Tried::Protocol(0), Some("10.0.0.5")),
        flow(Reason::Redirect, Tried::Icmp { protocol: 1, kind: 5 }, Some("10.0.0.5")),
        flow(Reason::EchoDrop, Tried::Icmp { protocol: 1, kind: 8 }, Some("10.0.0.5")),
        flow(Reason::Ethertype, Tried::Ethertype(0x8892), None),
        flow(Reason::Ethertype, Tried::Ethertype(0x26), None),
    ];
    let base = Base::new(&site, &tree, catalogue, &ruleset, TODAY);
    let found = suggest(&base, &denied, Options::default());
    assert_eq!(found.unexplained.len(), 4);
    let names: Vec<_> = found.suggestions.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["ethertype-8892"]);
    assert_eq!(changes(SITE, &found), "inbound ethertype 0x8892 - any site/ethertype-8892\n");
}

/// What a person wrote is still there, byte by byte, and in its order.
#[test]
fn the_suggested_site_is_the_file_with_the_suggestions_in_it() {
    let block = "\
# The recorder in the cellar.
interfaces: [eth0]   # the only one
roles:
- unity-connection   # since March

peers:
  # members
  cluster: [ 10.1.1.10 ]  # first
  monitoring: 10.9.9.9    # alone
allow:
  - name: node-exporter   # dashboards
    protocol: tcp
    ports: [9100]
    from: [monitoring]
  # nothing else
deny: [{name: no-telnet, protocol: tcp, ports: [23]}]";
    let flows = [
        "200 in tcp 10.9.9.8 -> :9100",
        "20 in tcp 10.1.1.11 -> :20500",
        "50 in tcp 10.0.0.7 -> :7777",
        "40 in tcp 10.5.1.10 -> :40001",
        "40 in tcp 10.5.1.10 -> :40003",
    ];
    let found = suggestions(block, Options::default(), &flows);
    assert!(!found.is_rewritten);
    expect![[r#"
        # The recorder in the cellar.
        interfaces: [eth0]   # the only one
        roles:
        - unity-connection   # since March
        - {role: cce-router, side: a}

        peers:
          # members
          cluster: [ 10.1.1.10, 10.1.1.11 ]  # first
          monitoring: [10.9.9.9, 10.9.9.8]    # alone
        allow:
          - name: node-exporter   # dashboards
            protocol: tcp
            ports: [9100]
            from: [monitoring]
          - {name: tcp-7777, protocol: tcp, ports: [7777], from: [10.0.0.7], reason: "from denied flows; state the purpose"}
          # nothing else
        deny: [{name: no-telnet, protocol: tcp, ports: [23]}]
    "#]]
    .assert_eq(&found.site);
    let sparse = "interfaces: [eth0]\r\nroles: [] # none\r\npeers:   # nobody\r\nallow: # nothing\r\ndeny: [{name: a, protocol: esp}]\r\n";
    let others = [
        "interfaces: [eth0]\nallow: [{name: a, protocol: esp}]\nroles: []\n# the end",
        "---\n  interfaces: [eth0]\n  roles:\n    - finesse\n...\n",
        "interfaces: [eth0]\nroles: finesse\nallow: []\npeers: {monitoring: [10.9.9.9], cluster: }\n",
        "interfaces: [eth0]\nroles: [finesse,]\nallow: [\n  {name: a, protocol: tcp, ports: [1]}, # one\n]\npeers: {}\n",
        "interfaces: [eth0]\nroles: [\"fin\\x65sse\"]\nallow:\n  - name: a\n    reason: |\n      because\n    protocol: esp\n",
        "# é ‘ü’\ninterfaces: [eth0]\nroles: [finesse]\nallow:\n  -\n    name: a\n    protocol: esp\n",
        sparse,
    ];
    for text in others {
        let found = suggestions(text, Options::default(), &flows);
        assert!(!found.is_rewritten && !found.suggestions.is_empty(), "{text}\n{}", found.site);
        let mut rest = found.site.bytes();
        let is_there = text.bytes().all(|byte| rest.by_ref().any(|other| other == byte));
        assert!(is_there, "{text}\n{}", found.site);
        assert_eq!(text.contains('\r'), found.site.contains('\r'), "{}", found.site);
        assert!(!text.contains('\r') || !found.site.replace("\r\n", "").contains('\n'), "{}", found.site);
    }
}

#[test]
fn a_site_that_cannot_be_added_to_is_written_anew() {
    let found = suggestions(
        "{interfaces: [eth0], roles: [finesse]} # all of it\n",
        Options::default(),
        &["9 in tcp 10.0.0.7 -> :7777"],
    );
    assert!(found.is_rewritten && !found.site.contains('#'), "{}", found.site);
}

/// The role opens the ports to every gateway while the site knows none; the peer names one, and closes them to the others.
#[test]
fn suggestions_that_undo_each_other_are_not_both_made() {
    let site = "\
interfaces: [eth0]
roles: []
peers: {cce-pgs: []}
allow:
  - {name: exporter, protocol: tcp, ports: [9100], from: [cce-pgs]}
";
    let flows = ["9 in tcp 10.5.1.10 -> :40002", "9 in tcp 10.5.1.10 -> :40003", "50 in tcp 10.0.0.5 -> :9100"];
    let found = suggestions(site, Options::default(), &flows);
    let names: Vec<&str> = found.suggestions.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["cce-pgs"]);
    assert!(
        found.unexplained.iter().all(|one| one.why.contains("not together with the other suggestions")),
        "{found:?}"
    );
}

/// Everybody may come to a port that one address was seen at.
#[test]
fn a_port_that_was_seen_is_further_opened_by_who_else_may_come() {
    let flows = ["9 in tcp 10.5.1.10 -> :40001", "9 in tcp 10.5.1.10 -> :40003"];
    let found = suggestions(SITE, Options::default(), &flows);
    let [role] = found.suggestions.as_slice() else { panic!("{found:?}") };
    let opened = changes(SITE, &found);
    let width: usize = opened
        .lines()
        .map(|line| {
            let ports = line.split(' ').nth(2).unwrap();
            let width = |range: &str| match range.split_once('-') {
                Some((first, last)) => last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1,
                None => 1,
            };
            ports.split(',').map(width).sum::<usize>()
        })
        .sum();
    assert_eq!(role.also_opens.ports, width as u64, "{opened}");
    assert_eq!(found.also_opens, role.also_opens);
    let narrow = suggestions(SITE, Options { narrow: true }, &flows);
    assert_eq!(narrow.also_opens.ports, 0, "{:?}", narrow.also_opens);
}

/// Every flow that is said to be explained passes with the suggested site, and no other does.
fn suggestions(site: &str, options: Options, flows: &[&str]) -> Suggestions {
    let catalogue = embedded().unwrap();
    let (base_site, ruleset) = compiled(site);
    let tree = parse(&Text::new("site.yaml", site), Limits::SITE).unwrap();
    let denied: Vec<(Denied, Tuple)> = flows.iter().map(|text| denied(text, &ruleset)).collect();
    let only: Vec<Denied> = denied.iter().map(|(flow, _)| flow.clone()).collect();
    let found = suggest(&Base::new(&base_site, &tree, catalogue, &ruleset, TODAY), &only, options);
    let (_, changed) = compiled(&found.site);
    for (flow, tuple) in &denied {
        let is = |known: &enforcer::observe::suggest::Flow| {
            known.remote == flow.remote && known.port == tuple.ports.map(|p| p.1)
        };
        let passes = judge(&changed, tuple).reason.verdict() == Verdict::Pass;
        let explained = found.suggestions.iter().any(|one| one.flows.iter().any(is));
        let already = judge(&ruleset, tuple).reason.verdict() == Verdict::Pass;
        assert_eq!(passes, explained || already, "{tuple}");
        assert_eq!(explained, !found.unexplained.iter().any(|one| is(&one.flow)), "{tuple}");
    }
    found
}

/// What the suggested site permits that the first does not.
fn changes(site: &str, found: &Suggestions) -> String {
    let difference = diff(&compiled(site).1, &compiled(&found.site).1);
    difference.changes.iter().fold(String::new(), |mut text, change| {
        let remote = match &change.remote.prefixes {
            None => "any".to_owned(),
            Some(nets) => nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        };
        let ports = change.ports.as_deref().unwrap_or("-");
        let rule = change.after.rule.as_deref().unwrap_or("-");
        writeln!(text, "{} {} {ports} {remote} {rule}", change.direction, change.protocol).unwrap();
        text
    })
}

fn compiled(text: &str) -> (Site, Ruleset) {
    let catalogue = embedded().unwrap();
    let site =
        site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|findings| panic!("{findings}\n{text}"));
    let ruleset = compile(&site, catalogue, TODAY).unwrap().ruleset;
    (site, ruleset)
}

/// `PACKETS TUPLE`.
fn denied(text: &str, ruleset: &Ruleset) -> (Denied, Tuple) {
    let (packets, tuple) = text.split_once(' ').unwrap();
    let tuple = Tuple::parse(tuple).unwrap_or_else(|error| panic!("{error}"));
    let tried = match tuple.ports {
        Some((_, port)) => Tried::Port { protocol: tuple.protocol, port },
        None => Tried::Protocol(tuple.protocol),
    };
    assert_ne!(Some(tuple.protocol), parse_protocol("icmp"), "a ping is not made here");
    let packets: u64 = packets.parse().unwrap();
    let flow = Denied {
        direction: tuple.direction,
        reason: judge(ruleset, &tuple).reason,
        tried,
        remote: Some(tuple.remote()),
        local: None,
        packets,
        dropped: 0,
        bytes: packets * 60,
    };
    (flow, tuple)
}

fn check(site: &str, options: Options, flows: &[&str], expected: &Expect) {
    let found = suggestions(site, options, flows);
    let mut text = found.yaml.clone() + "\n";
    for one in &found.suggestions {
        writeln!(text, "{} {}: {} flows, {} packets", one.kind.name(), one.name, one.flows.len(), one.packets).unwrap();
        writeln!(text, "  rules {} rows {}", one.rules.join(" "), one.sources.len()).unwrap();
        writeln!(text, "  also {:?}", one.also_opens).unwrap();
        writeln!(text, "  {}: {}", one.risk.level.name(), one.risk.note).unwrap();
        if let Some(narrower) = &one.narrower {
            writeln!(text, "  narrower {}", narrower.replace('\n', "\n    ").trim_end()).unwrap();
        }
    }
    for one in &found.unexplained {
        writeln!(text, "? {} {:?} {}", one.flow.protocol, one.flow.port, one.why).unwrap();
    }
    expected.assert_eq(&text);
}
