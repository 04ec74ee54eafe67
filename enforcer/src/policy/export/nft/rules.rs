//! The rules of a policy as lines, with what else depends on the ports and protocols that they name.

use std::ops::RangeInclusive;

use enforcer_common::numbers::{SCTP, UDP};
use enforcer_common::{Direction, Reason};

use super::text::{Text, braced, shortened};
use crate::policy::export::ordered::{EXTENSIONS, Family, Plan, is_audited, is_never_asked};
use crate::policy::ruleset::{Action, Match, Rule};

/// Deny and permit rules for ports.
pub(super) fn rules(plan: &Plan<'_>, direction: Direction, protocol: u8, name: &str, text: &mut Text) {
    for action in [Action::Deny, Action::Permit] {
        for rule in plan.rules(direction, action) {
            let Match::Ports { protocol: of, ports } = &rule.matches else { continue };
            if *of != protocol {
                continue;
            }
            let matches = match ports.as_slice() {
                [all] if *all == (0..=u16::MAX) => String::new(),
                ports => format!("{name} dport {}", braced(ports)),
            };
            text.rule(plan, rule, &matches, &[Family::V4, Family::V6], &verdict(rule));
        }
        if action == Action::Deny && direction == Direction::Outbound {
            remember_any_port(plan, protocol, name, text);
        }
    }
}

pub(super) fn answers_from_any_port<'a>(plan: &'a Plan<'_>) -> impl Iterator<Item = &'a Rule> {
    plan.rules(Direction::Outbound, Action::Permit).filter(|rule| {
        // TCP has no such servers.
        rule.answer_any && matches!(rule.matches, Match::Ports { protocol: UDP | SCTP, .. })
    })
}

pub(super) fn denied_ports(plan: &Plan<'_>, direction: Direction, protocol: u8) -> Vec<RangeInclusive<u16>> {
    let ports = plan.rules(direction, Action::Deny).filter_map(|rule| match &rule.matches {
        Match::Ports { protocol: of, ports } if *of == protocol => Some(ports.clone()),
        Match::Ports { .. } | Match::Protocol(_) | Match::Ethertype(_) | Match::Echo => None,
    });
    crate::policy::catalogue::merge_ranges(ports.flatten().collect())
}

pub(super) fn refused_ports(plan: &Plan<'_>, direction: Direction, protocol: u8, name: &str, text: &mut Text) {
    for found in plan.refusals(direction, protocol) {
        let then = if found.audited {
            format!("counter accept comment \"reason {}, in audit\"", found.reason.name())
        } else {
            refusal(direction, found.reason)
        };
        text.ports(&format!("{name} dport"), &found.ports, &then);
    }
}

pub(super) fn echo(plan: &Plan<'_>, of: &str, family: Family, text: &mut Text) {
    for rule in [Action::Deny, Action::Permit].into_iter().flat_map(|action| plan.rules(Direction::Inbound, action)) {
        if rule.matches == Match::Echo {
            text.rule(plan, rule, of, &[family], &verdict(rule));
        }
    }
}

/// Rules for protocols as a whole.
pub(super) fn protocols(plan: &Plan<'_>, direction: Direction, text: &mut Text) {
    let number = |rule: &Rule| match rule.matches {
        Match::Protocol(protocol) if !is_never_asked(&rule.matches) => Some(protocol),
        Match::Protocol(_) | Match::Ports { .. } | Match::Ethertype(_) | Match::Echo => None,
    };
    let families = |protocol| {
        let mut families = vec![Family::V4];
        if !EXTENSIONS.contains(&protocol) {
            families.push(Family::V6);
        }
        families
    };
    let matches = |family: Family, protocol| match family {
        Family::V4 => format!("ip protocol {protocol}"),
        Family::V6 => format!("meta nfproto ipv6 meta l4proto {protocol}"),
    };
    for action in [Action::Deny, Action::Permit] {
        for rule in plan.rules(direction, action) {
            let Some(protocol) = number(rule) else { continue };
            for family in families(protocol) {
                text.rule(plan, rule, &matches(family, protocol), &[family], &verdict(rule));
            }
        }
    }
    for protocol in plan.audited_protocols(direction) {
        for family in families(protocol) {
            text.line(&format!("{} counter accept comment \"in audit\"", matches(family, protocol)));
        }
    }
}

pub(super) fn refusal(direction: Direction, reason: Reason) -> String {
    format!("counter goto refuse_{} comment \"reason {}\"", direction.name(), reason.name())
}

/// Remembers who may answer from any port, whichever rule then permits the question.
fn remember_any_port(plan: &Plan<'_>, protocol: u8, name: &str, text: &mut Text) {
    for rule in answers_from_any_port(plan) {
        let Match::Ports { protocol: of, ports } = &rule.matches else { continue };
        if *of != protocol {
            continue;
        }
        let matches = format!("{name} dport {}", braced(ports));
        for (family, ip, of) in [(Family::V4, "ip", "ipv4"), (Family::V6, "ip6", "ipv6")] {
            let update = format!("update @{} {{ {ip} daddr . {ip} saddr . {name} sport }}", family.any_port());
            text.rule(plan, rule, &format!("meta nfproto {of} {matches}"), &[family], &update);
        }
    }
}

fn verdict(rule: &Rule) -> String {
    let then = match rule.action {
        Action::Permit => "accept".to_owned(),
        Action::Deny | Action::Internal if is_audited(rule) => "accept".to_owned(),
        Action::Deny | Action::Internal => format!("goto refuse_{}", rule.direction.name()),
    };
    format!("counter {then} comment \"{}\"", shortened(&rule.id))
}
