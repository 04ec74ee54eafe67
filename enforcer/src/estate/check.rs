//! The check of an estate: each conversation at both ends, and what nobody uses.

use std::collections::{BTreeMap, BTreeSet};

use enforcer_common::Direction;
use serde::Serialize;

use super::attribution::{Whose, entry, of_refusal, of_silence};
use super::ends::{End, Ends};
use super::ports::{Ports, common, without};
use super::proofs;
use crate::policy::catalogue::{Exposure, OWN_GROUPS, format_ranges};
use crate::policy::ruleset::{Action, Match, Rule, SourceRow};
use crate::policy::site::{Remote, protocol_name};
use crate::text::diagnostic::{Diagnostic, Position};

/// What kind of finding.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A test does not hold.
    Test,
    /// One host lets out what another one does not let in.
    NotLetIn,
    /// One host lets in what another one does not let out.
    NotLetOut,
    /// A service that nobody may use.
    NoClient,
    /// A connection that leads to nobody.
    NoServer,
    /// Remote devices of which the estate says nothing: rules for them are open to any address.
    Unbound,
    /// A name under `outside:` that no rule uses.
    Unused,
    /// What `check` says of a host alone.
    Host,
}

impl Kind {
    /// The word in files and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::NotLetIn => "not-let-in",
            Self::NotLetOut => "not-let-out",
            Self::NoClient => "no-client",
            Self::NoServer => "no-server",
            Self::Unbound => "unbound",
            Self::Unused => "unused",
            Self::Host => "host",
        }
    }
}

/// A finding about an estate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// Whose it is.
    pub whose: Whose,
    /// The rule, service or name that it is about.
    pub subject: String,
    /// What is found.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The hosts; for conversations `FROM -> TO`.
    pub hosts: Vec<String>,
    /// Rows of the documents.
    pub sources: Vec<SourceRow>,
    /// What was decided about it in the catalogue, and why.
    pub decision: Option<[String; 2]>,
    /// Where in the estate.
    #[serde(skip)]
    pub at: Position,
}

impl Finding {
    /// Whether it refuses the estate.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.kind == Kind::Test
    }

    /// The finding as `check` prints it.
    #[must_use]
    pub fn diagnostic(&self, ends: &Ends<'_>) -> Diagnostic {
        /// More is for JSON.
        const MOST: usize = 6;
        let hosts = match self.hosts.len() {
            0 => String::new(),
            all if all > MOST => format!(" ({} and {} more)", self.hosts[..MOST].join(", "), all - MOST),
            _ => format!(" ({})", self.hosts.join(", ")),
        };
        let rows: Vec<String> =
            self.sources.iter().map(|row| format!("{} {}:{}", row.document, row.table, row.row)).collect();
        let rows = if rows.is_empty() { String::new() } else { format!("; row {}", rows.join(", ")) };
        let message = format!("{}{hosts} [{}{rows}]", self.message, self.whose.name());
        let text = &ends.estate.text;
        let found = if self.is_error() { text.error(self.at, message) } else { text.warning(self.at, message) };
        match (&self.decision, &self.hint) {
            (Some([decision, why]), _) => found.with_hint(format!("known: {decision} {why}")),
            (None, hint) => found.with_hint_if(hint.clone()),
        }
    }
}

/// Findings that are the same but for the hosts.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    kind: Kind,
    subject: String,
    message: String,
    whose: Whose,
}

/// The hosts of findings that are the same, and where the first of them stands.
#[derive(Default)]
struct Group {
    hosts: BTreeSet<String>,
    sources: BTreeSet<SourceRow>,
    hint: Option<String>,
    at: Position,
}

#[derive(Default)]
struct Found {
    groups: BTreeMap<Key, Group>,
}

impl Found {
    fn add(
        &mut self,
        key: Key,
        hosts: impl IntoIterator<Item = String>,
        sources: &[SourceRow],
        hint: Option<String>,
        at: Position,
    ) {
        let group = self.groups.entry(key).or_insert_with(|| Group { hint, at, ..Group::default() });
        group.hosts.extend(hosts);
        group.sources.extend(sources.iter().cloned());
    }
}

