//! The site file of a host, as a person reads it: each binding with a comment of where it comes from.
//!
//! No line depends on anything but what this host says and whom it talks to, so that a change of the estate changes no other file.

use std::fmt::Write as _;

use enforcer_common::Mode;
use ipnet::IpNet;

use super::bound::{Bound, Told};
use super::derive::{Draft, Interfaces};
use super::{Estate, Host};
use crate::policy::catalogue::{Catalogue, Settings, format_ranges};
use crate::policy::claims::Claims;
use crate::policy::modes::{Protects, SaidModes};
use crate::policy::ruleset::{FlowSettings, Scope};
use crate::policy::site::{Echo, Interface, Limit, Moved, RoleUse};
use crate::text::diagnostic::Position;
use crate::text::yaml::{Node, inline};

/// Column at which comments stand behind short values.
const COMMENT: usize = 34;

/// The site file of a host.
#[must_use]
pub fn render(estate: &Estate, catalogue: &Catalogue, host: &Host) -> String {
    let draft = Draft::new(estate, catalogue, host);
    let mut page = Page::default();
    page.line(&format!("# The host `{}` of the estate `{}`, as `enforcer render` writes it.", host.name, estate.name));
    page.line("# Change the estate and render it again: what is changed here is lost, and nobody else learns of it.");
    page.line(&format!("estate: {}", estate.name));
    page.line(&format!("host: {}", host.name));
    head(&mut page, &draft);
    page.line("roles:");
    for used in &host.roles {
        page.line(&format!("  - {}", role(used, catalogue)));
    }
    if host.roles.is_empty() {
        page.text.truncate(page.text.len() - "roles:\n".len());
    }
    if !draft.peers.is_empty() {
        page.line("peers:");
        draft.peers.iter().for_each(|(name, bound)| peer(&mut page, name, bound));
    }
    if !draft.told.is_empty() {
        page.line("# Where connections lead, with what decides on the ports there.");
        page.line("remote:");
        draft.told.iter().for_each(|told| remote(&mut page, told));
    }
    for (deny, key) in [(false, "allow"), (true, "deny")] {
        let mut rules = draft.rules.iter().filter(|rule| rule.rule.deny == deny).peekable();
        if rules.peek().is_some() {
            page.line(&format!("{key}:"));
        }
        for rule in rules {
            let whose = if rule.selectors.is_empty() { "every host".to_owned() } else { rule.selectors.join(", ") };
            page.with_comment(&format!("  - {}", rule.written), &format!("of {whose}"));
        }
    }
    if !draft.limits.is_empty() {
        page.line("limit:");
        draft.limits.iter().for_each(|(id, limit)| page.line(&format!("  - {}", narrowed(id, limit))));
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn with_comment(&mut self, text: &str, comment: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{text:<COMMENT$}  # {comment}");
    }
}

fn head(page: &mut Page, draft: &Draft<'_>) {
    let keys = &draft.keys;
    if let Some((release, _)) = &keys.release {
        page.line(&format!("release: {}", double_quoted(release)));
    }
    let list = draft.interfaces.list();
    let written: Vec<String> = list.iter().map(interface).collect();
    let line = format!("interfaces: [{}]", written.join(", "));
    match &draft.interfaces {
        Interfaces::Said(_) => page.line(&line),
        Interfaces::All => page.with_comment(&line, "the estate names none: all but the loopback"),
        Interfaces::Ports(ports) if ports.is_empty() => {
            page.line("# The port of this guest is not known: name it as `interface` under `behind`.");
        }
        Interfaces::Ports(_) => {
            let machines: Vec<&str> = draft.host.behind.iter().map(|behind| behind.host.as_str()).collect();
            page.with_comment(&line, &format!("behind {}", machines.join(", ")));
        }
        Interfaces::Exported => page.line(&format!("# Protected by `{}`.", draft.host.by.name())),
    }
    if let Some(mode) = modes(keys.mode) {
        page.line(&format!("mode: {mode}"));
    }
    if let Some(judged) = keys.outbound_judged {
        page.line(&format!("outbound: {}", if judged { "role" } else { "open" }));
    }
    if let Some(open) = keys.ephemeral_open {
        page.line(&format!("ephemeral: {}", if open { "open" } else { "tracked" }));
    }
    if let Some(echo) = keys.icmp_echo {
        let word = match echo {
            Echo::Any => "any",
            Echo::Peers => "peers",
            Echo::Nobody => "none",
        };
        page.line(&format!("icmp_echo: {word}"));
    }
    if let Some(scope) = keys.scope {
        page.line(&format!("scope: {}", scope_word(scope)));
    }
    if let Some(flows) = keys.flows {
        let flows = self::flows(flows);
        if !flows.is_empty() {
            page.line(&format!("flows: {{{flows}}}"));
        }
    }
}

fn interface(interface: &Interface) -> String {
    let name = quoted(&interface.name);
    let mut more = String::new();
    if interface.protects == Protects::Guest {
        more.push_str(", protects: guest");
    }
    more.push_str(&claims(&interface.claims));
    if let Some(mode) = modes(interface.mode) {
        let _ = write!(more, ", mode: {mode}");
    }
    if let Some(scope) = interface.scope {
        let _ = write!(more, ", scope: {}", scope_word(scope));
    }
    if more.is_empty() { name } else { format!("{{name: {name}{more}}}") }
}

fn claims(claims: &Claims) -> String {
    let mut more = String::new();
    for (key, nets) in [("addresses", &claims.addresses), ("shared", &claims.shared)] {
        if !nets.is_empty() {
            let nets: Vec<String> = nets.iter().map(address).collect();
            let _ = write!(more, ", {key}: [{}]", nets.join(", "));
        }
    }
    if let Some(mac) = claims.mac {
        let _ = write!(more, ", mac: \"{mac}\"");
    }
    for (key, is_said) in [("router", claims.router), ("dhcp-server", claims.dhcp_server)] {
        if is_said {
            let _ = write!(more, ", {key}: true");
        }
    }
    more
}

fn modes(said: SaidModes) -> Option<String> {
    match (said.inbound.map(Mode::name), said.outbound.map(Mode::name)) {
        (None, None) => None,
        (Some(both), Some(other)) if both == other => Some(both.to_owned()),
        (inbound, outbound) => {
            let parts = [("inbound", inbound), ("outbound", outbound)];
            let parts: Vec<String> =
                parts.iter().filter_map(|(name, mode)| Some(format!("{name}: {}", (*mode)?))).collect();
            Some(format!("{{{}}}", parts.join(", ")))
        }
    }
}

const fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::All => "all",
        Scope::Host => "host",
    }
}

