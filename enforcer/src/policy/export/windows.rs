//! Windows Firewall, as PowerShell: what is permitted and denied are rules, and the default action refuses the rest.

use std::fmt::Write;
use std::ops::RangeInclusive;

use enforcer_common::Direction;
use ipnet::IpNet;

use super::Export;
use crate::policy::export::ordered::{PORT_PROTOCOLS, Plan, Remote, is_audited, range};
use crate::policy::ruleset::{Action, Match, Rule};

const GROUP: &str = "enforcer";

pub(super) fn write(plan: &Plan<'_>) -> Export {
    let mut script = Script { plan, lines: Vec::new(), left_out: Vec::new() };
    script.basics();
    for direction in Direction::ALL {
        for rule in [Action::Deny, Action::Permit].into_iter().flat_map(|action| plan.rules(direction, action)) {
            script.rule(rule);
        }
    }
    let Script { lines, left_out, .. } = script;
    let mut warnings = general(plan);
    warnings.extend(left_out);
    let mut text = String::new();
    for line in plan.header("Windows Firewall", &warnings) {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text.push_str("#Requires -RunAsAdministrator\n$ErrorActionPreference = 'Stop'\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "$old = @(Get-NetFirewallRule -Group '{GROUP}' -ErrorAction SilentlyContinue)");
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    // Rules first, then the default, and only then what an earlier script has left: nothing that is permitted is cut in between.
    let mut profile = String::new();
    if !plan.is_audit(Direction::Inbound) {
        profile.push_str(" -Enabled True -AllowInboundRules True -LogBlocked True -DefaultInboundAction Block");
    }
    if plan.ruleset.settings.outbound_judged && !plan.is_audit(Direction::Outbound) {
        profile.push_str(" -DefaultOutboundAction Block");
    }
    if !profile.is_empty() {
        let _ = writeln!(text, "Set-NetFirewallProfile -All{profile}");
    }
    text.push_str("$old | Remove-NetFirewallRule\n");
    // PowerShell takes typographic quotes for quotes, and Windows PowerShell reads a file without a mark in the code page of the
    // machine, where other letters become such quotes.
    let text = text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    Export { text, warnings }
}

fn general(plan: &Plan<'_>) -> Vec<String> {
    let mut warnings = vec![
        "other rules of the machine stay in force: look at `Get-NetFirewallRule -Enabled True -Action Allow | Where-Object \
         Group -ne 'enforcer'`, and disable what the policy does not permit"
            .to_owned(),
        "interfaces: rules hold on every interface but the loopback, whatever the site names".to_owned(),
        "counters: Windows counts no packets by rule; what is refused is in the firewall's log only".to_owned(),
        "packets: Windows judges conversations, not packets: fragments, tags, extension headers, martian addresses and frames \
         that are not IP are handled by its own rules; its timeouts cannot be set"
            .to_owned(),
        "internal: ports that are for the host itself are refused from the wire by the default action, as any other".to_owned(),
        "text: letters that are not ASCII are written as `?`".to_owned(),
        "changes: there is no deadline and no list of connections that would be cut".to_owned(),
    ];
    for direction in Direction::ALL {
        if plan.is_audit(direction) {
            warnings.push(format!(
                "audit: Windows has none; {} rules that refuse are written disabled, and the default action is left as it is{}",
                direction.name(),
                if direction == Direction::Inbound { ", as is whether the firewall is on" } else { "" }
            ));
        }
    }
    if let Some(names) = plan.audited_rules() {
        warnings.push(format!("audit: what {names} would only count is refused like everything else"));
    }
    warnings
}

struct Script<'a> {
    plan: &'a Plan<'a>,
    lines: Vec<String>,
    left_out: Vec<String>,
}

impl Script<'_> {
    /// What passes without a rule.
    fn basics(&mut self) {
        for (direction, way) in [("Inbound", Direction::Inbound), ("Outbound", Direction::Outbound)] {
            if way == Direction::Outbound && !self.plan.ruleset.settings.outbound_judged {
                continue;
            }
            let inbound = way == Direction::Inbound;
            let icmp4 = if inbound { " -IcmpType 3,11,12" } else { "" };
            let icmp6 = if inbound {
                " -IcmpType 1,2,3,4,130,131,132,133,134,135,136,141,142,143,148,149,151,152,153"
            } else {
                ""
            };
            self.line("reason icmp", direction, "Allow", &format!("-Protocol ICMPv4{icmp4}"), true);
            self.line("reason icmp", direction, "Allow", &format!("-Protocol ICMPv6{icmp6}"), true);
            self.line("reason igmp", direction, "Allow", "-Protocol 2", true);
            self.line("reason dhcp", direction, "Allow", "-Protocol UDP -LocalPort 68 -RemotePort 67", true);
            self.line("reason dhcp", direction, "Allow", "-Protocol UDP -LocalPort 546 -RemotePort 547", true);
            if !inbound {
                self.line("reason open", direction, "Allow", "-Protocol UDP -RemotePort 53,123", true);
                self.line("reason open", direction, "Allow", "-Protocol TCP -RemotePort 53", true);
            }
        }
    }

    fn rule(&mut self, rule: &Rule) {
        if rule.action == Action::Permit && rule.direction == Direction::Outbound {
            if rule.answer_any {
                self.left_out.push(format!(
                    "`{}`: its server answers from another port, which Windows takes for a new conversation",
                    rule.id
                ));
            }
            if !self.plan.ruleset.settings.outbound_judged {
                // Everything may leave.
                return;
            }
        }
        if rule.action == Action::Deny && is_audited(rule) {
            // Said with the others that are in audit by themselves.
            return;
        }
        let ports = |protocol: &str, ports: &[RangeInclusive<u16>]| {
            let side = if rule.direction == Direction::Inbound { "LocalPort" } else { "RemotePort" };
            let ports: Vec<String> = ports.iter().map(|ports| range(ports, "-")).collect();
            vec![(format!("-Protocol {protocol} -{side} {}", quoted(&ports)), None)]
        };
        let matches: Vec<(String, Option<bool>)> = match &rule.matches {
            Match::Ports { protocol: 6, ports: list } => ports("TCP", list),
            Match::Ports { protocol: 17, ports: list } => ports("UDP", list),
            Match::Ports { .. } => {
                self.left_out.push(Plan::left_out(rule, "Windows Firewall knows the ports of TCP and UDP alone"));
                return;
            }
            Match::Protocol(protocol) if PORT_PROTOCOLS.iter().any(|(of, _)| of == protocol) => {
                self.left_out.push(Plan::left_out(rule, "its packets are judged by ports, under `enforcer` too"));
                return;
            }
            Match::Protocol(protocol) => vec![(format!("-Protocol {protocol}"), None)],
            Match::Ethertype(_) => {
                self.left_out.push(Plan::left_out(rule, "Windows Firewall does not judge ethertypes"));
                return;
            }
            Match::Echo => vec![
                ("-Protocol ICMPv4 -IcmpType 8".to_owned(), Some(true)),
                ("-Protocol ICMPv6 -IcmpType 128".to_owned(), Some(false)),
            ],
        };
        for (matches, is_v4) in matches {
            let of_family = |net: &&IpNet| is_v4.is_none_or(|is_v4| net.addr().is_ipv4() == is_v4);
            let remote = match self.plan.remote(rule) {
                Remote::Any => String::new(),
                Remote::Nobody => {
                    self.lines.push(format!("# '{}' is for a peer without addresses", rule.id));
                    continue;
                }
                Remote::List(list) => {
                    let nets: Vec<String> = list.prefixes.iter().filter(of_family).map(ToString::to_string).collect();
                    if nets.is_empty() {
                        continue;
                    }
                    format!(" -RemoteAddress {}", quoted(&nets))
                }
            };
            let direction = if rule.direction == Direction::Inbound { "Inbound" } else { "Outbound" };
            let (action, enabled) = match rule.action {
                Action::Permit => ("Allow", true),
                Action::Deny | Action::Internal => ("Block", !self.plan.is_audit(rule.direction)),
            };
            let name = match self.plan.reason(rule) {
                Some(reason) => format!("{}: {reason}", rule.id),
                None => rule.id.clone(),
            };
            self.line(&name, direction, action, &format!("{matches}{remote}"), enabled);
        }
    }

    fn line(&mut self, name: &str, direction: &str, action: &str, matches: &str, enabled: bool) {
        let enabled = if enabled { "True" } else { "False" };
        let name = name.replace('\'', "''");
        self.lines.push(format!(
            "New-NetFirewallRule -Group '{GROUP}' -DisplayName '{GROUP} {name}' -Direction {direction} -Action {action} \
             -Enabled {enabled} {matches} | Out-Null"
        ));
    }
}

/// A list of PowerShell strings.
fn quoted(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("'{item}'")).collect();
    items.join(",")
}
