//! `enforcer counters` in every format.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use enforcer_common::Reason;
use enforcer_common::layout::{LAYOUT_VERSION, map};
use harness::bpf;
use harness::enforcer::{Protected, enforcer_with_input};
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;
use harness::skip::skip;

use crate::stage::Stage;

const SITE: &str = "\
interfaces: [IF]
mode: {inbound: enforce, outbound: audit}
roles: []
allow:
  - {name: https, protocol: tcp, ports: [443]}
  - {name: silent, protocol: tcp, ports: [444]}
deny:
  - {name: no-telnet, protocol: tcp, ports: [23]}
";

fn stage() -> Stage {
    let stage = Stage::new(SITE, "tc");
    let packet = |port| Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port);
    stage.inbound(&packet(443), Reason::Rule);
    stage.inbound(&packet(443), Reason::Rule);
    stage.inbound(&packet(23), Reason::Denied);
    stage.inbound(&packet(80), Reason::NoRule);
    stage
}

#[test]
fn csv_has_a_line_for_each_rule_and_reason() {
    let stage = stage();
    let text = stage.protected.run(&["counters", "--format", "csv"]).expect_code(0).stdout;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("interface,kind,direction,name,verdict,packets,bytes,last_hit,since,sources"));
    let near = &stage.protected.cable.near.interface;
    let found: BTreeMap<String, (String, bool)> = lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!((fields[0], fields.len()), (near.as_str(), 10), "{line}");
            let key = format!("{} {} {}", fields[1], fields[2], fields[3]);
            (key, (format!("{}{}", fields[4], fields[5]), fields[7].ends_with('Z')))
        })
        .collect();
    let of = |name: &str| found.get(name).cloned().unwrap_or_else(|| panic!("no {name} in {text}"));
    assert_eq!(of("rule inbound site/https"), ("2".to_owned(), true));
    assert_eq!(of("rule inbound site/no-telnet"), ("1".to_owned(), true));
    assert_eq!(of("rule inbound site/silent"), ("0".to_owned(), false), "zeros are listed, and never were hit");
    assert_eq!(of("reason inbound no-rule"), ("drop1".to_owned(), false));
}

