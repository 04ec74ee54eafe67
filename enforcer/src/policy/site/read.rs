//! A site's tree, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claims::{Said, claims, refuse_claims_of_others};
use super::peers::{Peers, peers};
use super::values::{name, seconds};
use super::{Echo, Interface, OfEstate, Site, binding, limit, remote, rules};
use crate::policy::catalogue::Catalogue;
use crate::policy::claims::Claims;
use crate::policy::modes::{Protects, SaidModes};
use crate::policy::ruleset::{FlowSettings, Scope};
use crate::policy::site::values::modes_words;
use crate::text::diagnostic::{Diagnostic, Findings, Position, Text};
use crate::text::yaml::{Fields, Node, Reader, Value};

/// Roles of one host; each brings hundreds of rules.
const MOST_ROLES: usize = 256;
/// Rules of the site's own: ten times what is promised to compile at once.
const MOST_RULES: usize = 10_000;
const SCOPES: [(&str, Scope); 2] = [("all", Scope::All), ("host", Scope::Host)];
/// Longest name of an interface (`IFNAMSIZ` without the final zero).
const INTERFACE_NAME: usize = 15;
/// More entries than this would not fit into the memory of a host that also has a job.
const FLOW_ENTRIES: std::ops::RangeInclusive<i64> = 1024..=16_777_216;

/// Makes a site of a tree. `findings` are those that were made while the tree was put together.
pub(crate) fn from_tree(
    text: Text,
    root: &Node,
    catalogue: &Catalogue,
    findings: Vec<Diagnostic>,
    interfaces_required: bool,
) -> Result<Site, Findings> {
    let reader = Reader::new(&text);
    findings.into_iter().for_each(|finding| reader.note(finding));
    let site = site(&reader, root, catalogue, interfaces_required);
    let findings = reader.into_findings();
    match site {
        Some(site) if findings.is_empty() => Ok(Site { text: Arc::new(text), ..site }),
        _ => Err(Findings(findings)),
    }
}

fn site(reader: &Reader<'_>, root: &Node, catalogue: &Catalogue, interfaces_required: bool) -> Option<Site> {
    let mut fields = reader.fields(root, "a site")?;
    let estate = of_estate(reader, &mut fields);
    let interfaces = if interfaces_required && estate.is_none() {
        fields.required("interfaces")
    } else {
        fields.optional("interfaces")
    };
    let interfaces = interfaces.map(|node| placed_interfaces(reader, node, estate.is_some())).unwrap_or_default();
    let interface_places = interfaces.iter().map(|(one, at)| (one.name.clone(), *at)).collect();
    let role_nodes = fields.optional("roles").map(|node| reader.one_or_more(node, "a list of roles"));
    let roles = reader.each(role_nodes.unwrap_or_default());
    let roles: Vec<_> = roles.filter_map(|node| binding::role(reader, node, catalogue)).collect();
    if roles.len() > MOST_ROLES {
        reader.error(root, format!("the site has {} roles; {MOST_ROLES} are the most", roles.len()));
    }
    let are_roles_read = reader.is_clean();
    let peer_node = fields.optional("peers");
    let remotes = fields.optional("remote").map(|node| remote::remotes(reader, node, catalogue)).unwrap_or_default();
    let (peers, remotes) = peers(reader, peer_node, remotes, catalogue);
    let keys = host_keys(reader, &mut fields);
    let rules = site_rules(reader, [fields.optional("allow"), fields.optional("deny")], &peers, catalogue);
    let limits = fields.optional("limit").map(|node| {
        let known = limit::Known { catalogue, peers: &peers, roles: are_roles_read.then_some(&roles) };
        limit::limits(reader, node, &known)
    });
    if roles.is_empty() && rules.is_empty() && reader.is_clean() && fields.rest().is_empty() {
        let hint = "`enforcer roles` lists the roles";
        let message = "the site has no roles and no rules, so it would refuse everything";
        reader.note(reader.text.error(fields.at, message).with_hint(hint));
    }
    fields.finish();
    Some(Site {
        text: Arc::default(),
        interfaces: interfaces.into_iter().map(|(one, _)| one).collect(),
        interface_places,
        mode: keys.mode,
        estate,
        roles,
        peers: peers.bound,
        nobody: peers.nobody,
        peer_places: peers.places,
        peer_names: peers.names,
        outbound_judged: keys.outbound_judged.unwrap_or(false),
        ephemeral_open: keys.ephemeral_open.unwrap_or(false),
        icmp_echo: keys.icmp_echo.unwrap_or(Echo::Any),
        scope: keys.scope,
        flows: keys.flows.unwrap_or_default(),
        release: keys.release,
        rules,
        limits: limits.unwrap_or_default(),
        remotes,
    })
}

