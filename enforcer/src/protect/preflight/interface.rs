//! Findings about single interfaces.

use std::collections::BTreeSet;

use rtnetlink::packet_route::link::InfoKind;

use super::{Facts, Finding, InterfaceFacts, Level};
use crate::dataplane::{
    AttachMode, ExpectedHook, Known, NativeXdp, OnFilter, OnHooks, PlannedInterface, Protects, SINGLE_BUFFER,
    judged_again, known_native, refused, takes_several_buffers,
};
use crate::host::links::{Link, with_those_above};
use crate::policy::ruleset::Ruleset;

/// What is found about an interface that is to be protected.
pub(super) fn findings(
    ruleset: &Ruleset,
    planned: &PlannedInterface,
    link: &Link,
    facts: &Facts,
    about: &InterfaceFacts,
    protected: &[&str],
    found: &mut Vec<Finding>,
) {
    let mut add = |level, topic, message: String| {
        found.push(Finding { level, interface: Some(link.name.clone()), topic, message });
    };
    if link.is_loopback {
        add(Level::Fix, "interface", "the loopback interface carries only the host's traffic with itself".to_owned());
    } else if !link.is_ethernet {
        let message = "its frames have no Ethernet header; protect the interface below it";
        add(Level::Fix, "interface", message.to_owned());
    }
    if !link.is_up {
        add(Level::Warning, "interface", "it is down".to_owned());
    }
    hooks(link, about, &mut add);
    if let Ok(expected) = &about.expected
        && let Some(message) = judged_again(ruleset, planned.protects, expected.mode)
    {
        add(Level::Warning, "ipsec", message.to_owned());
    }
    layers(planned, link, facts, protected, &mut add);
}

