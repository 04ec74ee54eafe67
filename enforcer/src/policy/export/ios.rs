//! Cisco IOS: extended access lists for the interface of a router that leads to the host, IPv4 and IPv6.
//!
//! A router sees packets, not conversations: answers to what the host opened come back by reflexive entries, and answers of
//! the host leave because the question's rule is mirrored.

use std::fmt::Write;
use std::ops::RangeInclusive;

use enforcer_common::Direction;
use enforcer_common::numbers::SCTP;
use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::Export;
use crate::policy::export::ordered::{EXTENSIONS, Family, List, PORT_PROTOCOLS, Plan, Remote, is_audited, shortened};
use crate::policy::ruleset::{Action, Match, Rule};

const FLOWS: &str = "ENFORCER-FLOWS";

pub(super) fn write(plan: &Plan<'_>) -> Export {
    let warnings = warnings(plan);
    let mut text = String::new();
    for line in plan.header("Cisco IOS access lists", &warnings) {
        text.push_str(format!("! {line}").trim_end());
        text.push('\n');
    }
    text.push_str(
        "!\n! On the interface that leads to the host:\n!  ip access-group ENFORCER-IN out\n!  ip access-group ENFORCER-OUT in\n\
         !  ipv6 traffic-filter ENFORCER-IN-V6 out\n!  ipv6 traffic-filter ENFORCER-OUT-V6 in\n!\n",
    );
    for list in &plan.lists {
        let nets: Vec<&IpNet> = list.prefixes.iter().filter(|net| net.addr().is_ipv4()).collect();
        if nets.is_empty() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "object-group network {}\n description {}", group(list), shortened(&list.peers, 200));
        for net in nets {
            let _ = match net {
                IpNet::V4(net) if net.prefix_len() == 32 => writeln!(text, " host {}", net.addr()),
                IpNet::V4(net) => writeln!(text, " {} {}", net.network(), net.netmask()),
                IpNet::V6(_) => Ok(()),
            };
        }
        text.push_str("!\n");
    }
    for family in Family::ALL {
        for direction in Direction::ALL {
            let mut list = Acl { plan, family, direction, lines: Vec::new() };
            match direction {
                Direction::Inbound => list.inbound(),
                Direction::Outbound => list.outbound(),
            }
            let (head, suffix) = match family {
                Family::V4 => ("ip access-list extended", ""),
                Family::V6 => ("ipv6 access-list", "-V6"),
            };
            let name = if direction == Direction::Inbound { "IN" } else { "OUT" };
            let _ = writeln!(text, "no {head} ENFORCER-{name}{suffix}\n{head} ENFORCER-{name}{suffix}");
            for line in list.lines {
                let _ = writeln!(text, " {line}");
            }
            text.push_str("!\n");
        }
    }
    Export { text, warnings }
}

fn warnings(plan: &Plan<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for direction in Direction::ALL.into_iter().filter(|direction| plan.is_audit(*direction)) {
        warnings.push(format!(
            "audit: the {} lists permit everything, and log what `enforce` would refuse; {}write it with `--mode enforce` before you \
             rely on it",
            direction.name(),
            if plan.differs(direction) {
                "interfaces of the site are in different modes, and a list has one: no interface is protected; "
            } else {
                ""
            }
        ));
    }
    warnings.extend([
        "place: only what passes the router is judged; hosts of the same subnet reach each other without it".to_owned(),
        "counters: they are those of the entries (`show access-lists`), without bytes; a remark above an entry names its rule"
            .to_owned(),
        "fragments: an entry that permits a port also permits every later fragment between its addresses".to_owned(),
        "conversations: answers come back by reflexive entries, which also admit a new SYN between the same ports; answers \
         of a permitted port leave whether or not anybody asked"
            .to_owned(),
        "packets: tags, martian addresses of the host itself, extension headers other than routing type 0 and frames that are \
         not IP are not judged"
            .to_owned(),
        "changes: the four lists are replaced one after the other, and a list that is missing permits everything; there is no \
         deadline and no list of connections that would be cut"
            .to_owned(),
        "lists of peers take object groups in IPv4 (12.4(20)T and later); a group is named after what is in it, so that none is \
         changed while a list refers to it, and those of an earlier export stay until `no object-group network` removes them"
            .to_owned(),
    ]);
    for rule in &plan.ruleset.rules {
        match rule.matches {
            Match::Ports { protocol: 132, .. } => {
                warnings.push(Plan::left_out(rule, "access lists do not know the ports of SCTP"));
            }
            Match::Ethertype(_) => warnings.push(Plan::left_out(rule, "an IP access list does not judge ethertypes")),
            Match::Protocol(protocol) if PORT_PROTOCOLS.iter().any(|(of, _)| *of == protocol) => {
                warnings.push(Plan::left_out(rule, "its packets are judged by ports, under `enforcer` too"));
            }
            Match::Ports { .. } | Match::Protocol(_) | Match::Echo => {}
        }
        if rule.answer_any && rule.action == Action::Permit {
            warnings.push(format!("`{}`: its server answers from another port; no reflexive entry knows it", rule.id));
        }
    }
    warnings
}

