//! What is not IP: address resolution, link maintenance, and ethertypes that the site names.

use enforcer_common::{Direction, Mode};

use super::text::Text;
use crate::policy::export::ordered::{Plan, is_audited};
use crate::policy::ruleset::{Action, Match};

pub(super) fn links(plan: &Plan<'_>, text: &mut Text) {
    for interface in plan.interfaces.iter().filter(|interface| !interface.is_pattern) {
        for direction in Direction::ALL {
            let denies = plan.rules(direction, Action::Deny).any(|rule| matches!(rule.matches, Match::Ethertype(_)));
            let judged = direction == Direction::Inbound || plan.ruleset.settings.outbound_judged;
            if !judged && !denies {
                continue;
            }
            let hook = if interface.receives(direction) { "ingress" } else { "egress" };
            // No interface has a slash in its name, and a chain has no at sign.
            let name = interface.name.replace('@', "/");
            let audit = interface.modes[direction as usize] == Mode::Audit;
            text.block(&format!("chain {}_{name}", direction.name()), |text| {
                text.line(&format!(
                    "type filter hook {hook} device \"{}\" priority filter; policy accept;",
                    interface.name
                ));
                link(plan, direction, audit, judged, text);
            });
        }
    }
}

fn link(plan: &Plan<'_>, direction: Direction, audit: bool, judged: bool, text: &mut Text) {
    let refuse = |reason: &str| format!("counter {} comment \"{reason}\"", if audit { "accept" } else { "drop" });
    // Of two tags the kernel has taken out the first; the ethertype behind the second follows its two bytes.
    for (tags, of) in [("", "meta protocol"), ("meta protocol { 8021q, 8021ad } ", "@nh,16,16")] {
        let known = "{ 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 }";
        text.line(&format!("{tags}{of} {known} accept"));
        for rule in [Action::Deny, Action::Permit].into_iter().flat_map(|action| plan.rules(direction, action)) {
            if let Match::Ethertype(ethertype) = rule.matches {
                let then = match rule.action {
                    Action::Deny if !is_audited(rule) => refuse(&rule.id),
                    Action::Deny | Action::Permit | Action::Internal => {
                        format!("counter accept comment \"{}\"", rule.id)
                    }
                };
                text.line(&format!("{tags}{of} 0x{ethertype:04x} {then}"));
            }
        }
    }
    if !judged {
        return;
    }
    text.line(&format!(
        "meta protocol {{ 8021q, 8021ad }} @nh,16,16 {{ 0x8100, 0x88a8 }} {}",
        refuse("reason vlan-depth")
    ));
    text.line("meta protocol { 8021q, 8021ad } @nh,16,16 0-0x5ff counter accept comment \"reason link-control\"");
    text.line(&format!("meta protocol {{ 8021q, 8021ad }} {}", refuse("reason ethertype")));
    // 802.3 (4: with LLC, 1: without). SNAP of the organisation 0 carries ethertypes (RFC 1042).
    text.line(&format!("meta protocol 0x0004 @nh,0,16 0xaaaa @nh,24,24 0 {}", refuse("reason ethertype")));
    text.line("meta protocol { 0x0001, 0x0004 } counter accept comment \"reason link-control\"");
    text.line(&refuse("reason ethertype"));
}