/// The estate and the host that a rendered site file names.
fn of_estate(reader: &Reader<'_>, fields: &mut Fields<'_, '_>) -> Option<OfEstate> {
    let (estate, host) = (fields.optional("estate"), fields.optional("host"));
    if let (Some(node), None) | (None, Some(node)) = (estate, host) {
        let message =
            "`estate` and `host` belong together: the estate that this file is rendered from, and its host there";
        reader.error(node, message);
    }
    let estate = name(reader, estate?, "the name of an estate")?.to_owned();
    Some(OfEstate { estate, host: name(reader, host?, "the name of a host")?.to_owned() })
}

/// What a host says of itself beside roles, peers and rules. An estate says it for all hosts or for one.
#[derive(Clone, Debug, Default)]
pub struct HostKeys {
    /// `mode`.
    pub mode: SaidModes,
    /// `outbound: role`.
    pub outbound_judged: Option<bool>,
    /// `ephemeral: open`.
    pub ephemeral_open: Option<bool>,
    /// `icmp_echo`.
    pub icmp_echo: Option<Echo>,
    /// `scope`.
    pub scope: Option<Scope>,
    /// `flows`.
    pub flows: Option<FlowSettings>,
    /// `release`.
    pub release: Option<(String, Position)>,
}

/// Reads them.
pub(in crate::policy) fn host_keys(reader: &Reader<'_>, fields: &mut Fields<'_, '_>) -> HostKeys {
    let mode = fields.optional("mode").map(|node| modes(reader, node)).unwrap_or_default();
    let outbound_judged =
        fields.optional("outbound").and_then(|node| reader.word(node, &[("open", false), ("role", true)]));
    let ephemeral_open =
        fields.optional("ephemeral").and_then(|node| reader.word(node, &[("tracked", false), ("open", true)]));
    let echo = [("any", Echo::Any), ("peers", Echo::Peers), ("none", Echo::Nobody)];
    let icmp_echo = fields.optional("icmp_echo").and_then(|node| reader.word(node, &echo));
    let scope = fields.optional("scope").and_then(|node| reader.word(node, &SCOPES));
    let flows = fields.optional("flows").and_then(|node| flows(reader, node));
    let release = fields.optional("release").and_then(|node| {
        let text = reader.string(node, "a release such as `\"11.5(1)\"`")?;
        Some((text.to_owned(), node.at))
    });
    HostKeys { mode, outbound_judged, ephemeral_open, icmp_echo, scope, flows, release }
}

/// Reads `interfaces:`.
pub(in crate::policy) fn interfaces(reader: &Reader<'_>, node: &Node) -> Vec<Interface> {
    placed_interfaces(reader, node, false).into_iter().map(|(one, _)| one).collect()
}

/// Reads `interfaces:`, with the places of the names. All of them may lead to one guest, which is not always behind the same port.
fn placed_interfaces(reader: &Reader<'_>, node: &Node, lead_to_one: bool) -> Vec<(Interface, Position)> {
    let nodes = reader.one_or_more(node, "a list of interfaces");
    if nodes.is_empty() && matches!(node.value, Value::Sequence(_)) {
        reader.error(node, "the list of interfaces is empty");
    }
    let mut interfaces = Vec::new();
    let (mut names, mut said) = (BTreeSet::new(), Vec::new());
    for node in reader.each(nodes) {
        let Some((interface, name, of_guest)) = interface(reader, node) else { continue };
        said.extend(of_guest);
        if !names.insert(interface.name.clone()) {
            reader.error(name, format!("the interface `{}` stands twice", interface.name));
        }
        interfaces.push((interface, name.at));
    }
    if !lead_to_one {
        refuse_claims_of_others(reader, &said);
    }
    interfaces
}

