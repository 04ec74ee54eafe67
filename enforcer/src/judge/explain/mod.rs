//! Why a packet passes or not: verdict, reason, rule, row of the document, and the smallest change that would turn the verdict.

mod candidates;
mod hint;

use std::net::IpAddr;

use enforcer_common::{Direction, Mode, Reason, Verdict};
use serde::Serialize;

pub use candidates::{Candidate, Candidates, candidates};
pub use hint::{Known, hint};

use crate::judge::host::Host;
use crate::judge::reference::{Asked, Ruling, ruling};
use crate::judge::tables::HostTables;
use crate::judge::tuple::Tuple;
use crate::policy::catalogue::{Catalogue, OWN_GROUPS, Service};
use crate::policy::ruleset::{Rule, Ruleset, SourceRow};
use crate::policy::site::{Remote, Site};

/// What is said of a packet.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// `pass` or `drop`.
    pub verdict: Verdict,
    /// The reason by its name.
    pub reason: Reason,
    /// The reason in a sentence.
    pub sentence: &'static str,
    /// The rule, where one is responsible.
    pub rule: Option<String>,
    /// The first row of the documents that the rule comes from.
    pub source: Option<SourceRow>,
    /// All of them.
    pub sources: Vec<SourceRow>,
    /// A refusal is only counted, because the rule is in audit by itself.
    pub audited: bool,
    /// The smallest change that would turn the verdict.
    pub hint: Option<String>,
    /// What the document says of the service, in the words of the catalogue.
    #[serde(skip)]
    pub summary: Option<String>,
}

/// A judgement, wherever it comes from: these tables, or the program on the hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    /// Why.
    pub reason: Reason,
    /// The rule by its index.
    pub rule: Option<usize>,
    /// Refused by a rule that is in audit by itself.
    pub audited: bool,
}

/// Judges a packet by the policy alone, with nothing remembered of packets before it.
#[must_use]
pub fn judge(ruleset: &Ruleset, tuple: &Tuple) -> Found {
    let host = Host::default();
    let tables = HostTables::new(ruleset, &host);
    let frame = tuple.frame();
    let outcome = tables.judge(tuple.direction, &enforcer_common::frame::Bytes::new(&frame)).outcome;
    Found { reason: outcome.reason(), rule: outcome.rule().map(usize::from), audited: outcome.is_audited() }
}

/// Puts a judgement into words.
#[must_use]
pub fn describe(site: &Site, catalogue: &Catalogue, ruleset: &Ruleset, tuple: &Tuple, found: Found) -> Explanation {
    let known = Known { site, catalogue, ruleset };
    let rule = responsible(ruleset, tuple, found);
    let service = rule.and_then(|rule| service_of(catalogue, rule));
    Explanation {
        verdict: found.reason.verdict(),
        reason: found.reason,
        sentence: found.reason.sentence(),
        rule: rule.map(|rule| rule.id.clone()),
        source: rule.and_then(|rule| rule.sources.first().cloned()),
        sources: rule.map_or_else(Vec::new, |rule| rule.sources.clone()),
        audited: found.audited && found.reason.verdict() == Verdict::Drop,
        hint: hint(&known, tuple, found, rule),
        summary: service.map(|service| service.summary.clone()),
    }
}

/// The hint alone.
#[must_use]
pub fn describe_hint(known: &Known<'_>, tuple: &Tuple, found: Found) -> Option<String> {
    hint(known, tuple, found, responsible(known.ruleset, tuple, found))
}

/// The rule that a person would look at. The answer of a permitted service leaves by the rule that permits the question, and
/// what has no connection may have a rule that names the port for other addresses.
fn responsible<'a>(ruleset: &'a Ruleset, tuple: &Tuple, found: Found) -> Option<&'a Rule> {
    let index = found.rule.or_else(|| match (found.reason, tuple.ports) {
        (Reason::Rule, Some((source, _))) if tuple.direction == Direction::Outbound => {
            let asked = Asked::Port { protocol: tuple.protocol, port: source };
            match ruling(ruleset, Direction::Inbound, asked, Some(tuple.remote())) {
                Ruling::Permit { rule, .. } => Some(rule),
                Ruling::Deny { .. } | Ruling::Peer { .. } | Ruling::Internal { .. } | Ruling::Nothing => None,
            }
        }
        (Reason::NoConnection, Some((_, port))) => {
            let asked = Asked::Port { protocol: tuple.protocol, port };
            match ruling(ruleset, Direction::Outbound, asked, Some(tuple.remote())) {
                Ruling::Peer { rule, .. } => Some(rule),
                Ruling::Deny { .. } | Ruling::Permit { .. } | Ruling::Internal { .. } | Ruling::Nothing => None,
            }
        }
        _ => None,
    });
    index.and_then(|index| ruleset.rules.get(index))
}

/// The service or connection of the catalogue that a rule comes from.
pub(crate) fn service_of<'a>(catalogue: &'a Catalogue, rule: &Rule) -> Option<&'a Service> {
    let (role, name) = rule.id.split_once('/')?;
    catalogue.roles.get(role)?.entries().find(|service| service.name == name)
}

/// The peers by name whose members a rule could be meant for, those without addresses included; none where a rule has only
/// addresses.
pub(crate) fn peers_of(site: &Site, catalogue: &Catalogue, rule: &Rule) -> Vec<String> {
    let named = || {
        let names = rule.peers.iter().flatten().filter(|name| is_peer(name));
        names.cloned().collect::<Vec<_>>()
    };
    let Some(service) = service_of(catalogue, rule).filter(|service| service.exposure.only_peer().is_none()) else {
        return named();
    };
    match rule.direction {
        Direction::Inbound => match site.limits.get(&rule.id) {
            Some(limit) => limit.remotes.iter().filter_map(Remote::peer).map(str::to_owned).collect(),
            // A service is for all of its peers, although only those with addresses are in the rule.
            None => service.peers.clone(),
        },
        Direction::Outbound => {
            let (role, name) = rule.id.split_once('/').unwrap_or_default();
            let connects =
                catalogue.roles.get(role).is_some_and(|role| role.connections.iter().any(|one| one.name == name));
            if connects {
                return service.peers.clone();
            }
            // The peers of a service are its clients. Its servers are what a client connects to.
            let mut names = named();
            let servers =
                catalogue.servers_of(role).filter(|_| names.iter().all(|name| !OWN_GROUPS.contains(&name.as_str())));
            names.extend(servers.map(str::to_owned).filter(|servers| !names.contains(servers)));
            names
        }
    }
}

/// A name of a peer, where a rule may also have addresses.
fn is_peer(name: &str) -> bool {
    name.parse::<IpAddr>().is_err() && name.parse::<ipnet::IpNet>().is_err()
}

/// Whether the host, or the rule for itself, only counts what is refused.
#[must_use]
pub fn mode_of(site: &Site, direction: Direction) -> Mode {
    let mode = match direction {
        Direction::Inbound => site.mode.inbound,
        Direction::Outbound => site.mode.outbound,
    };
    mode.unwrap_or(Mode::Audit)
}
