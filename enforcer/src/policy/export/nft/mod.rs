//! nftables. A table of the family `inet` judges packets; one of the family `netdev` judges what is not IP at all.
//!
//! The chains ask in the order of the decision code: what no rule can permit, then deny rules, permits, answers to what the host
//! opened, and the rest is refused. All refusals end in one chain a direction, where the mode is.
mod chains;
mod hooks;
mod links;
mod rules;
mod text;

use enforcer_common::Direction;

use super::Export;
use crate::policy::export::ordered::{Family, Plan, is_never_asked};
use crate::policy::ruleset::Match;
use chains::{inbound, outbound, refuse};
use hooks::hooks;
use links::links;
use rules::answers_from_any_port;
use text::{Text, shortened};

const TABLE: &str = "enforcer";
/// For guests behind the ports of a host.
const GUESTS: &str = "enforcer_guests";

pub(super) fn write(plan: &Plan<'_>) -> Export {
    let warnings = warnings(plan);
    let mut text = Text::default();
    text.line("#!/usr/sbin/nft -f");
    for line in plan.header("nftables", &warnings) {
        text.line(format!("# {line}").trim_end());
    }
    text.line("");
    // An accept in one table does not end the judgement in another: a guest's port and the host's own interface may meet.
    for (name, guests) in [(TABLE, false), (GUESTS, true)] {
        begin("inet", name, &mut text);
        let is_empty = !plan.interfaces.iter().any(|interface| interface.guest == guests);
        if is_empty && (guests || !plan.interfaces.is_empty()) {
            continue;
        }
        text.block(&format!("table inet {name}"), |text| {
            sets(plan, text);
            for direction in directions(plan) {
                text.block(&format!("chain refuse_{}", direction.name()), |text| {
                    refuse(plan, guests, direction, text);
                });
            }
            inbound(plan, text);
            if plan.has_outbound() {
                outbound(plan, text);
            }
            hooks(plan, guests, text);
        });
        text.line("");
    }
    begin("netdev", TABLE, &mut text);
    if plan.interfaces.iter().any(|interface| !interface.is_pattern) {
        text.block(&format!("table netdev {TABLE}"), |text| links(plan, text));
    }
    Export { text: text.written, warnings }
}

/// What an earlier file has left in a table goes: declared before it is deleted, so that the first load and every later one are
/// the same file and one transaction.
fn begin(family: &str, name: &str, text: &mut Text) {
    text.line(&format!("table {family} {name}"));
    text.line(&format!("delete table {family} {name}"));
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
            flows.entries4(false), flows.tcp, flows.udp, flows.udp, flows.icmp
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
