//! The two-ended check: what it finds is true, and in the reference estate all of it is explained.

use std::fmt::Write as _;

use enforcer::estate::attribution::Whose;
use enforcer::estate::check::{Finding, Kind, check};
use enforcer::estate::ends::Ends;
use enforcer::estate::explain::Asked;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::estate::Estate;
use enforcer::policy::ruleset::Match;
use enforcer_common::{Direction, Verdict};
use jiff::civil::date;
use serde::Deserialize;

use super::{estate, reference};

fn findings(estate: &Estate) -> Vec<Finding> {
    check(&Ends::new(estate, embedded().unwrap(), date(2026, 11, 30)).unwrap())
}

/// Findings of a kind, without what is said of hosts alone.
fn of(estate: &Estate, kind: Kind) -> Vec<(Whose, String, Vec<String>)> {
    let found = findings(estate).into_iter().filter(|finding| finding.kind == kind);
    found.map(|finding| (finding.whose, finding.message, finding.hosts)).collect()
}

#[derive(Deserialize)]
struct Explained {
    kind: String,
    about: String,
    why: String,
}

#[test]
fn no_finding_about_the_reference_estate_is_unexplained() {
    let text = std::fs::read_to_string("../examples/estate/findings.yaml").unwrap();
    let known: Vec<Explained> = serde_yaml::from_str(&text).unwrap();
    let found = findings(&estate(&reference()));
    let is_about = |known: &Explained, finding: &Finding| {
        known.kind == finding.kind.name() && finding.message.contains(&known.about)
    };
    let new: Vec<&Finding> = found
        .iter()
        .filter(|finding| finding.decision.is_none() && !known.iter().any(|known| is_about(known, finding)))
        .collect();
    assert!(new.is_empty(), "{new:#?}");
    for known in &known {
        assert!(found.iter().any(|finding| is_about(known, finding)), "nothing is found about {}", known.about);
        assert!(known.why.len() > 20);
    }
    // What the catalogue has decided is still found, and is the documents'.
    for decided in &embedded().unwrap().decisions.conversations {
        for service in &decided.services {
            let about = found.iter().find(|finding| finding.subject == *service && finding.kind.name() == decided.kind);
            assert_eq!(about.map(|finding| finding.whose), Some(Whose::Document), "{service}");
        }
    }
}

/// `tests:` are judged by the rules and not by the tables, so that hundreds of hosts need no tables.
#[test]
fn a_test_of_an_estate_holds_where_the_decision_code_says_so() {
    let reference = reference();
    let without = reference.split("\ntests:\n").next().unwrap();
    let whole = estate(&reference);
    let ends = Ends::new(&whole, embedded().unwrap(), date(2026, 11, 30)).unwrap();
    let hosts: Vec<&str> = ends.hosts.keys().copied().collect();
    let mut tests = String::from("\ntests:\n");
    let mut verdicts = [0; 2];
    for (number, from) in hosts.iter().enumerate() {
        for (step, to) in hosts.iter().cycle().skip(number + 1).step_by(11).take(4).enumerate() {
            // What the other end serves, in turns, and what is nobody's rule: names and time of a host itself always leave.
            let served = ends.hosts[to].rules.iter().filter_map(|rule| match &rule.matches {
                Match::Ports { protocol, ports } if rule.direction == Direction::Inbound => {
                    Some((*protocol, *ports[number % ports.len()].end()))
                }
                Match::Ports { .. } | Match::Protocol(_) | Match::Ethertype(_) | Match::Echo => None,
            });
            let mut asked: Vec<(u8, u16)> = served.skip(number % 3).step_by(5).take(2).collect();
            asked.push([(6, 9), (17, 53), (17, 123), (6, 3389)][step]);
            for (protocol, port) in asked {
                let name = ["tcp", "udp"][usize::from(protocol == 17)];
                let one = Asked::parse(&format!("{name} {from} -> {to}:{port}"), &whole).unwrap();
                let verdict = one.judged(&whole, embedded().unwrap(), date(2026, 11, 30)).unwrap().verdict;
                verdicts[usize::from(verdict == Verdict::Pass)] += 1;
                writeln!(tests, "  - {{from: {from}, to: {to}, {name}: {port}, expect: {verdict}}}").unwrap();
            }
        }
    }
    assert!(verdicts.iter().all(|count| *count > 30), "both verdicts are among them: {verdicts:?}");
    let with_tests = estate(&format!("{without}{tests}"));
    assert_eq!(of(&with_tests, Kind::Test), []);
}

