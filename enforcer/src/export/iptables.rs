//! iptables: a shell script that feeds `iptables-restore` and `ip6tables-restore`, each in one transaction.
//!
//! Only chains of our own are written (`ENFORCER-*`), and the script hooks them in once. Peers are chains that accept or refuse
//! by source, because iptables has no sets of its own.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::RangeInclusive;

use enforcer_common::{Direction, Mode, Reason};
use ipnet::IpNet;

use super::Export;
use super::plan::{EXTENSIONS, Guarded, PORT_PROTOCOLS, Plan, Refusal, Remote, is_audited, range};
use crate::ruleset::{Action, Match, Rule};

/// Ports in one `multiport`, where a range counts as two.
const MULTIPORT: usize = 15;
const ANSWER: &str = "-m conntrack --ctstate ESTABLISHED --ctdir REPLY";

pub(super) fn write(plan: &Plan<'_>) -> Export {
    let warnings = warnings(plan);
    let mut text = "#!/bin/sh\n".to_owned();
    for line in plan.header("iptables", &warnings) {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text.push_str("set -e\n");
    for family in [Family::V4, Family::V6] {
        let program = family.program();
        let rules = Rules { plan, family, chains: BTreeSet::new(), lines: Vec::new() }.written();
        // Writing to a string cannot fail.
        let _ = write!(text, "{program}-restore --noflush <<'END'\n{rules}END\n");
        for (chain, side, target) in hooks(plan) {
            let rule = format!("{chain} {side} -j {target}");
            let _ = writeln!(text, "{program} -C {rule} 2>/dev/null || {program} -A {rule}");
        }
    }
    Export { text, warnings }
}

fn warnings(plan: &Plan<'_>) -> Vec<String> {
    let mut warnings = vec![
        "tags: packets of a VLAN are judged where its interface is called `PARENT.NUMBER`; name other VLAN interfaces \
         among the protected ones"
            .to_owned(),
        "frames that are not IP are not judged: iptables does not see them".to_owned(),
        "fragments: conntrack puts datagrams together before a rule sees them; the reasons `fragment` and `tiny-fragment` do \
         not occur"
            .to_owned(),
        "headers: what the kernel's own IP code throws away is not counted as `malformed`; the number of IPv6 extension \
         headers has no limit"
            .to_owned(),
        "conversations: conntrack also looks at checksums, TCP flags and sequence numbers, answers leave only where their \
         question was seen, and its timeouts are sysctls (net.netfilter.nf_conntrack_*)"
            .to_owned(),
        "changes: IPv4 and IPv6 are two transactions; there is no deadline and no list of connections that would be cut"
            .to_owned(),
    ];
    for rule in &plan.ruleset.rules {
        if matches!(rule.matches, Match::Ethertype(_)) {
            warnings.push(Plan::left_out(rule, "iptables does not see ethertypes"));
        } else if is_never_asked(&rule.matches) {
            warnings.push(Plan::left_out(rule, "its packets are judged by ports or types, under `enforcer` too"));
        } else if rule.answer_any && rule.action == Action::Permit {
            warnings.push(format!(
                "`{}`: its server answers from another port, which takes a conntrack helper, such as `modprobe nf_conntrack_tftp` and \
                 `iptables -t raw -A OUTPUT -p udp --dport 69 -j CT --helper tftp`",
                rule.id
            ));
        }
    }
    if plan.interfaces.iter().any(|interface| interface.guest) {
        warnings.push(
            "guests: what a bridge passes to a guest meets these rules only with br_netfilter \
             (net.bridge.bridge-nf-call-iptables=1 and -ip6tables=1)"
                .to_owned(),
        );
    }
    warnings
}

fn is_never_asked(matches: &Match) -> bool {
    matches!(matches, Match::Protocol(protocol) if PORT_PROTOCOLS.iter().any(|(of, _)| of == protocol))
}

/// Where our chains are called from: built-in chain, interface, our chain.
fn hooks(plan: &Plan<'_>) -> Vec<(&'static str, String, &'static str)> {
    let mut hooks = Vec::new();
    let outbound = judges_outbound(plan);
    for interface in &plan.interfaces {
        for direction in Direction::ALL.into_iter().filter(|direction| *direction == Direction::Inbound || outbound) {
            for side in interface.sides(direction) {
                if !interface.guest {
                    let chain = if direction == Direction::Inbound { "INPUT" } else { "OUTPUT" };
                    hooks.push((chain, side.clone(), chain_of(direction)));
                }
                if interface.forwards {
                    hooks.push(("FORWARD", side, chain_of(direction)));
                }
            }
        }
    }
    if plan.interfaces.is_empty() {
        hooks.push(("INPUT", "! -i lo".to_owned(), chain_of(Direction::Inbound)));
        if outbound {
            hooks.push(("OUTPUT", "! -o lo".to_owned(), chain_of(Direction::Outbound)));
        }
    }
    hooks
}

fn judges_outbound(plan: &Plan<'_>) -> bool {
    plan.ruleset.settings.outbound_judged || plan.rules(Direction::Outbound, Action::Deny).next().is_some()
}

const fn chain_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "ENFORCER-IN",
        Direction::Outbound => "ENFORCER-OUT",
    }
}