/// Every finding, in the order of their kinds.
#[must_use]
pub fn check(ends: &Ends<'_>) -> Vec<Finding> {
    let mut found = Found::default();
    for test in &ends.estate.tests {
        if let Some(message) = proofs::failure(ends, test) {
            let key = Key { kind: Kind::Test, subject: String::new(), message, whose: Whose::Estate };
            found.add(key, [], &[], None, test.at);
        }
    }
    for end in ends.hosts.values() {
        conversations(ends, end, &mut found);
        nobody(end, &mut found);
        unbound(ends, end, &mut found);
        for warning in &end.warnings {
            let key = Key {
                kind: Kind::Host,
                subject: String::new(),
                message: warning.message.clone(),
                whose: Whose::Estate,
            };
            let at = Position { line: warning.line.unwrap_or(1), column: warning.column.unwrap_or(1), length: 1 };
            found.add(key, [end.host.name.clone()], &[], warning.hint.clone(), at);
        }
    }
    unused(ends, &mut found);
    let findings = found.groups.into_iter().map(|(key, Group { hosts, sources, hint, at })| {
        let Key { kind, subject, message, whose } = key;
        let decision = ends.catalogue.decisions.about_conversation(kind.name(), &subject);
        Finding {
            kind,
            whose,
            subject,
            message,
            hint,
            hosts: hosts.into_iter().collect(),
            sources: sources.into_iter().collect(),
            decision: decision.map(|decision| [decision.decision.clone(), decision.why.clone()]),
            at,
        }
    });
    findings.collect()
}

/// What this host lets out and others do not let in, and what it lets in and others do not let out.
fn conversations(ends: &Ends<'_>, end: &End<'_>, found: &mut Found) {
    for rule in end.rules.iter().filter(|rule| rule.action == Action::Permit) {
        let (Match::Ports { protocol, ports }, Some(prefixes)) = (&rule.matches, &rule.prefixes) else { continue };
        for other in ends.within(prefixes, &end.host.name) {
            let (from, to) = match rule.direction {
                Direction::Outbound => (end, other),
                Direction::Inbound => (other, end),
            };
            if rule.direction == Direction::Inbound && !from.site.outbound_judged {
                continue;
            }
            let mut missing = Ports::new();
            for (source, target) in from.ways(to) {
                let (here, there, towards) = match rule.direction {
                    Direction::Outbound => (target, source, Direction::Inbound),
                    Direction::Inbound => (source, target, Direction::Outbound),
                };
                if !super::ends::holds(prefixes, here) {
                    continue;
                }
                // What a `deny` of this end takes away again is no matter of the other.
                let own = common(ports, &end.permits(rule.direction, *protocol, here));
                missing.extend(without(&own, &other.permits(towards, *protocol, there)));
            }
            if missing.is_empty() {
                continue;
            }
            let missing = crate::policy::catalogue::merge_ranges(missing);
            let service = format!("{} {}", protocol_name(*protocol), format_ranges(&missing));
            let at_ports = (*protocol, missing);
            let (kind, (whose, why)) = match rule.direction {
                Direction::Outbound => (Kind::NotLetIn, of_refusal(ends, rule, from, to, &at_ports)),
                Direction::Inbound => (Kind::NotLetOut, of_silence(rule, from, &at_ports)),
            };
            let message = match rule.direction {
                Direction::Inbound => {
                    format!("`{}` lets in {service}, and the client does not let it out: {why}", rule.id)
                }
                Direction::Outbound => {
                    format!("`{}` lets out {service}, and the server does not let it in: {why}", rule.id)
                }
            };
            let key = Key { kind, subject: rule.id.clone(), message, whose };
            let hint = hint(rule, from, to, &at_ports);
            let pair = format!("{} -> {}", from.host.name, to.host.name);
            found.add(key, [pair], &rule.sources, hint, end.host.at);
        }
    }
}

/// The entry that would let it pass.
fn hint(rule: &Rule, from: &End<'_>, to: &End<'_>, (protocol, ports): &(u8, Ports)) -> Option<String> {
    let name = rule.id.replace('/', "-");
    let (protocol, ports) = (protocol_name(*protocol), format_ranges(ports).replace(',', ", "));
    let (host, direction, end) = match rule.direction {
        Direction::Outbound => (&to.host.name, "", format!("from: [{}]", from.host.name)),
        Direction::Inbound => (&from.host.name, ", direction: out", format!("to: [{}]", to.host.name)),
    };
    Some(format!(
        "if they need it: `allow: [{{name: {name}, hosts: [{host}]{direction}, protocol: {protocol}, ports: [{ports}], {end}}}]`"
    ))
}