fn hooks(link: &Link, about: &InterfaceFacts, add: &mut impl FnMut(Level, &'static str, String)) {
    let driver = about.device.driver.as_deref().unwrap_or("unknown");
    let expected = match &about.expected {
        Ok(expected) => expected,
        Err(message) => return add(Level::Fix, "hook", message.clone()),
    };
    let expected = &after_asking(link, expected, about);
    let native = expected.mode == AttachMode::Native;
    if let (true, NativeXdp::Refuses(refusal)) = (native, &about.answer) {
        return add(Level::Fix, "hook", format!("{}; use --hook tc", refused(link, &about.device, refusal)));
    }
    let mut text = format!("driver {driver}; inbound {} ({}), outbound tc", expected.mode.name(), expected.why);
    let doubt = if native { doubt(driver, &about.answer) } else { None };
    if let Some(doubt) = &doubt {
        text += &format!("; {doubt}");
    }
    match (&about.answer, expected.fallback) {
        (NativeXdp::Takes, _) if native => text += "; the driver was asked, and takes it",
        (_, Some(fallback)) if native => text += &format!("; {} where that is refused", fallback.name()),
        (_, None) if doubt.is_some() => text += ", and nothing else was allowed",
        _ => {}
    }
    add(Level::Note, "hook", text);
    if expected.mode == AttachMode::Generic {
        let message = "generic XDP is slower than native XDP and than tc, and cannot tell what this host sends to itself by multicast \
                       or broadcast from a frame of the wire";
        add(Level::Warning, "hook", message.to_owned());
    }
    if about.lacks_tcx == Some(true) {
        let message = "the kernel has no tc links (Linux 6.6): enforcer uses filters of a clsact qdisc, which any process with \
                       CAP_NET_ADMIN can remove";
        add(Level::Warning, "kernel", message.to_owned());
    }
    if native && about.answer == NativeXdp::NotAsked && link.mtu > SINGLE_BUFFER && !takes_several_buffers(driver) {
        let message = format!(
            "MTU {}: the driver {driver} is not known to take frames in several buffers with native XDP on this kernel; such drivers \
             refuse an MTU above about {SINGLE_BUFFER}",
            link.mtu
        );
        add(Level::Warning, "mtu", message);
    }
    if expected.is_xdp() && doubt.is_none() && about.device.strips_vlan == Some(true) {
        let message = "the hardware removes the outer VLAN tag: XDP judges the inner packet and counts it as untagged";
        add(Level::Note, "vlan", message.to_owned());
    }
    if let Some(other) = &about.on_hooks.xdp {
        if expected.is_xdp() {
            add(
                Level::Fix,
                "programs",
                format!("the XDP hook is taken by {other}; remove it, or apply with --hook tc"),
            );
        } else {
            let message = format!(
                "{other} is on the XDP hook: it sees packets first, and packets that it drops or redirects are not judged"
            );
            add(Level::Warning, "programs", message);
        }
    }
    if about.on_hooks.filters.is_none() || (about.on_hooks.tcx.is_none() && about.lacks_tcx != Some(true)) {
        let message = "other programs on its tc hooks could not be listed; run this as root";
        add(Level::Note, "programs", message.to_owned());
    }
    for (at, side) in ["ingress", "egress"].into_iter().enumerate() {
        // At tc we are a filter where the kernel has no links.
        let is_filter = about.lacks_tcx == Some(true) && !(at == 0 && expected.is_xdp());
        let programs = in_order(&about.on_hooks, at, is_filter);
        if programs.iter().any(Option::is_some) {
            let (level, message) = order(side, &programs);
            add(level, "programs", message);
        }
    }
}

/// The hook that is left when the driver has been asked: the second one takes the place of native XDP that is refused.
fn after_asking(link: &Link, expected: &ExpectedHook, about: &InterfaceFacts) -> ExpectedHook {
    match (&about.answer, expected.fallback) {
        (NativeXdp::Refuses(refusal), Some(fallback)) if expected.mode == AttachMode::Native => ExpectedHook {
            mode: fallback,
            fallback: None,
            why: format!("tc: {}", refused(link, &about.device, refusal)),
        },
        _ => expected.clone(),
    }
}

/// Why a driver that was not asked may have no native XDP.
fn doubt(driver: &str, answer: &NativeXdp) -> Option<String> {
    if *answer != NativeXdp::NotAsked {
        return None;
    }
    match known_native(driver) {
        Known::Native => None,
        Known::Since((major, minor)) => Some(format!(
            "this driver has native XDP from Linux {major}.{minor} on, and this kernel is older, unless its distribution has added it"
        )),
        Known::Unknown => Some("this driver is not known to have native XDP".to_owned()),
    }
}

/// What runs on a side (ingress 0, egress 1) of tc; `None`: ours, where it is or where it would be as a filter.
fn in_order(on_hooks: &OnHooks, side: usize, is_filter: bool) -> Vec<Option<String>> {
    let mut programs = on_hooks.tcx.as_ref().map(|sides| sides[side].clone()).unwrap_or_default();
    let filters = on_hooks.filters.as_ref().map_or(&[][..], |sides| &sides[side]);
    let is_there = filters.iter().any(|filter| filter.name.is_none());
    let names = |filters: &[OnFilter]| filters.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    if is_filter && !is_there {
        let (before, after) = filters.split_at(filters.partition_point(|filter| filter.is_first));
        programs.extend(names(before));
        programs.push(None);
        programs.extend(names(after));
    } else {
        programs.extend(names(filters));
    }
    programs
}

/// In which order the programs of a tc hook run. Ours goes first when it is attached, but others may come before it later.
fn order(side: &str, programs: &[Option<String>]) -> (Level, String) {
    let ours = programs.iter().position(Option::is_none);
    let others = |programs: &[Option<String>]| programs.iter().flatten().cloned().collect::<Vec<_>>().join(", then ");
    match ours {
        Some(0) | None => (Level::Note, format!("on tc {side}, in this order: enforcer, then {}", others(programs))),
        Some(ours) => {
            let (before, after) = programs.split_at(ours);
            let then = if after.len() > 1 { format!(", then {}", others(after)) } else { String::new() };
            let text = format!(
                "on tc {side}, in this order: {}, then enforcer{then}; a program before enforcer may let packets pass that enforcer never sees",
                others(before)
            );
            (Level::Warning, text)
        }
    }
}

fn layers(
    planned: &PlannedInterface,
    link: &Link,
    facts: &Facts,
    protected: &[&str],
    add: &mut impl FnMut(Level, &'static str, String),
) {
    let find = |index: Option<u32>| facts.links.iter().find(|link| Some(link.index) == index);
    let names = |links: &[&Link]| links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ");
    let master = find(link.master);
    if let Some((level, message)) = master.and_then(|master| elsewhere(planned.protects, link, master)) {
        add(level, "layers", message);
    } else if let Some(master) = master {
        let others: Vec<&Link> = facts
            .links
            .iter()
            .filter(|one| one.master == link.master && !protected.contains(&one.name.as_str()))
            .collect();
        let kind = master.kind.as_ref().map_or_else(|| "interface".to_owned(), ToString::to_string);
        let (level, rest) = if others.is_empty() || planned.protects == Protects::Guest {
            (Level::Note, String::new())
        } else {
            (
                Level::Warning,
                format!("; packets that arrive through its other ports are not filtered: {}", names(&others)),
            )
        };
        add(level, "layers", format!("it is a port of the {kind} {}{rest}", master.name));
    }
    let below: Vec<&Link> = facts.links.iter().filter(|one| one.master == Some(link.index)).collect();
    if !below.is_empty() {
        let message = format!(
            "its packets arrive through {}, and are judged after these interfaces have combined them",
            names(&below)
        );
        add(Level::Note, "layers", message);
    }
    let above: Vec<&Link> = facts.links.iter().filter(|one| one.lower == Some(link.index)).collect();
    if !above.is_empty() {
        add(Level::Note, "layers", format!("packets of the interfaces above it are judged too: {}", names(&above)));
    }
    if let Some(lower) = find(link.lower) {
        let message = format!("it is carried by {}, whose other traffic is not filtered", lower.name);
        add(Level::Warning, "layers", message);
    }
}

/// Where this host is to be protected, if not at this port of another interface.
fn elsewhere(protects: Protects, link: &Link, master: &Link) -> Option<(Level, String)> {
    if protects == Protects::Guest {
        return None;
    }
    let kind = master.kind.as_ref()?.to_string();
    let (link, above) = (&link.name, &master.name);
    let at = |why: &str| format!("it is a port of the {kind} {above}, {why}: use `interfaces: [{above}]`");
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the many kinds of interfaces, these have ports")]
    match master.kind.as_ref()? {
        InfoKind::Bridge => {
            Some((Level::Fix, at("and a port cannot know which frames the bridge delivers to this host")))
        }
        InfoKind::Bond | InfoKind::Team => Some((
            Level::Warning,
            at("whose other ports carry the same traffic, and which may take this one out at any time"),
        )),
        InfoKind::Vrf => Some((
            Level::Warning,
            format!(
                "it is a port of the VRF {above}: under `scope: host` its addresses and routes are looked for in the VRF's table; what comes \
                 in by other ports of {above} is not filtered unless they are protected as well"
            ),
        )),
        InfoKind::Other(other) if other == "openvswitch" => Some((
            Level::Warning,
            format!(
                "{link} is a port of an Open vSwitch bridge, and a port cannot know which frames that delivers to this host: protect \
                 its internal interface, which has the host's addresses"
            ),
        )),
        _ => None,
    }
}

/// Interfaces that carry packets past the protected ones.
pub(super) fn unprotected(facts: &Facts, protected: &[&str], found: &mut Vec<Finding>) {
    let seen = seen(facts, protected);
    for link in facts.links.iter().filter(|link| link.is_up && !link.is_loopback && !seen.contains(&link.index)) {
        let (topic, message) = if is_tunnel(link) {
            let message = "a tunnel: the protected interfaces judge only the outer protocol of its packets; the inner packets are \
                           not filtered";
            ("tunnel", message)
        } else {
            let message = "it is up and not protected: packets that arrive through it are not filtered, and replies to traffic sent \
                           through it are refused if they return through a protected interface";
            ("unprotected", message)
        };
        found.push(Finding {
            level: Level::Warning,
            interface: Some(link.name.clone()),
            topic,
            message: message.to_owned(),
        });
    }
}

/// The protected interfaces, those above them, and those below them.
fn seen(facts: &Facts, protected: &[&str]) -> BTreeSet<u32> {
    let mut seen: BTreeSet<u32> =
        facts.links.iter().filter(|link| protected.contains(&link.name.as_str())).map(|link| link.index).collect();
    let below: Vec<u32> = facts
        .links
        .iter()
        .filter(|link| link.master.is_some_and(|master| seen.contains(&master)))
        .map(|link| link.index)
        .collect();
    seen = with_those_above(&facts.links, seen);
    // What carries a protected VLAN has other traffic too, and is told of at the VLAN.
    let lower = facts.links.iter().filter(|link| seen.contains(&link.index)).filter_map(|link| link.lower);
    let lower: Vec<u32> = lower.collect();
    seen.extend(below);
    seen.extend(lower);
    seen
}

fn is_tunnel(link: &Link) -> bool {
    matches!(
        link.kind,
        Some(
            InfoKind::Tun
                | InfoKind::Vxlan
                | InfoKind::GreTap
                | InfoKind::GreTap6
                | InfoKind::IpIp
                | InfoKind::Ip6Tnl
                | InfoKind::SitTun
                | InfoKind::GreTun
                | InfoKind::GreTun6
                | InfoKind::Vti
                | InfoKind::Vti6
                | InfoKind::Gtp
                | InfoKind::Wireguard
                | InfoKind::Xfrm
                | InfoKind::Geneve
                | InfoKind::ErSpan
                | InfoKind::Ip6ErSpan
        )
    )
}