const fn refuse_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "ENFORCER-NOT-IN",
        Direction::Outbound => "ENFORCER-NOT-OUT",
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn program(self) -> &'static str {
        match self {
            Self::V4 => "iptables",
            Self::V6 => "ip6tables",
        }
    }

    fn has(self, net: &IpNet) -> bool {
        (self == Self::V4) == net.addr().is_ipv4()
    }
}

impl Guarded {
    fn sides(&self, direction: Direction) -> Vec<String> {
        let side = if (direction == Direction::Inbound) == self.guest { "-o" } else { "-i" };
        // A `+` stands for any rest of the name.
        if self.is_pattern {
            return vec![format!("{side} {}+", self.name)];
        }
        vec![format!("{side} {}", self.name), format!("{side} {}.+", self.name)]
    }
}

/// The rules of one family.
struct Rules<'a> {
    plan: &'a Plan<'a>,
    family: Family,
    chains: BTreeSet<String>,
    lines: Vec<String>,
}

impl<'a> Rules<'a> {
    fn written(mut self) -> String {
        self.inbound();
        if judges_outbound(self.plan) {
            self.outbound();
        }
        let mut text = "*filter\n".to_owned();
        for chain in &self.chains {
            // Writing to a string cannot fail.
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for line in &self.lines {
            let _ = writeln!(text, "-A {line}");
        }
        text.push_str("COMMIT\n");
        text
    }

    fn rule(&mut self, chain: &str, matches: &str, target: &str, comment: &str) {
        self.chains.insert(chain.to_owned());
        let space = if matches.is_empty() { "" } else { " " };
        // xt_comment: 256 bytes, with the final zero.
        let comment: String = comment.chars().take(255).collect();
        self.lines.push(format!("{chain}{space}{matches} -m comment --comment \"{comment}\" -j {target}"));
    }

    fn refuse(&mut self, chain: &str, matches: &str, direction: Direction, reason: Reason) {
        self.rule(chain, matches, refuse_of(direction), &format!("reason {}", reason.name()));
    }

    /// The end of all refusals of a direction, where the mode is.
    fn refusals(&mut self, direction: Direction) {
        let plan = self.plan;
        let chain = refuse_of(direction);
        for interface in &plan.interfaces {
            let (target, comment) = match interface.modes[direction as usize] {
                Mode::Audit => ("ACCEPT", "audit"),
                Mode::Enforce => ("DROP", "enforce"),
            };
            for side in interface.sides(direction) {
                self.rule(chain, &side, target, comment);
            }
        }
        let audit = plan.interfaces.is_empty() && plan.modes[direction as usize] == Mode::Audit;
        let (target, comment) = if audit { ("ACCEPT", "audit") } else { ("DROP", "enforce") };
        self.rule(chain, "", target, comment);
    }

    fn inbound(&mut self) {
        const IN: Direction = Direction::Inbound;
        let chain = chain_of(IN);
        self.refusals(IN);
        if self.plan.interfaces.iter().any(|interface| interface.is_pattern) {
            self.rule(chain, "-i lo", "RETURN", "no pattern speaks of the loopback");
        }
        let (martians, unspecified, icmp): (&[&str], _, _) = match self.family {
            Family::V4 => (&["127.0.0.0/8", "224.0.0.0/4", "255.255.255.255"], "0.0.0.0", "icmp"),
            Family::V6 => (&["::1", "ff00::/8"], "::", "ipv6-icmp"),
        };
        for martian in martians {
            self.refuse(chain, &format!("-s {martian}"), IN, Reason::Martian);
        }
        let from_us = "-m addrtype --src-type LOCAL";
        for interface in self.plan.interfaces.iter().filter(|interface| !interface.guest) {
            for side in interface.sides(IN) {
                self.refuse(chain, &format!("{side} {from_us}"), IN, Reason::Martian);
            }
        }
        if self.family == Family::V4 {
            self.rule(chain, "-p 2", "ACCEPT", "reason igmp");
            let asks = "-s 0.0.0.0 -p udp --sport 68 --dport 67";
            self.rule(chain, asks, "ENFORCER-IN-udp", "an address is asked for");
            self.refuse(chain, &format!("-s {unspecified}"), IN, Reason::Martian);
        } else {
            self.refuse(chain, "-m rt --rt-type 0", IN, Reason::RoutingHeader);
            for kind in [130, 131, 132, 133, 135, 143] {
                self.rule(
                    chain,
                    &format!("-s :: -p ipv6-icmp --icmpv6-type {kind}"),
                    "ENFORCER-IN-icmp",
                    "no address yet",
                );
            }
            self.refuse(chain, &format!("-s {unspecified}"), IN, Reason::Martian);
        }
        self.rule(chain, &format!("-p {icmp}"), "ENFORCER-IN-icmp", "by type");
        self.icmp();
        for (protocol, name) in PORT_PROTOCOLS {
            let ports = format!("{chain}-{name}");
            self.rule(chain, &format!("-p {name}"), &ports, "by port");
            let answer =
                if name == "tcp" { format!("-p tcp ! --tcp-flags SYN,ACK SYN {ANSWER}") } else { ANSWER.to_owned() };
            let denied = self.rules_for_ports(IN, Action::Deny, protocol);
            if !denied.is_empty() {
                self.rule(&ports, &answer, "ACCEPT", "reason flow");
            }
            self.ports(&ports, name, denied);
            let permitted = self.rules_for_ports(IN, Action::Permit, protocol);
            self.ports(&ports, name, permitted);
            self.rule(&ports, &answer, "ACCEPT", "reason flow");
            if name == "udp" {
                let (server, client) = if self.family == Family::V4 { (67, 68) } else { (547, 546) };
                self.rule(&ports, &format!("-p udp --sport {server} --dport {client}"), "ACCEPT", "reason dhcp");
            }
            self.refused_ports(IN, &ports, protocol, name);
            self.refuse(&ports, "", IN, Reason::NoRule);
        }
        self.protocols(IN);
        self.refuse(chain, "", IN, Reason::Protocol);
    }

    fn icmp(&mut self) {
        const IN: Direction = Direction::Inbound;
        const CHAIN: &str = "ENFORCER-IN-icmp";
        let (option, passing, request, reply, redirect): (_, &[u8], _, _, _) = match self.family {
            Family::V4 => ("-p icmp --icmp-type", &[3, 11, 12], 8, 0, 5),
            Family::V6 => {
                ("-p ipv6-icmp --icmpv6-type", &[1, 2, 3, 4, 130, 131, 132, 143, 151, 152, 153], 128, 129, 137)
            }
        };
        for kind in passing {
            self.rule(CHAIN, &format!("{option} {kind}"), "ACCEPT", "reason icmp");
        }
        let plan = self.plan;
        let echo = [Action::Deny, Action::Permit].into_iter().flat_map(|action| plan.rules(IN, action));
        for rule in echo.filter(|rule| rule.matches == Match::Echo) {
            self.by_peers(CHAIN, &format!("{option} {request}"), rule);
        }
        self.refuse(CHAIN, &format!("{option} {request}"), IN, Reason::EchoDrop);
        self.rule(CHAIN, &format!("{option} {reply} {ANSWER}"), "ACCEPT", "reason flow");
        if self.family == Family::V6 {
            for kind in [133, 134, 135, 136, 141, 142, 148, 149] {
                self.rule(CHAIN, &format!("{option} {kind} -m hl --hl-eq 255"), "ACCEPT", "reason icmp");
            }
        }
        self.refuse(CHAIN, &format!("{option} {redirect}"), IN, Reason::Redirect);
        self.refuse(CHAIN, "", IN, Reason::IcmpType);
    }

    fn outbound(&mut self) {
        const OUT: Direction = Direction::Outbound;
        let chain = chain_of(OUT);
        let judged = self.plan.ruleset.settings.outbound_judged;
        self.refusals(OUT);
        if self.plan.interfaces.iter().any(|interface| interface.is_pattern) {
            self.rule(chain, "-o lo", "RETURN", "no pattern speaks of the loopback");
        }
        for icmp in if self.family == Family::V4 { &["icmp", "2"][..] } else { &["ipv6-icmp"] } {
            self.rule(chain, &format!("-p {icmp}"), "ACCEPT", "reason icmp, igmp");
        }
        for (protocol, name) in PORT_PROTOCOLS {
            let ports = format!("{chain}-{name}");
            self.rule(chain, &format!("-p {name}"), &ports, "by port");
            let answer =
                if name == "tcp" { format!("-p tcp ! --tcp-flags SYN,ACK SYN {ANSWER}") } else { ANSWER.to_owned() };
            self.rule(&ports, &answer, "ACCEPT", "reason rule");
            for action in [Action::Deny, Action::Permit] {
                let rules = self.rules_for_ports(OUT, action, protocol);
                self.ports(&ports, name, rules);
            }
            if judged {
                if name != "sctp" {
                    self.rule(&ports, &format!("-p {name} --dport 53"), "ACCEPT", "reason open");
                }
                if name == "udp" {
                    self.rule(&ports, "-p udp --dport 123", "ACCEPT", "reason open");
                    let (server, client) = if self.family == Family::V4 { (67, 68) } else { (547, 546) };
                    self.rule(&ports, &format!("-p udp --sport {client} --dport {server}"), "ACCEPT", "reason dhcp");
                }
                self.refused_ports(OUT, &ports, protocol, name);
                self.refuse(&ports, "", OUT, Reason::NoConnection);
            } else {
                self.rule(&ports, "", "ACCEPT", "reason open");
            }
        }
        self.protocols(OUT);
        if judged {
            self.refuse(chain, "", OUT, Reason::Protocol);
        } else {
            self.rule(chain, "", "ACCEPT", "reason open");
        }
    }

    fn rules_for_ports(&self, direction: Direction, action: Action, protocol: u8) -> Vec<&'a Rule> {
        let rules = self.plan.rules(direction, action);
        rules.filter(|rule| matches!(&rule.matches, Match::Ports { protocol: of, .. } if *of == protocol)).collect()
    }

