//! Roles that a host may have without its site saying so: several of their ports were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use enforcer_common::{Direction, Verdict};

use super::additions::{Additions, RoleEntry};
use super::kinds::{Denied, SuggestionKind, Tried};
use super::{Base, Draft};
use crate::policy::catalogue::{Exposure, ParameterKind, Printed, Setting, Settings};

/// Roles that are suggested at most: a host has few.
const MOST: usize = 8;
/// A range of thousands of ports says nothing about one of them.
const WIDE: u32 = 1024;
/// Combinations of settings that are tried for a role.
const COMBINATIONS: usize = 64;

/// Ports of a direction.
type Ports = BTreeSet<(Direction, u8, u16)>;

/// Suggests roles for flows that nothing names, and takes these flows away.
pub(super) fn suggest(base: &Base<'_>, open: &mut Vec<Denied>) -> Vec<Draft> {
    let candidates = candidates(base);
    let mut found = Vec::new();
    let mut refused: BTreeSet<String> = BTreeSet::new();
    while found.len() < MOST {
        let asked: Ports = open.iter().filter_map(port_of).collect();
        let Some(best) = best(&candidates, &asked, &refused) else { break };
        refused.insert(best.entry.role.clone());
        let additions = Additions { roles: vec![best.entry.clone()], ..Additions::default() };
        let Ok(changed) = base.with(&additions) else { continue };
        let tables = changed.tables();
        let permits = |flow: &Denied| {
            port_of(flow).is_some_and(|port| best.names(port))
                && tables.judge(flow).is_some_and(|found| found.reason.verdict() == Verdict::Pass)
        };
        let (explained, rest): (Vec<_>, Vec<_>) = std::mem::take(open).into_iter().partition(permits);
        *open = rest;
        let ports: Ports = explained.iter().filter_map(port_of).collect();
        if is_evidence(&candidates, best, &ports) {
            found.push(Draft {
                kind: SuggestionKind::Role,
                name: best.entry.role.clone(),
                additions,
                flows: explained,
            });
        } else {
            open.extend(explained);
        }
    }
    found
}

const fn port_of(flow: &Denied) -> Option<(Direction, u8, u16)> {
    match flow.tried {
        Tried::Port { protocol, port } => Some((flow.direction, protocol, port)),
        Tried::Protocol(_) | Tried::Icmp { .. } | Tried::Ethertype(_) => None,
    }
}

/// A role with settings, and the ports that these give it.
struct Candidate {
    entry: RoleEntry,
    ranges: Vec<(Direction, u8, RangeInclusive<u16>)>,
    total: u32,
}

impl Candidate {
    fn names(&self, (direction, protocol, port): (Direction, u8, u16)) -> bool {
        self.ranges.iter().any(|(of, number, range)| *of == direction && *number == protocol && range.contains(&port))
    }

    fn matches(&self, asked: &Ports) -> usize {
        asked.iter().filter(|port| self.names(**port)).count()
    }
}

/// The role that names the most of what was asked for; of equals the smallest.
fn best<'c>(candidates: &'c [Candidate], asked: &Ports, refused: &BTreeSet<String>) -> Option<&'c Candidate> {
    let scored =
        candidates.iter().filter(|one| !refused.contains(&one.entry.role)).map(|one| (one.matches(asked), one));
    let named = scored.filter(|(matches, _)| *matches > 0);
    let best = named.min_by(|(a, one), (b, other)| {
        let key = |matches: usize, one: &Candidate| {
            (std::cmp::Reverse(matches), one.total, one.entry.role.clone(), one.entry.settings.clone())
        };
        key(*a, one).cmp(&key(*b, other))
    });
    best.map(|(_, candidate)| candidate)
}

/// Two ports of a role are evidence; a single one is only where no other role has it.
fn is_evidence(candidates: &[Candidate], of: &Candidate, ports: &Ports) -> bool {
    let others = |port| candidates.iter().any(|other| other.entry.role != of.entry.role && other.names(port));
    match ports.len() {
        0 => false,
        1 => !ports.iter().any(|port| others(*port)),
        _ => true,
    }
}

/// The roles that the site does not have, with every setting that matters.
fn candidates(base: &Base<'_>) -> Vec<Candidate> {
    let has: BTreeSet<&str> = base
        .site
        .roles
        .iter()
        .flat_map(|used| base.catalogue.flatten(&used.role))
        .map(|role| role.name.as_str())
        .collect();
    let names = base.catalogue.roles.keys().filter(|name| !has.contains(name.as_str()));
    names.flat_map(|name| settings_of(base, name).into_iter().map(|chosen| candidate(base, name, &chosen))).collect()
}

/// What could be set: each word of a choice, each instance; what needs a number that nobody can guess is left out.
fn settings_of(base: &Base<'_>, role: &str) -> Vec<BTreeMap<String, Setting>> {
    let mut all: Vec<BTreeMap<String, Setting>> = vec![BTreeMap::new()];
    for (name, parameter) in base.catalogue.parameters(role) {
        let values: Vec<Setting> = match &parameter.kind {
            ParameterKind::Choice(words) if parameter.default.is_none() => {
                words.iter().cloned().map(Setting::Choice).collect()
            }
            ParameterKind::Integer(range) if parameter.default.is_none() || name == "instance" => {
                range.clone().take(COMBINATIONS).map(Setting::Integer).collect()
            }
            ParameterKind::Port | ParameterKind::Ports if parameter.default.is_none() => return Vec::new(),
            ParameterKind::Choice(_) | ParameterKind::Integer(_) | ParameterKind::Port | ParameterKind::Ports => {
                continue;
            }
        };
        let with = |value: &Setting| {
            let value = value.clone();
            all.iter()
                .map(move |known| {
                    let mut known = known.clone();
                    known.insert(name.to_owned(), value.clone());
                    known
                })
                .collect::<Vec<_>>()
        };
        all = values.iter().flat_map(with).take(COMBINATIONS).collect();
    }
    all
}

fn candidate(base: &Base<'_>, role: &str, chosen: &BTreeMap<String, Setting>) -> Candidate {
    let mut settings = Settings::new();
    let mut said = BTreeMap::new();
    for (name, parameter) in base.catalogue.parameters(role) {
        settings.extend(parameter.default.clone().map(|default| (name.to_owned(), default)));
        if let Some(value) = chosen.get(name) {
            if parameter.default.as_ref() != Some(value) {
                said.insert(name.to_owned(), value.to_string());
            }
            settings.insert(name.to_owned(), value.clone());
        }
    }
    let mut ranges = Vec::new();
    for role in base.catalogue.flatten(role) {
        let services = role.services.iter().map(|service| (Direction::Inbound, service));
        let connections = role.connections.iter().map(|service| (Direction::Outbound, service));
        for (direction, service) in services.chain(connections) {
            if service.ephemeral
                || service.exposure == Exposure::Internal
                || service.direction == Printed::Local
                || !service.applies(&settings)
            {
                continue;
            }
            for port in &service.ports {
                let found = port.ranges(&settings).unwrap_or_default();
                ranges.extend(found.into_iter().map(|range| (direction, port.protocol.number(), range)));
            }
        }
    }
    let width = |range: &RangeInclusive<u16>| u32::from(*range.end()) - u32::from(*range.start()) + 1;
    let total = ranges.iter().map(|(_, _, range)| width(range)).sum();
    ranges.retain(|(_, _, range)| width(range) < WIDE);
    Candidate { entry: RoleEntry { role: role.to_owned(), settings: said }, ranges, total }
}
