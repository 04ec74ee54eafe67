//! What holds for every target: rules, warnings, modes, foreign text.

use std::collections::BTreeMap;

use enforcer::fixtures::sites::every_role;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::export::{Export, Target, export};
use enforcer::policy::ruleset::{Action, Match};
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use enforcer_common::{Direction, Mode};
use jiff::civil::date;

use super::{SMALL, compiled};

/// A rule is in the text with all its ports, or a warning names it. Rules for nobody permit nothing; internal ports are refused
/// with the rest where a target has no reasons; what may leave anyhow needs no rule.
#[test]
fn no_rule_of_any_role_is_dropped_in_silence() {
    let mut compared = 0;
    for (name, text) in every_role(embedded().unwrap(), "eth0") {
        let (site, compiled) = compiled(&text);
        for target in Target::ALL {
            let Export { text, warnings } = export(target, &site, &compiled, None).unwrap();
            let lines = lines_by_rule(target, &text);
            for rule in &compiled.ruleset.rules {
                let is_refused_with_the_rest = rule.action == Action::Internal;
                let needs_none = rule.direction == Direction::Outbound
                    && rule.action == Action::Permit
                    && !compiled.ruleset.settings.outbound_judged;
                let is_for_nobody = rule.prefixes.as_ref().is_some_and(|prefixes| prefixes.is_empty());
                let warned = warnings.iter().any(|warning| warning.contains(&rule.id));
                let Some(lines) = lines.get(&rule.id) else {
                    let is_said = warned || is_refused_with_the_rest || needs_none || is_for_nobody;
                    assert!(is_said, "{target:?} of {name}: {rule:#?}\n{text}");
                    continue;
                };
                let Match::Ports { ports, .. } = &rule.matches else { continue };
                for range in ports.iter().filter(|range| **range != (0..=u16::MAX)) {
                    let (start, end) = (range.start(), range.end());
                    let words = match target {
                        _ if start == end => vec![start.to_string()],
                        Target::Nft | Target::Windows => vec![format!("{start}-{end}")],
                        Target::Iptables => vec![format!("{start}:{end}")],
                        Target::IosAcl => vec!["range".to_owned(), start.to_string(), end.to_string()],
                    };
                    let found = lines.windows(words.len()).any(|found| found == words);
                    assert!(found, "{target:?} of {name}: {words:?} of {rule:#?}: {lines:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 5000, "{compared}");
}

#[test]
fn every_warning_is_in_the_header() {
    for (_, text) in every_role(embedded().unwrap(), "eth0") {
        let (site, compiled) = compiled(&text);
        for target in Target::ALL {
            let Export { text, warnings } = export(target, &site, &compiled, None).unwrap();
            let header = text.lines().take_while(|line| line.starts_with(['#', '!']));
            let words: String = header.flat_map(|line| line[1..].split_whitespace()).collect();
            for warning in warnings {
                let squeezed: String = warning.split_whitespace().collect();
                assert!(words.contains(&squeezed), "{target:?}: {warning}\n{text}");
            }
        }
    }
}

#[test]
fn audit_refuses_nothing_and_enforce_does() {
    for (name, text) in every_role(embedded().unwrap(), "eth0") {
        let (site, compiled) = compiled(&text);
        for target in Target::ALL {
            for (mode, expected) in [(Mode::Audit, false), (Mode::Enforce, true)] {
                let text = export(target, &site, &compiled, Some(mode)).unwrap().text;
                let refuses = match target {
                    Target::Nft => {
                        text.lines().any(|line| line.split(' ').any(|word| word == "drop" || word == "reject"))
                    }
                    Target::Iptables => {
                        text.lines().any(|line| line.ends_with("-j DROP") || line.ends_with("-j REJECT"))
                    }
                    // The firewall that is turned on refuses by its own defaults.
                    Target::Windows => ["Block -Enabled True", "Action Block\n", "Profile -All -Enabled"]
                        .iter()
                        .any(|refusal| text.contains(refusal)),
                    Target::IosAcl => text.lines().any(|line| line.starts_with(" deny")),
                };
                assert_eq!(refuses, expected, "{target:?} of {name} in {mode:?}\n{text}");
            }
        }
    }
}

/// Where every rule for a protocol is in audit, whom they do not name is counted, and not refused.
#[test]
fn a_protocol_of_rules_in_audit_is_refused_to_nobody() {
    let (site, compiled) = compiled(
        "interfaces: [eth0]\nmode: enforce\nroles: []\nallow:\n  \
         - {name: esp, protocol: esp, from: [10.0.0.1], mode: audit}\n  - {name: gre, protocol: gre, from: [10.0.0.1]}\n",
    );
    for (target, esp, gre) in [
        (Target::Nft, "ip protocol 50 counter accept", "ip protocol 47 counter accept"),
        (
            Target::Iptables,
            "-A ENFORCER-IN -p 50 -m comment --comment \"in audit\" -j ACCEPT",
            "-A ENFORCER-IN -p 47 -m comment --comment \"in audit\" -j ACCEPT",
        ),
        (Target::IosAcl, " permit 50 any any log", " permit 47 any any log"),
    ] {
        let text = export(target, &site, &compiled, None).unwrap().text;
        assert!(text.contains(esp) && !text.contains(gre), "{text}");
    }
}

#[test]
fn a_line_break_in_a_file_name_begins_no_line() {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("a\nflush ruleset", SMALL), catalogue).unwrap();
    let compiled = compile(&site, catalogue, date(2026, 8, 1)).unwrap();
    for target in Target::ALL {
        let text = export(target, &site, &compiled, None).unwrap().text;
        assert!(!text.lines().any(|line| line.starts_with("flush")), "{text}");
    }
}

#[test]
fn a_line_break_in_a_reason_begins_no_line() {
    let (site, compiled) =
        compiled(&SMALL.replace("reason: dashboards", "reason: \"a\\nflush ruleset\\n:INPUT ACCEPT\""));
    for target in Target::ALL {
        let text = export(target, &site, &compiled, None).unwrap().text;
        assert!(text.contains("flush ruleset"), "the reason is written: {text}");
        assert!(!text.lines().any(|line| line.starts_with("flush") || line.starts_with(":INPUT ACC")), "{text}");
    }
}

/// The words of all lines that stand for a rule, by its id: port ranges are a word each.
fn lines_by_rule(target: Target, text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut remark = None;
    for line in text.lines() {
        let between = |before: &str, after: &str| {
            let (_, rest) = line.split_once(before)?;
            rest.split_once(after).map(|(name, _)| name.to_owned())
        };
        let name = match target {
            Target::Nft => between("comment \"", "\""),
            Target::Iptables => between("--comment \"", "\""),
            Target::Windows => between("-DisplayName 'enforcer ", "'"),
            Target::IosAcl => {
                if let Some(name) = line.strip_prefix(" remark ") {
                    remark = Some(name.to_owned());
                    continue;
                }
                remark.clone()
            }
        };
        let Some(name) = name else { continue };
        // The operator's reason follows the id.
        let id = name.split(':').next().unwrap_or_default().to_owned();
        let words = line.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | ':')).map(str::to_owned);
        found.entry(id).or_default().extend(words);
    }
    found
}