    fn ports(&mut self, chain: &str, name: &str, rules: Vec<&Rule>) {
        for rule in rules {
            if let Match::Ports { ports, .. } = &rule.matches {
                for matches in multiports(name, ports) {
                    self.by_peers(chain, &matches, rule);
                }
            }
        }
    }

    fn refused_ports(&mut self, direction: Direction, chain: &str, protocol: u8, name: &str) {
        for Refusal { reason, audited, ports } in self.plan.refusals(direction, protocol) {
            for matches in multiports(name, &ports) {
                if audited {
                    self.rule(chain, &matches, "ACCEPT", &format!("reason {}, in audit", reason.name()));
                } else {
                    self.refuse(chain, &matches, direction, reason);
                }
            }
        }
    }

    fn protocols(&mut self, direction: Direction) {
        let plan = self.plan;
        for rule in [Action::Deny, Action::Permit].into_iter().flat_map(|action| plan.rules(direction, action)) {
            if let Match::Protocol(protocol) = rule.matches
                && !is_never_asked(&rule.matches)
                && !(self.family == Family::V6 && EXTENSIONS.contains(&protocol))
            {
                self.by_peers(chain_of(direction), &format!("-p {protocol}"), rule);
            }
        }
    }

    /// A rule, for the addresses of its peers.
    fn by_peers(&mut self, chain: &str, matches: &str, rule: &Rule) {
        let refuses = rule.action != Action::Permit && !is_audited(rule);
        let target = if refuses { refuse_of(rule.direction) } else { "ACCEPT" };
        let comment = match self.plan.reason(rule) {
            // Quotes and backslashes would end or change the word.
            Some(reason) => format!("{}: {}", rule.id, reason.replace(['"', '\\', '\'', '`', '$'], " ")),
            None => rule.id.clone(),
        };
        match self.plan.remote(rule) {
            Remote::Any => self.rule(chain, matches, target, &comment),
            Remote::Nobody => {}
            Remote::List(list) => {
                let family = self.family;
                let addresses: Vec<String> =
                    list.prefixes.iter().filter(|net| family.has(net)).map(ToString::to_string).collect();
                if addresses.is_empty() {
                    return;
                }
                // 28 characters are the most that a chain's name may have.
                let way = if rule.direction == Direction::Inbound { ('I', "-s") } else { ('O', "-d") };
                let peers = format!("EN-{}{}-{}", way.0, if refuses { 'N' } else { 'Y' }, list.name);
                if self.chains.insert(peers.clone()) {
                    for address in addresses {
                        self.rule(&peers, &format!("{} {address}", way.1), target, &list.name);
                    }
                }
                self.rule(chain, matches, &peers, &comment);
            }
        }
    }
}

/// Matches of a protocol and ports; several, where one cannot hold them all.
fn multiports(name: &str, ports: &[RangeInclusive<u16>]) -> Vec<String> {
    if let [all] = ports
        && *all == (0..=u16::MAX)
    {
        return vec![format!("-p {name}")];
    }
    let mut chunks: Vec<(usize, Vec<String>)> = Vec::new();
    for ports in ports {
        let size = if ports.start() == ports.end() { 1 } else { 2 };
        match chunks.last_mut() {
            Some((used, chunk)) if *used + size <= MULTIPORT => {
                *used += size;
                chunk.push(range(ports, ":"));
            }
            _ => chunks.push((size, vec![range(ports, ":")])),
        }
    }
    chunks.into_iter().map(|(_, chunk)| format!("-p {name} -m multiport --dports {}", chunk.join(","))).collect()
}
