//! nftables. A table of the family `inet` judges packets; one of the family `netdev` judges what is not IP at all.
//!
//! The chains ask in the order of the decision code: what no rule can permit, then deny rules, permits, answers to what the host
//! opened, and the rest is refused. All refusals end in one chain a direction, where the mode is.

use std::fmt::Write;

use enforcer_common::{Direction, Mode, Reason};
use ipnet::IpNet;

use super::Export;
use super::plan::{EXTENSIONS, Guarded, List, PORT_PROTOCOLS, Plan, Remote, is_audited, range};
use crate::ruleset::{Action, Match, Rule};

/// The longest comment of a rule (`NFTNL_UDATA_COMMENT_MAXLEN`, with the final zero).
const COMMENT: usize = 127;

pub(super) fn write(plan: &Plan<'_>) -> Export {
    let warnings = warnings(plan);
    let mut text = Text::default();
    text.line("#!/usr/sbin/nft -f");
    for line in plan.header("nftables", &warnings) {
        text.line(format!("# {line}").trim_end());
    }
    text.line("");
    // Declared before it is deleted, so that the first load and every later one are the same file and one transaction.
    text.line("table inet enforcer");
    text.line("delete table inet enforcer");
    text.block("table inet enforcer", |text| {
        sets(plan, text);
        for direction in directions(plan) {
            text.block(&format!("chain refuse_{}", direction.name()), |text| refuse(plan, direction, text));
        }
        inbound(plan, text);
        if plan.has_outbound() {
            outbound(plan, text);
        }
        hooks(plan, text);
    });
    if plan.interfaces.iter().any(|interface| !interface.is_pattern) {
        text.line("");
        text.line("table netdev enforcer");
        text.line("delete table netdev enforcer");
        text.block("table netdev enforcer", |text| links(plan, text));
    }
    Export { text: text.written, warnings }
}

fn warnings(plan: &Plan<'_>) -> Vec<String> {
    let flows = plan.ruleset.settings.flows;
    let mut warnings = vec![
        "tags: packets of a VLAN are judged where its interface is called `PARENT.NUMBER`; name other VLAN interfaces \
         among the protected ones"
            .to_owned(),
        "fragments: conntrack puts datagrams together before a rule sees them, whatever the order they come in; the reasons \
         `fragment` and `tiny-fragment` do not occur"
            .to_owned(),
        "headers: what the kernel's own IP code throws away is not counted as `malformed`, nor are wrong lengths in TCP and UDP \
         headers; IPv6 extension headers have no limit, an authentication or mobility header counts as the protocol, and of \
         several routing headers only the first is looked at"
            .to_owned(),
        format!(
            "conversations: conntrack also looks at checksums, TCP flags and sequence numbers and at the order of SCTP chunks, \
             answers leave only where their question was seen, and any TCP segment of the host makes a conversation; nearest \
             come: sysctl net.netfilter.nf_conntrack_tcp_be_liberal=1 net.netfilter.nf_conntrack_max={} \
             net.netfilter.nf_conntrack_tcp_timeout_established={} net.netfilter.nf_conntrack_udp_timeout={} \
             net.netfilter.nf_conntrack_udp_timeout_stream={} net.netfilter.nf_conntrack_icmp_timeout={}",
            flows.entries, flows.tcp, flows.udp, flows.udp, flows.icmp
        ),
        "loading: the named interfaces must be there when the file is loaded".to_owned(),
        "changes: there is no deadline, no list of connections that would be cut, and conversations that are older than the \
         table are known only once a packet of theirs has passed"
            .to_owned(),
    ];
    if plan.interfaces.iter().any(|interface| interface.is_pattern) {
        warnings.push("ethertypes: on interfaces that a pattern stands for only IP is judged; name them".to_owned());
    }
    if !plan.interfaces.iter().any(|interface| !interface.is_pattern) {
        warnings.push("ethertypes: without named interfaces only IP is judged; name them".to_owned());
        for rule in &plan.ruleset.rules {
            if matches!(rule.matches, Match::Ethertype(_)) {
                warnings.push(Plan::left_out(rule, "ethertypes are judged on named interfaces"));
            }
        }
    }
    if plan.interfaces.iter().any(|interface| interface.guest) {
        warnings.push(
            "guests: what a bridge passes to a guest meets these rules only with br_netfilter \
             (net.bridge.bridge-nf-call-iptables=1 and -ip6tables=1)"
                .to_owned(),
        );
    }
    for rule in plan.ruleset.rules.iter().filter(|rule| is_never_asked(&rule.matches)) {
        warnings.push(Plan::left_out(rule, "its packets are judged by ports or types, under `enforcer` too"));
    }
    warnings
}