/// One access list.
struct Acl<'a> {
    plan: &'a Plan<'a>,
    family: Family,
    direction: Direction,
    lines: Vec<String>,
}

impl Acl<'_> {
    /// What refuses: in audit it only logs.
    fn refusal(&self) -> (&'static str, &'static str) {
        if self.plan.is_audit(self.direction) { ("permit", " log") } else { ("deny", "") }
    }

    fn ip(&self) -> &'static str {
        if self.family == Family::V4 { "ip" } else { "ipv6" }
    }

    fn remark(&mut self, text: &str) {
        // The longest remark is of 100 characters.
        self.lines.push(format!("remark {}", shortened(text, 100)));
    }

    fn refuse(&mut self, matches: &str) {
        let (word, log) = self.refusal();
        self.lines.push(format!("{word} {matches}{log}"));
    }

    fn permit(&mut self, matches: &str) {
        self.lines.push(format!("permit {matches}"));
    }

    fn inbound(&mut self) {
        self.remark("reason martian");
        match self.family {
            Family::V4 => {
                self.refuse("ip 127.0.0.0 0.255.255.255 any");
                self.refuse("ip 224.0.0.0 15.255.255.255 any");
                self.refuse("ip host 255.255.255.255 any");
            }
            Family::V6 => {
                self.refuse("ipv6 host ::1 any");
                self.refuse("ipv6 FF00::/8 any");
                self.remark("reason routing-header");
                self.refuse("ipv6 any any routing-type 0");
            }
        }
        self.remark("reason flow");
        self.lines.push(format!("evaluate {FLOWS}{}", if self.family == Family::V4 { "" } else { "-V6" }));
        self.remark("reason icmp");
        let types: &[u8] = match self.family {
            Family::V4 => &[3, 11, 12],
            Family::V6 => &[1, 2, 3, 4, 130, 131, 132, 133, 134, 135, 136, 141, 142, 143, 148, 149, 151, 152, 153],
        };
        for kind in types {
            self.permit(&format!("icmp any any {kind}"));
        }
        if self.family == Family::V4 {
            self.remark("reason igmp");
            self.permit("igmp any any");
        }
        self.rules();
        self.remark("reason dhcp");
        self.permit(if self.family == Family::V4 { "udp any eq 67 any eq 68" } else { "udp any eq 547 any eq 546" });
        self.end();
    }

    fn outbound(&mut self) {
        let judged = self.plan.ruleset.settings.outbound_judged;
        self.remark("answers of what is permitted inbound");
        let plan = self.plan;
        for rule in plan.rules(Direction::Inbound, Action::Permit) {
            if let Match::Ports { protocol, ports } = &rule.matches
                && let Some(name) = port_protocol(*protocol)
            {
                for remote in self.remotes(rule) {
                    for ports in ports {
                        self.permit(&format!("{name} any{} {remote}", port(ports)));
                    }
                }
            }
        }
        self.rules();
        let flows = plan.ruleset.settings.flows;
        let suffix = if self.family == Family::V4 { "" } else { "-V6" };
        let reflect = |seconds: u32| format!(" reflect {FLOWS}{suffix} timeout {seconds}");
        self.remark("reason icmp, dhcp, open");
        self.permit(&format!("icmp any any{}", reflect(flows.icmp)));
        if judged {
            for service in ["udp any any eq 53", "udp any any eq 123", "tcp any any eq 53"] {
                self.permit(&format!("{service}{}", reflect(flows.udp)));
            }
            self.permit(if self.family == Family::V4 {
                "udp any eq 68 any eq 67"
            } else {
                "udp any eq 546 any eq 547"
            });
            if self.family == Family::V4 {
                self.permit("igmp any any");
            }
            self.end();
        } else {
            self.permit(&format!("tcp any any{}", reflect(flows.tcp)));
            self.permit(&format!("udp any any{}", reflect(flows.udp)));
            let any = self.ip();
            self.permit(&format!("{any} any any"));
        }
    }

    /// What nothing before has matched: counted where every rule that names it is in audit, else refused.
    fn end(&mut self) {
        let plan = self.plan;
        for (protocol, name) in PORT_PROTOCOLS.into_iter().filter(|(protocol, _)| *protocol != 132) {
            for found in plan.refusals(self.direction, protocol).into_iter().filter(|found| found.audited) {
                self.remark(&format!("reason {}, in audit", found.reason.name()));
                for ports in &found.ports {
                    self.permit(&format!("{name} any any{} log", port(ports)));
                }
            }
        }
        for protocol in plan.audited_protocols(self.direction) {
            if !(self.family == Family::V6 && EXTENSIONS.contains(&protocol)) {
                self.remark("in audit");
                self.permit(&format!("{protocol} any any log"));
            }
        }
        self.remark("everything else");
        let any = self.ip();
        let (word, _) = self.refusal();
        self.lines.push(format!("{word} {any} any any log"));
    }

    fn rules(&mut self) {
        let plan = self.plan;
        let direction = self.direction;
        let reflect = match direction {
            Direction::Inbound => String::new(),
            Direction::Outbound => format!(" reflect {FLOWS}{}", if self.family == Family::V4 { "" } else { "-V6" }),
        };
        for rule in [Action::Deny, Action::Permit].into_iter().flat_map(|action| plan.rules(direction, action)) {
            let remotes = self.remotes(rule);
            let matches: Vec<(String, String, &str)> = match &rule.matches {
                Match::Ports { protocol, ports } => match port_protocol(*protocol) {
                    Some(name) => ports.iter().map(|ports| (name.to_owned(), port(ports), reflect.as_str())).collect(),
                    None => continue,
                },
                Match::Protocol(protocol) if port_protocol(*protocol).is_some() || *protocol == SCTP => continue,
                Match::Protocol(protocol) if self.family == Family::V6 && EXTENSIONS.contains(protocol) => continue,
                Match::Protocol(protocol) => vec![(protocol.to_string(), String::new(), "")],
                Match::Ethertype(_) => continue,
                Match::Echo => {
                    vec![("icmp".to_owned(), if self.family == Family::V4 { " 8" } else { " 128" }.to_owned(), "")]
                }
            };
            let name = match plan.reason(rule) {
                Some(reason) => format!("{}: {reason}", rule.id),
                None => rule.id.clone(),
            };
            if remotes.is_empty() {
                continue;
            }
            self.remark(&name);
            for remote in &remotes {
                for (protocol, asked, reflect) in &matches {
                    let between = if direction == Direction::Inbound {
                        format!("{protocol} {remote} any{asked}")
                    } else {
                        format!("{protocol} any {remote}{asked}")
                    };
                    match rule.action {
                        Action::Permit => self.permit(&format!("{between}{reflect}")),
                        Action::Deny | Action::Internal if is_audited(rule) => self.permit(&format!("{between} log")),
                        Action::Deny | Action::Internal => self.refuse(&between),
                    }
                }
            }
        }
    }

    /// The remote side as an entry names it; empty where it has no addresses of this family.
    fn remotes(&self, rule: &Rule) -> Vec<String> {
        match (self.plan.remote(rule), self.family) {
            (Remote::Any, _) => vec!["any".to_owned()],
            (Remote::Nobody, _) => Vec::new(),
            (Remote::List(list), Family::V4) => {
                let has_any = list.prefixes.iter().any(|net| net.addr().is_ipv4());
                has_any.then(|| format!("object-group {}", group(list))).into_iter().collect()
            }
            (Remote::List(list), Family::V6) => {
                list.prefixes.iter().filter(|net| net.addr().is_ipv6()).map(ToString::to_string).collect()
            }
        }
    }
}

/// What a list is called. A group that is there is only added to, so its name says what is in it: another list is another
/// group.
fn group(list: &List) -> String {
    let mut hasher = Sha256::new();
    for prefix in &list.prefixes {
        hasher.update(format!("{prefix}\n"));
    }
    let digest = hasher.finalize();
    format!("ENFORCER-{}-{}", list.name, digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn port_protocol(protocol: u8) -> Option<&'static str> {
    PORT_PROTOCOLS.into_iter().find(|(of, _)| *of == protocol && protocol != 132).map(|(_, name)| name)
}

fn port(ports: &RangeInclusive<u16>) -> String {
    match (ports.start(), ports.end()) {
        (0, &u16::MAX) => String::new(),
        (start, end) if start == end => format!(" eq {start}"),
        (start, end) => format!(" range {start} {end}"),
    }
}
