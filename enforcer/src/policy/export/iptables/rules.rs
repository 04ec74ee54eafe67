//! The chains of one family in one table.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::RangeInclusive;

use enforcer_common::{Direction, Mode, Reason};

use super::{Table, judges_outbound};
use crate::policy::export::ordered::{
    EXTENSIONS, Family, Guarded, PORT_PROTOCOLS, Plan, Refusal, Remote, is_audited, is_never_asked, range, shortened,
};
use crate::policy::ruleset::{Action, Match, Rule};

/// Ports in one `multiport`, where a range counts as two.
const MULTIPORT: usize = 15;
/// Bytes of a comment (`XT_MAX_COMMENT_LEN`, with the final zero).
const COMMENT: usize = 255;
const ANSWER: &str = "-m conntrack --ctstate ESTABLISHED --ctdir REPLY";

/// The rules of one family.
pub(super) struct Rules<'a> {
    plan: &'a Plan<'a>,
    family: Family,
    table: Table,
    chains: BTreeSet<String>,
    lines: Vec<String>,
}

impl<'a> Rules<'a> {
    /// All of them, as `iptables-restore` reads them.
    pub(super) fn written(plan: &'a Plan<'a>, family: Family, table: Table) -> String {
        let mut rules = Self { plan, family, table, chains: BTreeSet::new(), lines: Vec::new() };
        for direction in Direction::ALL {
            let is_judged = match direction {
                Direction::Inbound => true,
                Direction::Outbound => judges_outbound(plan),
            };
            let unnamed = plan.interfaces.is_empty() && !table.guests(direction);
            if is_judged && (unnamed || rules.interfaces(direction).next().is_some()) {
                match direction {
                    Direction::Inbound => rules.inbound(),
                    Direction::Outbound => rules.outbound(),
                }
            }
        }
        for hook in table.hooks() {
            rules.dispatch(hook);
        }
        let mut text = String::new();
        for chain in &rules.chains {
            // Writing to a string cannot fail.
            let _ = writeln!(text, ":{chain} - [0:0]");
        }
        for line in &rules.lines {
            let _ = writeln!(text, "-A {line}");
        }
        text
    }

    /// The interfaces whose packets of a direction this table judges.
    fn interfaces(&self, direction: Direction) -> impl Iterator<Item = &'a Guarded> + use<'a> {
        let guests = self.table.guests(direction);
        self.plan.interfaces.iter().filter(move |interface| interface.guest == guests)
    }

    /// From a built-in chain to ours, by interface.
    fn dispatch(&mut self, hook: &str) {
        let chain = format!("ENFORCER-{hook}");
        self.chains.insert(chain.clone());
        let plan = self.plan;
        let table = self.table;
        let lo = table.side("lo");
        for direction in Direction::ALL {
            if direction == Direction::Outbound && !judges_outbound(plan) {
                continue;
            }
            let guests = table.guests(direction);
            let is_judged = |interface: &Guarded| {
                interface.guest == guests && if hook == "FORWARD" { interface.forwards } else { !guests }
            };
            for (interface, is_judged) in plan.met(is_judged) {
                if interface.is_pattern {
                    self.rule(&chain, &lo, "RETURN", "no pattern speaks of the loopback");
                }
                for side in interface.sides(table) {
                    if is_judged {
                        self.rule(&chain, &side, chain_of(direction), direction.name());
                    } else {
                        self.rule(&chain, &side, "RETURN", "not judged here");
                    }
                }
            }
            if plan.interfaces.is_empty() && !guests && hook != "FORWARD" {
                self.rule(&chain, &format!("! {lo}"), chain_of(direction), direction.name());
            }
        }
    }

    fn rule(&mut self, chain: &str, matches: &str, target: &str, comment: &str) {
        self.chains.insert(chain.to_owned());
        let space = if matches.is_empty() { "" } else { " " };
        let comment = shortened(comment, COMMENT);
        self.lines.push(format!("{chain}{space}{matches} -m comment --comment \"{comment}\" -j {target}"));
    }

    fn refuse(&mut self, chain: &str, matches: &str, direction: Direction, reason: Reason) {
        self.rule(chain, matches, refuse_of(direction), &format!("reason {}", reason.name()));
    }

    /// The end of all refusals of a direction, where the mode is.
    fn refusals(&mut self, direction: Direction) {
        let chain = refuse_of(direction);
        let then = |mode| match mode {
            Mode::Audit => ("ACCEPT", "audit"),
            Mode::Enforce => ("DROP", "enforce"),
        };
        for interface in self.interfaces(direction) {
            let (target, comment) = then(interface.modes[direction as usize]);
            for side in interface.sides(self.table) {
                self.rule(chain, &side, target, comment);
            }
        }
        let (target, comment) = then(self.plan.rest(self.table.guests(direction), direction));
        self.rule(chain, "", target, comment);
    }

    fn inbound(&mut self) {
        const IN: Direction = Direction::Inbound;
        let chain = chain_of(IN);
        self.refusals(IN);
        let (martians, unspecified, icmp): (&[&str], _, _) = match self.family {
            Family::V4 => (&["127.0.0.0/8", "224.0.0.0/4", "255.255.255.255"], "0.0.0.0", "icmp"),
            Family::V6 => (&["::1", "ff00::/8"], "::", "ipv6-icmp"),
        };
        for martian in martians {
            self.refuse(chain, &format!("-s {martian}"), IN, Reason::Martian);
        }
        let from_us = "-m addrtype --src-type LOCAL";
        for interface in self.interfaces(IN).filter(|interface| !interface.guest) {
            for side in interface.sides(self.table) {
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
        for protocol in plan.audited_protocols(direction) {
            if !(self.family == Family::V6 && EXTENSIONS.contains(&protocol)) {
                self.rule(chain_of(direction), &format!("-p {protocol}"), "ACCEPT", "in audit");
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

impl Guarded {
    /// The interface and its VLANs, as a table matches them.
    fn sides(&self, table: Table) -> Vec<String> {
        // A `+` stands for any rest of the name.
        if self.is_pattern {
            return vec![table.side(&format!("{}+", self.name))];
        }
        vec![table.side(&self.name), table.side(&format!("{}.+", self.name))]
    }
}
