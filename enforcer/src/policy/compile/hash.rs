//! The policy hash: equal for equal decisions about packets, whatever the words around them.

use std::collections::HashMap;
use std::fmt::Write;

use enforcer_common::layout::FLOWS;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::policy::catalogue::format_ranges;
use crate::policy::ruleset::{Action, Match, Rule, Scope, Settings};

/// SHA-256 in hexadecimal over every rule (id, direction, action, match, addresses, mode, answers) and the settings.
///
/// Summaries, sources and the mode of the host as a whole are left out: they decide nothing about what is permitted.
pub(super) fn policy_hash(rules: &[Rule], settings: &Settings) -> String {
    let mut lists: HashMap<*const IpNet, String> = HashMap::new();
    let mut hasher = Sha256::new();
    for rule in rules {
        let remote = rule.prefixes.as_ref().map_or("any", |prefixes| {
            // Thousands of rules may share a list of thousands of prefixes: it is hashed once.
            lists.entry(prefixes.as_ptr()).or_insert_with(|| hash_list(prefixes))
        });
        let action = match rule.action {
            Action::Deny => "deny",
            Action::Permit => "permit",
            Action::Internal => "internal",
        };
        let matches = match &rule.matches {
            Match::Ports { protocol, ports } => format!("ports {protocol} {}", format_ranges(ports)),
            Match::Protocol(protocol) => format!("protocol {protocol}"),
            Match::Ethertype(ethertype) => format!("ethertype {ethertype}"),
            Match::Echo => "echo".to_owned(),
        };
        let mode = rule.mode.map_or("host", enforcer_common::Mode::name);
        let line =
            format!("{} {} {action} {matches} {remote} {mode} {}\n", rule.id, rule.direction.name(), rule.answer_any);
        hasher.update(line);
    }
    let scope = match settings.scope {
        None => "unset",
        Some(Scope::All) => "all",
        Some(Scope::Host) => "host",
    };
    let flows = settings.flows;
    // Said aloud, the default holds for guests as well.
    let is_said = if flows.entries == Some(FLOWS) { " said" } else { "" };
    hasher.update(format!(
        "outbound {} scope {scope} flows {} {} {} {} {} {}{is_said}\n",
        settings.outbound_judged,
        flows.entries4(false),
        flows.tcp,
        flows.tcp_closing,
        flows.udp,
        flows.one_way,
        flows.icmp
    ));
    hex(&hasher.finalize())
}

fn hash_list(prefixes: &[IpNet]) -> String {
    let mut hasher = Sha256::new();
    for prefix in prefixes {
        hasher.update(format!("{prefix}\n"));
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