/// Rules for a protocol as a whole that no packet ever comes to, because ports or ICMP types decide.
fn is_never_asked(matches: &Match) -> bool {
    matches!(matches, Match::Protocol(protocol) if PORT_PROTOCOLS.iter().any(|(of, _)| of == protocol))
}

fn directions(plan: &Plan<'_>) -> impl Iterator<Item = Direction> {
    let outbound = plan.has_outbound();
    Direction::ALL.into_iter().filter(move |direction| *direction == Direction::Inbound || outbound)
}

fn sets(plan: &Plan<'_>, text: &mut Text) {
    for list in &plan.lists {
        for family in [Family::V4, Family::V6] {
            let elements: Vec<String> =
                list.prefixes.iter().filter(|net| family.has(net)).map(ToString::to_string).collect();
            if elements.is_empty() {
                continue;
            }
            text.block(&format!("set {}", family.set(list)), |text| {
                text.line(&format!("type {}", family.kind()));
                text.line("flags interval");
                text.line(&format!("comment \"{}\"", shortened(&list.peers)));
                text.line("elements = {");
                for element in elements {
                    text.line(&format!("\t{element},"));
                }
                text.line("}");
            });
        }
    }
    if answers_from_any_port(plan).next().is_some() {
        for family in [Family::V4, Family::V6] {
            text.line("# Servers that answer from another port: remote address, local address, local port.");
            text.block(&format!("set {}", family.any_port()), |text| {
                text.line(&format!("type {0} . {0} . inet_service", family.kind()));
                text.line("flags dynamic,timeout");
                text.line(&format!("timeout {}s", plan.ruleset.settings.flows.udp));
                text.line("size 65535");
            });
        }
    }
}

fn answers_from_any_port<'a>(plan: &'a Plan<'_>) -> impl Iterator<Item = &'a Rule> {
    plan.rules(Direction::Outbound, Action::Permit).filter(|rule| {
        // TCP has no such servers.
        rule.answer_any && matches!(rule.matches, Match::Ports { protocol: 17 | 132, .. })
    })
}

/// Where the mode is: an interface in audit lets its refusals pass, counted.
fn refuse(plan: &Plan<'_>, direction: Direction, text: &mut Text) {
    for interface in &plan.interfaces {
        let then = match interface.modes[direction as usize] {
            Mode::Audit => "accept comment \"audit\"",
            Mode::Enforce => "drop comment \"enforce\"",
        };
        for pattern in interface.patterns(direction) {
            text.line(&format!("{pattern} counter {then}"));
        }
    }
    if plan.interfaces.is_empty() && plan.modes[direction as usize] == Mode::Audit {
        text.line("counter accept comment \"audit\"");
    } else {
        text.line("counter drop comment \"enforce\"");
    }
}

