//! What is asked of a packet, in the order of the decision code, and the end of all refusals, where the mode is.

use enforcer_common::{Direction, Mode, Reason};

use super::rules::{answers_from_any_port, denied_ports, echo, protocols, refusal, refused_ports, rules};
use super::text::Text;
use crate::policy::export::ordered::{Family, PORT_PROTOCOLS, Plan};

/// Where the mode is: an interface in audit lets its refusals pass, counted.
pub(super) fn refuse(plan: &Plan<'_>, guests: bool, direction: Direction, text: &mut Text) {
    let then = |mode| match mode {
        Mode::Audit => "counter accept comment \"audit\"",
        Mode::Enforce => "counter drop comment \"enforce\"",
    };
    for interface in plan.interfaces.iter().filter(|interface| interface.guest == guests) {
        for pattern in interface.patterns(interface.receives(direction)) {
            text.line(&format!("{pattern} {}", then(interface.modes[direction as usize])));
        }
    }
    text.line(then(plan.rest(guests, direction)));
}

/// A chain for what belongs to a conversation that somebody else has begun: answers to ours, or ours to what a rule has let in.
fn answers(plan: &Plan<'_>, text: &mut Text, chain: &str, name: &str, (reason, [from, to, port]): (&str, [&str; 3])) {
    text.block(&format!("chain {chain}_{name}"), |text| {
        // A bare SYN opens a conversation; it answers none.
        let flags = if name == "tcp" { "tcp flags & (syn | ack) != syn " } else { "" };
        text.line(&format!(
            "{flags}ct direction reply ct state established counter accept comment \"reason {reason}\""
        ));
        if name != "tcp" && answers_from_any_port(plan).next().is_some() {
            for (family, ip) in [("v4", "ip"), ("v6", "ip6")] {
                text.line(&format!(
                    "{ip} {from} . {ip} {to} . {name} {port} @any_port_{family} counter accept comment \"reason flow\""
                ));
            }
        }
    });
}

pub(super) fn inbound(plan: &Plan<'_>, text: &mut Text) {
    const IN: Direction = Direction::Inbound;
    for (_, name) in PORT_PROTOCOLS {
        answers(plan, text, "answers", name, ("flow", ["saddr", "daddr", "dport"]));
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

pub(super) fn icmp(plan: &Plan<'_>, text: &mut Text) {
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

pub(super) fn icmpv6(plan: &Plan<'_>, text: &mut Text) {
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

pub(super) fn outbound(plan: &Plan<'_>, text: &mut Text) {
    const OUT: Direction = Direction::Outbound;
    let judged = plan.ruleset.settings.outbound_judged;
    let open = "counter accept comment \"reason open\"".to_owned();
    let rest = |reason| if judged { refusal(OUT, reason) } else { open.clone() };
    for (protocol, name) in PORT_PROTOCOLS {
        answers(plan, text, "replies", name, ("rule", ["daddr", "saddr", "sport"]));
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