#[test]
fn prometheus_text_is_bounded_and_says_the_same() {
    let stage = stage();
    let read =
        || stage.protected.run(&["counters", "--format", "prometheus", "--detail", "full"]).expect_code(0).stdout;
    let text = read();
    let mut families = BTreeSet::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name)) => assert!(families.insert(name.to_owned()), "{name} stands twice"),
            (Some("#"), Some("TYPE"), Some(name)) => {
                let kind = words.next().expect("a type");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            }
            (Some(sample), Some(value), None) => {
                let name = sample.split('{').next().expect("a name");
                assert!(families.contains(name) && value.parse::<f64>().is_ok(), "{line}");
            }
            _ => panic!("not a line of the text format: {line}"),
        }
    }
    let near = &stage.protected.cable.near.interface;
    let value = |sample: &str| {
        let sample = sample.replace("IF", near);
        let line = text.lines().find_map(|line| line.strip_prefix(&sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in:\n{text}")).to_owned()
    };
    let reason = |verdict, reason| {
        value(&format!(
            "enforcer_packets_total{{interface=\"IF\",direction=\"inbound\",verdict=\"{verdict}\",reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(
        [reason("pass", "rule"), reason("drop", "denied"), reason("drop", "no-rule"), reason("would_drop", "no-rule")],
        ["2", "1", "1", "0"]
    );
    assert_eq!(
        value(
            "enforcer_rule_packets_total{interface=\"IF\",direction=\"inbound\",rule=\"site/https\",action=\"permit\"}"
        ),
        "2"
    );
    assert_eq!(value("enforcer_enforcing{interface=\"IF\",direction=\"inbound\"}"), "1");
    assert_eq!(value("enforcer_enforcing{interface=\"IF\",direction=\"outbound\"}"), "0");
    assert_eq!(value("enforcer_drift{interface=\"IF\"}"), "0");
    assert_eq!(value("enforcer_deadline_armed{interface=\"IF\",kind=\"confirm\"}"), "0");
    assert!(!text.contains("198.18."), "no label holds an address");
    // Many clients and ports more make no more series, only another count of denied flows.
    let series = |text: &str| -> BTreeSet<String> {
        text.lines().map(|line| line.rsplit_once(' ').map_or(line, |(sample, _)| sample).to_owned()).collect()
    };
    for number in 0..200_u16 {
        let source = format!("10.9.{}.{}", number / 100, number % 100 + 1);
        let packet = Packet::new().ipv4(&source, "198.18.0.1").tcp(40_000, 1000 + number);
        stage.inbound(&packet, Reason::NoRule);
    }
    let after = read();
    assert_eq!(series(&after), series(&text));
    assert!(after.contains("\nenforcer_denied_flows 202\n"), "{after}");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let stage = stage();
    let text = stage.protected.run(&["counters", "--format", "prometheus"]).expect_code(0).stdout;
    let program = match harness::promtool::promtool() {
        Ok(program) => program,
        Err(why) => return skip(why),
    };
    let mut promtool = Command::new(program);
    let promtool =
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match promtool.spawn() {
        Ok(child) => child,
        Err(error) => return skip(&format!("promtool, of the package prometheus: {error}")),
    };
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{}\n{said}\n{text}", output.status);
}

#[test]
fn watching_tells_rates() {
    let stage = stage();
    let ran = stage.protected.run(&["counters", "--watch", "--count", "2", "--format", "json"]).expect_code(0);
    let lines: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    assert_eq!(lines.len(), 2, "{}", ran.stdout);
    for line in &lines {
        assert!(line["time"].is_string(), "{line}");
        let rule = &line["interfaces"][0]["rules"][0];
        assert_eq!((&rule["packets"].is_u64(), &rule["packets_per_second"]), (&true, &0.0.into()), "{rule}");
    }
    let table = stage.protected.run(&["counters", "--watch", "--count", "1"]).expect_code(0).stdout;
    assert!(table.contains("PACKETS/S") && !table.contains('\x1b'), "{table}");
    let refused = stage.protected.run(&["counters", "--watch", "--format", "csv"]).expect_code(2);
    assert!(refused.stderr.contains("Prometheus computes rates by itself"), "{}", refused.stderr);
}

#[test]
fn a_thousand_rules_are_each_listed_once_and_add_up() {
    const PERMITS: usize = 900;
    const RULES: usize = 1000;
    let id = |number: usize| format!("r{number:04}");
    let port = |number: usize| u16::try_from(10_000 + number).expect("a port");
    let rule = |number| format!("  - {{name: {}, protocol: tcp, ports: [{}]}}\n", id(number), port(number));
    let of = |numbers: std::ops::Range<usize>| numbers.map(rule).collect::<String>();
    let site = format!(
        "interfaces: [IF]\nmode: {{inbound: enforce, outbound: audit}}\nroles: []\nallow:\n{}deny:\n{}",
        of(0..PERMITS),
        of(PERMITS..RULES)
    );
    let stage = Stage::new(&site, "tc");
    // The first and the last of each kind are among them.
    let hit: BTreeMap<usize, u64> = (0..RULES)
        .filter(|number| number % 111 == 0 || *number == RULES - 1 || *number == PERMITS - 1)
        .zip(1..)
        .collect();
    assert!([0, PERMITS - 1, RULES - 1].iter().all(|number| hit.contains_key(number)), "{hit:?}");
    for (number, packets) in &hit {
        let packet = Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port(*number));
        let reason = if *number < PERMITS { Reason::Rule } else { Reason::Denied };
        for _ in 0..*packets {
            stage.inbound(&packet, reason);
        }
    }
    let json = stage.protected.run(&["counters", "--format", "json"]).expect_code(0).json();
    let listed = json["interfaces"][0]["rules"].as_array().expect("a list");
    let mut found = BTreeMap::new();
    for one in listed {
        let packets = one["packets"].as_u64().expect("a number");
        assert_eq!(one["last_hit"].is_string(), packets > 0, "{one}");
        let name = one["id"].as_str().expect("a name").to_owned();
        assert!(found.insert(name, packets).is_none(), "listed twice: {one}");
    }
    assert_eq!(found.remove("site/icmp-echo"), Some(0), "what a site says of the echo is a rule as well");
    let wanted: BTreeMap<String, u64> =
        (0..RULES).map(|number| (format!("site/{}", id(number)), hit.get(&number).copied().unwrap_or(0))).collect();
    let wrong: Vec<_> = found.iter().filter(|(name, packets)| wanted.get(*name) != Some(packets)).collect();
    assert_eq!((found.len(), wrong), (RULES, Vec::new()));
    let sum = |numbers: std::ops::Range<usize>| hit.range(numbers).map(|(_, packets)| packets).sum::<u64>();
    let counted = stage.protected.counters();
    for (name, packets) in [
        ("inbound reason rule pass", sum(0..PERMITS)),
        ("inbound verdict pass", sum(0..PERMITS)),
        ("inbound reason denied drop", sum(PERMITS..RULES)),
        ("inbound verdict drop", sum(PERMITS..RULES)),
    ] {
        assert_eq!(counted.of_name(name), packets, "{name}: {counted:?}");
    }
    let csv = stage.protected.run(&["counters", "--format", "csv"]).expect_code(0).stdout;
    assert_eq!(csv.lines().filter(|line| line.split(',').nth(1) == Some("rule")).count(), RULES + 1);
}

#[test]
fn a_map_of_another_size_in_the_place_of_ours_is_one_clear_error() {
    let stage = stage();
    let cable = &stage.protected.cable;
    let path = stage.protected.pin().with_file_name(format!("v{LAYOUT_VERSION}")).join(map::REASONS);
    fs::remove_file(&path).expect("it was pinned");
    bpf::pin(&bpf::program_array().expect("a map can be made"), &path).expect("the place is free");
    let ran =
        enforcer_with_input(&cable.host, &["apply", "-", "--hook", "tc"], &SITE.replace("IF", &cable.near.interface));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let told = format!("the map {} holds 4 bytes and not ", path.display());
    assert!(ran.stderr.contains(&told) && !ran.stderr.contains("verif"), "{}", ran.stderr);
}

/// A site with so many rules of its own, a port each.
fn many(letter: char, rules: u16) -> String {
    let rule = |number: u16| format!("  - {{name: {letter}{number:05}, protocol: tcp, ports: [{}]}}\n", 1001 + number);
    format!("interfaces: [IF]\nmode: enforce\nroles: []\nallow:\n{}", (0..rules).map(rule).collect::<String>())
}

#[test]
fn thousands_of_rules_replace_thousands_of_others_and_each_counts_its_own() {
    let protected = Protected::apply_site(Cable::new(), &many('a', 9000), &[]);
    let send = |ports: std::ops::Range<u16>| {
        let packets: Vec<Packet> =
            ports.map(|port| Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(40_000, port)).collect();
        protected.expect(Outcome::Passed, "rule", &packets);
    };
    // Packets of each rule, and of the reason under which all of them are counted.
    let counted = || {
        let json = protected.run(&["counters", "--format", "json"]).expect_code(0).json();
        let one = &json["interfaces"][0];
        let rules = one["rules"].as_array().expect("a list").iter();
        let packets = |rule: &serde_json::Value| (rule["id"].as_str().map(str::to_owned), rule["packets"].as_u64());
        let hit: BTreeMap<_, _> = rules.map(packets).filter(|(_, packets)| *packets != Some(0)).collect();
        let reasons = one["reasons"].as_array().expect("a list").iter();
        let of_rule = |one: &&serde_json::Value| one["reason"] == "rule" && one["direction"] == "inbound";
        (hit, reasons.filter(of_rule).filter_map(|one| one["packets"].as_u64()).sum::<u64>())
    };
    let of = |letter: char, numbers: std::ops::Range<u16>, packets: u64| -> BTreeMap<Option<String>, Option<u64>> {
        numbers.map(|number| (Some(format!("site/{letter}{number:05}")), Some(packets))).collect()
    };
    send(1001..1101);
    assert_eq!(counted(), (of('a', 0..100, 1), 100));

    // With a deadline the old policy may come back, and keeps its counters; what to do then is said, and works.
    let other = many('b', 10_000);
    let ran = protected.try_site(&other, &["--confirm-within", "60s"]).expect_code(2);
    assert!(ran.stderr.contains("apply it without --confirm-within"), "{}", ran.stderr);
    assert_eq!(counted(), (of('a', 0..100, 1), 100), "nothing was changed");
    protected.try_site(&other, &[]).expect_code(0);
    assert_eq!(counted(), (BTreeMap::new(), 100), "what others have counted is not theirs");
    send(1001..1201);
    assert_eq!(counted(), (of('b', 0..200, 1), 300));

    // And back: what the old rules have counted goes on.
    protected.try_site(&many('a', 9000), &[]).expect_code(0);
    assert_eq!(counted(), (of('a', 0..100, 1), 300));
    send(1001..1101);
    assert_eq!(counted(), (of('a', 0..100, 2), 400));
    let json = protected.run(&["status", "--format", "json"]).expect_code(0).json();
    assert_eq!(json["interfaces"][0]["drift"], false);
}