fn inbound(plan: &Plan<'_>, text: &mut Text) {
    const IN: Direction = Direction::Inbound;
    for (_, name) in PORT_PROTOCOLS {
        text.block(&format!("chain answers_{name}"), |text| {
            // A bare SYN opens a conversation; it answers none.
            let flags = if name == "tcp" { "tcp flags & (syn | ack) != syn " } else { "" };
            text.line(&format!("{flags}ct direction reply ct state established counter accept comment \"reason flow\""));
            if name != "tcp" && answers_from_any_port(plan).next().is_some() {
                for (family, ip) in [("v4", "ip"), ("v6", "ip6")] {
                    text.line(&format!(
                        "{ip} saddr . {ip} daddr . {name} dport @any_port_{family} counter accept comment \"reason flow\""
                    ));
                }
            }
        });
    }
    for (protocol, name) in PORT_PROTOCOLS {
        text.block(&format!("chain inbound_{name}"), |text| {
            if name == "udp" {
                text.line(&format!("ip saddr 0.0.0.0 udp sport != 68 {}", refusal(IN, Reason::Martian)));
                text.line(&format!("ip saddr 0.0.0.0 udp dport != 67 {}", refusal(IN, Reason::Martian)));
            } else {
                text.line(&format!("ip saddr 0.0.0.0 {}", refusal(IN, Reason::Martian)));
            }
            text.line(&format!("ip6 saddr :: {}", refusal(IN, Reason::Martian)));
            // An answer passes whatever a deny rule says of the port.
            text.ports(&format!("{name} dport"), &denied_ports(plan, IN, protocol), &format!("jump answers_{name}"));
            rules(plan, IN, protocol, name, text);
            text.line(&format!("jump answers_{name}"));
            if name == "udp" {
                text.line("meta nfproto ipv4 udp sport 67 udp dport 68 counter accept comment \"reason dhcp\"");
                text.line("meta nfproto ipv6 udp sport 547 udp dport 546 counter accept comment \"reason dhcp\"");
            }
            refused_ports(plan, IN, protocol, name, text);
            text.line(&refusal(IN, Reason::NoRule));
        });
    }
    text.block("chain inbound_icmp", |text| icmp(plan, text));
    text.block("chain inbound_icmpv6", |text| icmpv6(plan, text));
    text.block("chain inbound", |text| {
        text.line(&format!(
            "ip saddr {{ 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255 }} {}",
            refusal(IN, Reason::Martian)
        ));
        text.line(&format!("ip6 saddr {{ ::1, ff00::/8 }} {}", refusal(IN, Reason::Martian)));
        text.line(&format!("rt type 0 {}", refusal(IN, Reason::RoutingHeader)));
        for (_, name) in PORT_PROTOCOLS {
            text.line(&format!("meta l4proto {name} goto inbound_{name}"));
        }
        // Eight bytes at least (RFC 3376, section 4), and a snooping switch may ask from 0.0.0.0 (RFC 4541).
        text.line("ip protocol igmp @th,56,8 0-255 counter accept comment \"reason igmp\"");
        text.line(&format!("ip protocol igmp {}", refusal(IN, Reason::Malformed)));
        text.line("meta nfproto ipv6 meta l4proto ipv6-icmp goto inbound_icmpv6");
        text.line(&format!("ip saddr 0.0.0.0 {}", refusal(IN, Reason::Martian)));
        text.line(&format!("ip6 saddr :: {}", refusal(IN, Reason::Martian)));
        text.line("ip protocol icmp goto inbound_icmp");
        protocols(plan, IN, text);
        text.line(&refusal(IN, Reason::Protocol));
    });
}

fn icmp(plan: &Plan<'_>, text: &mut Text) {
    const IN: Direction = Direction::Inbound;
    text.line(
        "icmp type { destination-unreachable, time-exceeded, parameter-problem } counter accept comment \"reason icmp\"",
    );
    echo(plan, "icmp type echo-request", Family::V4, text);
    text.line(&format!("icmp type echo-request {}", refusal(IN, Reason::EchoDrop)));
    text.line("icmp type echo-reply ct direction reply ct state established counter accept comment \"reason flow\"");
    text.line(&format!("icmp type redirect {}", refusal(IN, Reason::Redirect)));
    text.line(&refusal(IN, Reason::IcmpType));
}