fn flows(flows: FlowSettings) -> String {
    let plain = FlowSettings::default();
    let mut parts = Vec::new();
    parts.extend(flows.entries.map(|entries| format!("entries: {entries}")));
    let times = [
        ("tcp", flows.tcp, plain.tcp),
        ("tcp_closing", flows.tcp_closing, plain.tcp_closing),
        ("udp", flows.udp, plain.udp),
        ("one_way", flows.one_way, plain.one_way),
        ("icmp", flows.icmp, plain.icmp),
    ];
    parts.extend(times.iter().filter(|(_, is, was)| is != was).map(|(name, is, _)| format!("{name}: {is}s")));
    parts.join(", ")
}

/// A role with what is not as it is by itself.
fn role(used: &RoleUse, catalogue: &Catalogue) -> String {
    let parameters = catalogue.parameters(&used.role);
    let set = used.settings.iter().filter(|(name, setting)| {
        parameters.get(name.as_str()).is_none_or(|parameter| parameter.default.as_ref() != Some(*setting))
    });
    let set = set.map(|(name, setting)| (name.clone(), setting.clone())).collect();
    let mode = used.mode.map(|mode| format!(", mode: {}", mode.name())).unwrap_or_default();
    let more = format!("{}{}{mode}", settings(&set), moved(&used.moved));
    if more.is_empty() { used.role.clone() } else { format!("{{role: {}{more}}}", used.role) }
}

fn settings(settings: &Settings) -> String {
    settings.iter().map(|(name, setting)| format!(", {name}: {}", quoted(&setting.to_string()))).collect()
}

fn moved(moved: &Moved) -> String {
    if moved.is_empty() {
        return String::new();
    }
    let each = moved.iter().map(|(id, ports)| {
        let ports: Vec<String> = ports.iter().map(|range| format_ranges(std::slice::from_ref(range))).collect();
        format!("{id}: [{}]", ports.join(", "))
    });
    format!(", moved: {{{}}}", each.collect::<Vec<_>>().join(", "))
}

fn peer(page: &mut Page, name: &str, bound: &Bound) {
    if let Some(why) = &bound.nobody {
        return page.with_comment(&format!("  {name}: none"), why);
    }
    page.line(&format!("  {name}:"));
    for (net, origin) in &bound.nets {
        page.with_comment(&format!("    - {}", address(net)), origin);
    }
}

fn remote(page: &mut Page, told: &Told) {
    page.line(&format!("  - role: {}", told.role));
    for (name, setting) in &told.settings {
        page.line(&format!("    {name}: {}", quoted(&setting.to_string())));
    }
    if !told.moved.is_empty() {
        page.line(&format!("    {}", moved(&told.moved).trim_start_matches(", ")));
    }
    page.line("    addresses:");
    for (net, origin) in &told.nets {
        page.with_comment(&format!("      - {}", address(net)), origin);
    }
}

fn narrowed(id: &str, limit: &Limit) -> String {
    let from: Vec<String> = limit.remotes.iter().map(|remote| quoted(&remote.to_string())).collect();
    let reason = limit.reason.as_ref().map(|reason| format!(", reason: {}", quoted(reason))).unwrap_or_default();
    format!("{{service: {id}, from: [{}]{reason}}}", from.join(", "))
}

fn address(net: &IpNet) -> String {
    quoted(&if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() })
}

/// A scalar, in quotes where it needs them.
fn quoted(text: &str) -> String {
    inline(&Node::scalar(Position::default(), text))
}

/// A text that could be taken for a number.
fn double_quoted(text: &str) -> String {
    let quoted = quoted(text);
    if quoted.starts_with('"') { quoted } else { format!("\"{quoted}\"") }
}