const TWO: &str = "estate: e\ndefaults: {outbound: role}\nhosts:\n  \
                   fin: {addresses: [10.0.0.1], roles: [finesse]}\n  \
                   pg-a: {addresses: [10.0.0.2], roles: [{role: cce-cti-server, instance: 3, side: a}]}\n";

#[test]
fn what_one_end_lets_out_and_the_other_does_not_let_in_is_found() {
    let text = format!(
        "{TWO}allow:\n  - {{name: ftp, hosts: [fin], direction: out, protocol: tcp, ports: [20-21], to: [pg-a]}}\n"
    );
    let found = of(&estate(&text), Kind::NotLetIn);
    let expected = "`site/ftp` lets out tcp 20-21, and the server does not let it in: the entry `ftp` lets it out, and nothing lets it in";
    assert_eq!(found, [(Whose::Estate, expected.to_owned(), vec!["fin -> pg-a".to_owned()])]);
    // The entry of the other end answers.
    let answered = text + "  - {name: ftp-in, hosts: [pg-a], protocol: tcp, ports: [20-21], from: [fin]}\n";
    assert_eq!(of(&estate(&answered), Kind::NotLetIn), []);
}

#[test]
fn what_one_end_lets_in_and_the_other_does_not_let_out_is_found() {
    let text = format!("{TWO}allow:\n  - {{name: probe, hosts: [fin], protocol: tcp, ports: [9100], from: [pg-a]}}\n");
    let found = of(&estate(&text), Kind::NotLetOut);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].2.as_slice()), (Whose::Estate, ["pg-a -> fin".to_owned()].as_slice()));
}

#[test]
fn a_limit_or_a_deny_at_the_other_end_is_the_estates() {
    let denied =
        format!("{TWO}deny:\n  - {{name: no-cti, hosts: [pg-a], protocol: tcp, ports: [42147], from: [fin]}}\n");
    let found = of(&estate(&denied), Kind::NotLetIn);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == Whose::Estate && found[0].1.contains("`site/no-cti` denies it"), "{found:?}");
    let limited = format!("{TWO}limit:\n  - {{service: cce-cti-server/ged-188, from: [10.9.0.0/24]}}\n");
    let found = of(&estate(&limited), Kind::NotLetIn);
    assert!(found.len() == 1 && found[0].1.contains("`limit` narrows `cce-cti-server/ged-188`"), "{found:?}");
}

#[test]
fn nobody_computes_the_ports_of_the_other_end() {
    // 42027 + 40 * 3, from the CTI server's own row; what Finesse prints for instance 0 leads to nobody.
    assert_eq!(super::permits(&estate(TWO), "fin", "cce-cti-server/ged-188"), ["outbound 42147 -> 10.0.0.2/32"]);
    assert_eq!(super::permits(&estate(TWO), "fin", "finesse/cti-a"), ["outbound 42027 -> "]);
}

#[test]
fn names_that_nothing_uses_and_devices_of_which_nothing_is_said_are_found() {
    let text = format!("{TWO}outside: {{phonez: [10.1.0.0/16]}}\n");
    assert!(of(&estate(&text), Kind::Unused)[0].1.contains("`phonez`"));
    let unbound = of(&estate(TWO), Kind::Unbound);
    assert!(unbound.iter().any(|(_, message, _)| message.contains("`client-workstations`")), "{unbound:?}");
}

#[test]
fn tests_hold_at_both_ends_and_for_every_address() {
    let tests = |tests: &str| {
        of(&estate(&format!("{TWO}outside: {{client-workstations: [10.30.0.0/16]}}\ntests: [{tests}]\n")), Kind::Test)
    };
    assert_eq!(tests("{from: fin, to: pg-a, tcp: 42147, expect: pass}"), []);
    assert_eq!(tests("{from: client-workstations, to: fin, tcp: 443, expect: pass}"), []);
    assert_eq!(tests("{from: 192.0.2.1, to: fin, tcp: 443, expect: drop}"), []);
    let wrong = tests("{from: fin, to: pg-a, tcp: 42148, expect: pass}");
    assert!(wrong[0].1.ends_with("and `fin` does not let it out"), "{wrong:?}");
    // Half of the network is let in.
    let wrong = tests("{from: 10.30.0.0/15, to: fin, tcp: 443, expect: pass}");
    assert!(wrong[0].1.contains("(10.31."), "{wrong:?}");
    let wrong = tests("{from: 10.0.0.0/8, to: fin, tcp: 443, expect: drop}");
    assert!(wrong[0].1.contains("from 10.30.0.0 to 10.0.0.1 it passes"), "{wrong:?}");
}