fn icmpv6(plan: &Plan<'_>, text: &mut Text) {
    const IN: Direction = Direction::Inbound;
    text.line(&format!("ip6 saddr :: icmpv6 type != {{ 130-133, 135, 143 }} {}", refusal(IN, Reason::Martian)));
    text.line("icmpv6 type { 1-4, 130-132, 143, 151-153 } counter accept comment \"reason icmp\"");
    echo(plan, "icmpv6 type echo-request", Family::V6, text);
    text.line(&format!("icmpv6 type echo-request {}", refusal(IN, Reason::EchoDrop)));
    text.line("icmpv6 type echo-reply ct direction reply ct state established counter accept comment \"reason flow\"");
    text.line("icmpv6 type { 133-136, 141, 142, 148, 149 } ip6 hoplimit 255 counter accept comment \"reason icmp\"");
    text.line(&format!("icmpv6 type nd-redirect {}", refusal(IN, Reason::Redirect)));
    text.line(&refusal(IN, Reason::IcmpType));
}

fn echo(plan: &Plan<'_>, of: &str, family: Family, text: &mut Text) {
    for rule in [Action::Deny, Action::Permit].into_iter().flat_map(|action| plan.rules(Direction::Inbound, action)) {
        if rule.matches == Match::Echo {
            text.rule(plan, rule, of, &[family], &verdict(rule));
        }
    }
}

fn outbound(plan: &Plan<'_>, text: &mut Text) {
    const OUT: Direction = Direction::Outbound;
    let judged = plan.ruleset.settings.outbound_judged;
    let open = "counter accept comment \"reason open\"".to_owned();
    let rest = |reason| if judged { refusal(OUT, reason) } else { open.clone() };
    for (protocol, name) in PORT_PROTOCOLS {
        text.block(&format!("chain replies_{name}"), |text| {
            let flags = if name == "tcp" { "tcp flags & (syn | ack) != syn " } else { "" };
            text.line(&format!("{flags}ct direction reply ct state established counter accept comment \"reason rule\""));
            if name != "tcp" && answers_from_any_port(plan).next().is_some() {
                for (family, ip) in [("v4", "ip"), ("v6", "ip6")] {
                    text.line(&format!(
                        "{ip} daddr . {ip} saddr . {name} sport @any_port_{family} counter accept comment \"reason flow\""
                    ));
                }
            }
        });
        text.block(&format!("chain outbound_{name}"), |text| {
            text.ports(&format!("{name} dport"), &denied_ports(plan, OUT, protocol), &format!("jump replies_{name}"));
            rules(plan, OUT, protocol, name, text);
            if judged {
                text.line(&format!("jump replies_{name}"));
                if name != "sctp" {
                    text.line(&format!("{name} dport 53 {open}"));
                }
                if name == "udp" {
                    text.line(&format!("udp dport 123 {open}"));
                    text.line("meta nfproto ipv4 udp dport 67 udp sport 68 counter accept comment \"reason dhcp\"");
                    text.line("meta nfproto ipv6 udp dport 547 udp sport 546 counter accept comment \"reason dhcp\"");
                }
                refused_ports(plan, OUT, protocol, name, text);
            }
            text.line(&rest(Reason::NoConnection));
        });
    }
    text.block("chain outbound", |text| {
        if judged {
            text.line(&format!("rt type 0 {}", refusal(OUT, Reason::RoutingHeader)));
        }
        for (_, name) in PORT_PROTOCOLS {
            text.line(&format!("meta l4proto {name} goto outbound_{name}"));
        }
        text.line("ip protocol { icmp, igmp } counter accept comment \"reason icmp, igmp\"");
        text.line("meta nfproto ipv6 meta l4proto ipv6-icmp counter accept comment \"reason icmp\"");
        protocols(plan, OUT, text);
        text.line(&rest(Reason::Protocol));
    });
}