/// Services and connections of a host that are for nobody.
fn nobody(end: &End<'_>, found: &mut Found) {
    for rule in end.rules.iter().filter(|rule| rule.action == Action::Permit && !rule.id.starts_with("site/")) {
        if rule.prefixes.as_ref().is_none_or(|prefixes| !prefixes.is_empty()) {
            continue;
        }
        let names: Vec<&String> =
            rule.peers.iter().flatten().filter(|name| !end.site.peers.contains_key(*name)).collect();
        // A host that names no cluster is a single node; and a printed port that the estate replaces has peers.
        let is_alone = |name: &&String| match name.as_str() {
            "cluster" => end.host.cluster.is_none(),
            "https-networking" => end.host.network.is_none(),
            _ => false,
        };
        if names.is_empty() || names.iter().all(is_alone) {
            continue;
        }
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let (kind, message) = match rule.direction {
            Direction::Inbound => {
                (Kind::NoClient, format!("nobody may use `{}`: the estate has no {names} for this host", rule.id))
            }
            Direction::Outbound => {
                (Kind::NoServer, format!("`{}` leads to nobody: the estate has no {names} for this host", rule.id))
            }
        };
        let key = Key { kind, subject: rule.id.clone(), message, whose: Whose::Estate };
        let hint =
            "if there are such devices, give a host the role, or list their addresses under `outside:`".to_owned();
        found.add(key, [end.host.name.clone()], &rule.sources, Some(hint), end.host.at);
    }
}

/// Rules that are open to any address, because their peers are not listed.
fn unbound(ends: &Ends<'_>, end: &End<'_>, found: &mut Found) {
    for rule in end.rules.iter().filter(|rule| rule.action == Action::Permit && rule.prefixes.is_none()) {
        let Some((_, service)) = entry(ends, &rule.id) else { continue };
        if service.exposure != Exposure::Open {
            continue;
        }
        let peers = service.peers.iter().filter(|peer| !OWN_GROUPS.contains(&peer.as_str()));
        for peer in peers.filter(|peer| !end.site.peers.contains_key(*peer) && !end.site.nobody.contains(*peer)) {
            let message = match rule.direction {
                Direction::Inbound => {
                    format!(
                        "no address is bound to `{peer}` under `outside:`, so any source may use services that are for it"
                    )
                }
                Direction::Outbound => {
                    format!("no address is bound to `{peer}` under `outside:`, so connections to it may lead anywhere")
                }
            };
            let key = Key { kind: Kind::Unbound, subject: peer.clone(), message, whose: Whose::Estate };
            found.add(
                key,
                [end.host.name.clone()],
                &[],
                Some(format!("list its addresses: `outside: {{{peer}: [...]}}`")),
                ends.estate.at,
            );
        }
    }
}

/// Names of `outside:` that nothing uses.
fn unused(ends: &Ends<'_>, found: &mut Found) {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for end in ends.hosts.values() {
        used.extend(end.rules.iter().flat_map(|rule| rule.peers.iter().flatten()).map(String::as_str));
        used.extend(end.site.peers.keys().map(String::as_str));
    }
    let estate = ends.estate;
    used.extend(estate.outside.values().flat_map(|outside| outside.nets.values().flatten()).map(String::as_str));
    used.extend(estate.tests.iter().flat_map(|test| [test.from.as_str(), test.to.as_str()]));
    let remotes = estate.rules.iter().flat_map(|rule| rule.rule.remotes.iter().flatten());
    let remotes = remotes.chain(estate.limits.values().flat_map(|limit| &limit.remotes));
    used.extend(remotes.filter_map(Remote::peer));
    for (name, outside) in estate.outside.iter().filter(|(name, _)| !used.contains(name.as_str())) {
        let message = if outside.nets.is_empty() {
            format!("`{name}` has no addresses")
        } else {
            format!("no rule of any host uses `{name}`")
        };
        let key = Key { kind: Kind::Unused, subject: name.clone(), message, whose: Whose::Estate };
        found.add(key, [], &[], Some("remove it".to_owned()), outside.at);
    }
}