/// Reads an interface. Returns the node of its name, and where the claims of the guest behind it stand.
fn interface<'n>(reader: &Reader<'_>, node: &'n Node) -> Option<(Interface, &'n Node, Option<Said<'n>>)> {
    let what = "the name of an interface";
    let (name, protects, mode, scope, said) = match &node.value {
        Value::Mapping(_) => {
            let mut fields = reader.fields(node, "an interface")?;
            let name = fields.required("name");
            let protects = [Protects::Host, Protects::Guest].map(|protects| (protects.name(), protects));
            let protects =
                fields.optional("protects").and_then(|node| reader.word(node, &protects)).unwrap_or(Protects::Host);
            let mode = fields.optional("mode").map(|node| modes(reader, node)).unwrap_or_default();
            let scope = fields.optional("scope").and_then(|node| reader.word(node, &SCOPES));
            let said = claims(reader, &mut fields, name, protects);
            fields.finish();
            (name?, protects, mode, scope, said)
        }
        Value::Scalar { .. } | Value::Sequence(_) => (node, Protects::Host, SaidModes::default(), None, None),
    };
    let text = reader.string(name, what)?;
    // What the kernel itself accepts (dev_valid_name), without what would need quoting in a pin path.
    let valid = text.len() <= INTERFACE_NAME
        && !matches!(text, "." | "..")
        && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | ':'));
    if !valid {
        let hint = "up to 15 characters, without spaces, `/` and `:`";
        reader.note(reader.text.error(name.at, format!("{} cannot be {what}", name.describe())).with_hint(hint));
        return None;
    }
    if text == "lo" {
        let hint = "programs of one host talk over it; name the interfaces that lead to others";
        reader.note(reader.text.error(name.at, "`lo` cannot be protected").with_hint(hint));
        return None;
    }
    let claims = said.as_ref().map_or_else(Claims::default, |said| said.claims.clone());
    Some((Interface { name: text.to_owned(), protects, mode, scope, claims }, name, said))
}

fn modes(reader: &Reader<'_>, node: &Node) -> SaidModes {
    match &node.value {
        Value::Mapping(_) => {
            let Some(mut fields) = reader.fields(node, "`mode`") else { return SaidModes::default() };
            let mut mode = |key| fields.optional(key).and_then(|node| reader.word(node, &modes_words()));
            let modes = SaidModes { inbound: mode("inbound"), outbound: mode("outbound") };
            fields.finish();
            modes
        }
        Value::Scalar { .. } | Value::Sequence(_) => {
            let mode = reader.word(node, &modes_words());
            SaidModes { inbound: mode, outbound: mode }
        }
    }
}

fn flows(reader: &Reader<'_>, node: &Node) -> Option<FlowSettings> {
    let mut fields = reader.fields(node, "`flows`")?;
    let defaults = FlowSettings::default();
    let entries = fields.optional("entries").and_then(|node| reader.integer(node, "a number", &FLOW_ENTRIES));
    let mut timeout = |key, default| fields.optional(key).and_then(|node| seconds(reader, node)).unwrap_or(default);
    let flows = FlowSettings {
        entries: entries.and_then(|entries| u32::try_from(entries).ok()),
        tcp: timeout("tcp", defaults.tcp),
        tcp_closing: timeout("tcp_closing", defaults.tcp_closing),
        udp: timeout("udp", defaults.udp),
        one_way: timeout("one_way", defaults.one_way),
        icmp: timeout("icmp", defaults.icmp),
    };
    fields.finish();
    Some(flows)
}

fn site_rules(
    reader: &Reader<'_>,
    lists: [Option<&Node>; 2],
    peers: &Peers,
    catalogue: &Catalogue,
) -> Vec<super::SiteRule> {
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    let mut found = Vec::new();
    for (list, deny) in lists.into_iter().zip([false, true]) {
        let what = if deny { "a list of rules to deny" } else { "a list of rules to allow" };
        for node in reader.each(list.map(|node| reader.list(node, what)).unwrap_or_default()) {
            let Some(rule) = rules::rule(reader, node, deny, peers, catalogue) else { continue };
            if let Some(line) = names.get(&rule.name) {
                let message = format!("two rules are called `{}`", rule.name);
                let hint = format!("the first is on line {line}; counters are kept by name");
                reader.note(reader.text.error(rule.at, message).with_hint(hint));
            } else {
                names.insert(rule.name.clone(), rule.at.line);
            }
            found.push(rule);
        }
        if let Some(node) = list
            && found.len() > MOST_RULES
        {
            reader.error(node, format!("the site has more than {MOST_RULES} rules of its own"));
        }
    }
    found
}