/// Deny and permit rules for ports.
fn rules(plan: &Plan<'_>, direction: Direction, protocol: u8, name: &str, text: &mut Text) {
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

fn denied_ports(plan: &Plan<'_>, direction: Direction, protocol: u8) -> Vec<std::ops::RangeInclusive<u16>> {
    let ports = plan.rules(direction, Action::Deny).filter_map(|rule| match &rule.matches {
        Match::Ports { protocol: of, ports } if *of == protocol => Some(ports.clone()),
        Match::Ports { .. } | Match::Protocol(_) | Match::Ethertype(_) | Match::Echo => None,
    });
    crate::catalogue::merge_ranges(ports.flatten().collect())
}

fn refused_ports(plan: &Plan<'_>, direction: Direction, protocol: u8, name: &str, text: &mut Text) {
    for found in plan.refusals(direction, protocol) {
        let then = if found.audited {
            format!("counter accept comment \"reason {}, in audit\"", found.reason.name())
        } else {
            refusal(direction, found.reason)
        };
        text.ports(&format!("{name} dport"), &found.ports, &then);
    }
}

/// Rules for protocols as a whole.
fn protocols(plan: &Plan<'_>, direction: Direction, text: &mut Text) {
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
    let mut permitted: std::collections::BTreeMap<u8, bool> = std::collections::BTreeMap::new();
    for action in [Action::Deny, Action::Permit] {
        for rule in plan.rules(direction, action) {
            let Some(protocol) = number(rule) else { continue };
            for family in families(protocol) {
                text.rule(plan, rule, &matches(family, protocol), &[family], &verdict(rule));
            }
            if action == Action::Permit {
                *permitted.entry(protocol).or_insert(true) &= is_audited(rule);
            }
        }
    }
    for (protocol, _) in permitted.into_iter().filter(|(_, audited)| *audited) {
        for family in families(protocol) {
            text.line(&format!("{} counter accept comment \"in audit\"", matches(family, protocol)));
        }
    }
}

fn hooks(plan: &Plan<'_>, text: &mut Text) {
    let judged = |text: &mut Text, interface: &Guarded, direction: Direction| {
        for pattern in interface.patterns(direction) {
            text.line(&format!("{pattern} jump {}", direction.name()));
        }
    };
    let hosts = || plan.interfaces.iter().filter(|interface| !interface.guest);
    text.block("chain input", |text| {
        text.line("type filter hook input priority filter; policy accept;");
        // The routing code has thrown most of these away before.
        let own = format!("fib saddr type {{ local, broadcast }} {}", refusal(Direction::Inbound, Reason::Martian));
        for interface in hosts() {
            for pattern in interface.patterns(Direction::Inbound) {
                text.line(&format!("{pattern} {own}"));
            }
            judged(text, interface, Direction::Inbound);
        }
        if plan.interfaces.is_empty() {
            text.line("iifname != \"lo\" jump inbound");
        }
    });
    if plan.interfaces.iter().any(|interface| interface.forwards) {
        text.block("chain forward", |text| {
            text.line("type filter hook forward priority filter; policy accept;");
            for interface in plan.interfaces.iter().filter(|interface| interface.forwards) {
                judged(text, interface, Direction::Inbound);
                if plan.has_outbound() {
                    judged(text, interface, Direction::Outbound);
                }
            }
        });
    }
    if plan.has_outbound() {
        text.block("chain output", |text| {
            text.line("type filter hook output priority filter; policy accept;");
            for interface in hosts() {
                judged(text, interface, Direction::Outbound);
            }
            if plan.interfaces.is_empty() {
                text.line("oifname != \"lo\" jump outbound");
            }
        });
    }
}

/// What is not IP: address resolution, link maintenance, and ethertypes that the site names.
fn links(plan: &Plan<'_>, text: &mut Text) {
    for interface in plan.interfaces.iter().filter(|interface| !interface.is_pattern) {
        for direction in Direction::ALL {
            let denies = plan.rules(direction, Action::Deny).any(|rule| matches!(rule.matches, Match::Ethertype(_)));
            let judged = direction == Direction::Inbound || plan.ruleset.settings.outbound_judged;
            if !judged && !denies {
                continue;
            }
            let hook = if interface.is_received(direction) { "ingress" } else { "egress" };
            let name = interface.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
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

fn verdict(rule: &Rule) -> String {
    let then = match rule.action {
        Action::Permit => "accept".to_owned(),
        Action::Deny | Action::Internal if is_audited(rule) => "accept".to_owned(),
        Action::Deny | Action::Internal => format!("goto refuse_{}", rule.direction.name()),
    };
    format!("counter {then} comment \"{}\"", shortened(&rule.id))
}

fn refusal(direction: Direction, reason: Reason) -> String {
    format!("counter goto refuse_{} comment \"reason {}\"", direction.name(), reason.name())
}

fn shortened(text: &str) -> String {
    text.chars().take(COMMENT).collect()
}

fn braced(ports: &[std::ops::RangeInclusive<u16>]) -> String {
    let ranges: Vec<String> = ports.iter().map(|ports| range(ports, "-")).collect();
    format!("{{ {} }}", ranges.join(", "))
}

impl Guarded {
    /// Whether packets of a direction are those that the interface receives.
    fn is_received(&self, direction: Direction) -> bool {
        (direction == Direction::Inbound) != self.guest
    }

    /// The interface and its VLANs, as a packet of a direction meets them.
    fn patterns(&self, direction: Direction) -> Vec<String> {
        let side = if self.is_received(direction) { "iifname" } else { "oifname" };
        if self.is_pattern {
            return vec![format!("{side} != \"lo\" {side} \"{}*\"", self.name)];
        }
        vec![format!("{side} \"{}\"", self.name), format!("{side} \"{}.*\"", self.name)]
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn has(self, net: &IpNet) -> bool {
        (self == Self::V4) == net.addr().is_ipv4()
    }

    fn kind(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }

    fn any_port(self) -> &'static str {
        match self {
            Self::V4 => "any_port_v4",
            Self::V6 => "any_port_v6",
        }
    }

    fn set(self, list: &List) -> String {
        format!("{}_{}", list.name, if self == Self::V4 { "v4" } else { "v6" })
    }

    fn remote(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Self::V4, Direction::Inbound) => "ip saddr",
            (Self::V4, Direction::Outbound) => "ip daddr",
            (Self::V6, Direction::Inbound) => "ip6 saddr",
            (Self::V6, Direction::Outbound) => "ip6 daddr",
        }
    }
}

/// Lines, indented by the blocks they are in.
#[derive(Default)]
struct Text {
    written: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, line: &str) {
        let indented = if line.is_empty() { 0 } else { self.depth };
        // Writing to a string cannot fail.
        let _ = writeln!(self.written, "{}{line}", "\t".repeat(indented));
    }

    fn block(&mut self, head: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line("}");
    }

    fn ports(&mut self, field: &str, ports: &[std::ops::RangeInclusive<u16>], then: &str) {
        match ports {
            [] => {}
            [all] if *all == (0..=u16::MAX) => self.line(then),
            ports => self.line(&format!("{field} {} {then}", braced(ports))),
        }
    }

    /// A rule, for the families in which its peers have addresses.
    fn rule(&mut self, plan: &Plan<'_>, rule: &Rule, matches: &str, families: &[Family], then: &str) {
        if let Some(reason) = plan.reason(rule) {
            self.line(&format!("# {reason}"));
        }
        let space = if matches.is_empty() { "" } else { " " };
        match plan.remote(rule) {
            Remote::Any => self.line(&format!("{matches}{space}{then}")),
            Remote::Nobody => self.line(&format!("# `{}` is for a peer without addresses", rule.id)),
            Remote::List(list) => {
                for family in families.iter().filter(|family| list.prefixes.iter().any(|net| family.has(net))) {
                    let remote = format!("{} @{}", family.remote(rule.direction), family.set(list));
                    self.line(&format!("{matches}{space}{remote} {then}"));
                }
            }
        }
    }
}
