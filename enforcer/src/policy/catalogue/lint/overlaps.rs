//! Listening ports that two services claim.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use enforcer_common::numbers::TCP;

use super::{Finding, FindingKind};
use crate::policy::catalogue::{
    Catalogue, ParameterKind, PortExpression, Role, Service, Setting, Settings, format_ranges, merge_ranges,
};
use crate::policy::ruleset::SourceRow;

/// Where a base port is put that has no default: it may be anywhere, and is compared with nothing but itself.
const SOMEWHERE: u16 = 10_000;
/// A range of so many ports is taken for one from which ports are drawn, and not for a list of services.
const WIDE: u16 = 100;

/// Contradictions, collisions, instances and ranges.
pub(super) fn overlaps(catalogue: &Catalogue) -> Vec<Finding> {
    let (claims, sharing) = (claims(catalogue), sharing(catalogue));
    let mut found: BTreeMap<(FindingKind, usize, usize, u8), Vec<RangeInclusive<u16>>> = BTreeMap::new();
    let mut by_start: Vec<&Claim<'_>> = claims.iter().collect();
    by_start.sort_by_key(|claim| (claim.protocol, *claim.ports.start()));
    for (index, one) in by_start.iter().enumerate() {
        for other in by_start[index + 1..]
            .iter()
            .take_while(|other| other.protocol == one.protocol && other.ports.start() <= one.ports.end())
        {
            let (first, second) = if one.owner <= other.owner { (one, other) } else { (other, one) };
            if let Some(kind) = kind(&sharing, first, second) {
                let shared = *one.ports.start().max(other.ports.start())..=*one.ports.end().min(other.ports.end());
                found.entry((kind, first.owner, second.owner, one.protocol)).or_default().push(shared);
            }
        }
    }
    let owners = owners(catalogue);
    let findings = found.into_iter().map(|((kind, first, second, protocol), ranges)| {
        let (one, other) = (&owners[first], &owners[second]);
        finding(kind, *one, *other, protocol, &merge_ranges(ranges))
    });
    findings.collect()
}

/// A service of a role.
type Owner<'a> = (&'a Role, &'a Service);

/// A listening port or range, as it stands for one instance and side.
struct Claim<'a> {
    owner: usize,
    role: &'a Role,
    service: &'a Service,
    protocol: u8,
    ports: RangeInclusive<u16>,
    source: &'a SourceRow,
    /// Follows the instance or a base port.
    moving: bool,
    /// Follows a base that has no default.
    unknown: bool,
    instance: i64,
    settings: BTreeMap<&'a str, &'a str>,
}

fn owners(catalogue: &Catalogue) -> Vec<Owner<'_>> {
    let roles = catalogue.roles.values();
    roles.flat_map(|role| role.services.iter().map(move |service| (role, service))).collect()
}

/// Every port of every service for every instance.
fn claims(catalogue: &Catalogue) -> Vec<Claim<'_>> {
    let mut claims = Vec::new();
    for (owner, (role, service)) in owners(catalogue).into_iter().enumerate() {
        let parameters = catalogue.parameters(&role.name);
        let instances = match parameters.get("instance").map(|parameter| &parameter.kind) {
            Some(ParameterKind::Integer(range)) => range.clone(),
            _ => 0..=0,
        };
        for port in &service.ports {
            let moving = matches!(port.port, PortExpression::Formula { .. });
            let based = |name: &str| parameters.get(name).is_some_and(|parameter| parameter.default.is_none());
            let unknown = port.parameters().any(based);
            let mut settings = Settings::new();
            for (name, parameter) in &parameters {
                let setting = match (&parameter.default, &parameter.kind) {
                    (Some(default), _) => default.clone(),
                    (None, ParameterKind::Port) => Setting::Ports(vec![SOMEWHERE..=SOMEWHERE]),
                    (None, ParameterKind::Integer(_) | ParameterKind::Choice(_) | ParameterKind::Ports) => continue,
                };
                settings.insert((*name).to_owned(), setting);
            }
            for instance in if moving { instances.clone() } else { 0..=0 } {
                settings.insert("instance".to_owned(), Setting::Integer(instance));
                for ports in port.ranges(&settings).unwrap_or_default() {
                    let conditions = service.when.iter().chain(&port.when);
                    claims.push(Claim {
                        owner,
                        role,
                        service,
                        protocol: port.protocol.number(),
                        ports,
                        source: &port.source,
                        moving,
                        unknown,
                        instance,
                        settings: conditions.map(|(name, value)| (name.as_str(), value.as_str())).collect(),
                    });
                }
            }
        }
    }
    claims
}

/// What it means that two claims meet; `None`: nothing.
fn kind(sharing: &BTreeSet<(&str, &str)>, one: &Claim<'_>, other: &Claim<'_>) -> Option<FindingKind> {
    if one.owner == other.owner && one.instance == other.instance
        || !sharing.contains(&(&*one.role.name, &*other.role.name))
    {
        return None;
    }
    if (one.unknown || other.unknown) && one.owner != other.owner {
        return None;
    }
    let wide = |claim: &Claim<'_>| claim.ports.end() - claim.ports.start() >= WIDE;
    // Both sides and all gateways of one instance are on different hosts or in different roles, but a formula may still run
    // from one block into the other.
    let exclusive = one.settings.iter().any(|(name, value)| other.settings.get(name).is_some_and(|v| v != value));
    if one.moving || other.moving {
        // One service meets itself in another instance; two services meet where one moves past the other.
        let meets = if one.owner == other.owner {
            one.instance != other.instance
        } else {
            one.source != other.source && (one.instance != other.instance || !(one.moving && other.moving))
        };
        return meets.then_some(FindingKind::Instance);
    }
    if one.owner == other.owner || exclusive || one.source == other.source {
        return None;
    }
    if wide(one) || wide(other) {
        return Some(FindingKind::Range);
    }
    if one.service.exposure != other.service.exposure {
        return Some(FindingKind::Contradiction);
    }
    (one.role.name != other.role.name).then_some(FindingKind::Collision)
}

/// Pairs of roles that can share a host: of one product, one including the other, or put together by `decisions.yaml`.
#[must_use]
pub fn sharing(catalogue: &Catalogue) -> BTreeSet<(&str, &str)> {
    let mut pairs = BTreeSet::new();
    for (name, role) in &catalogue.roles {
        let inner = catalogue.flatten(name).into_iter().map(|inner| inner.name.as_str());
        let product = catalogue.roles.values().filter(|other| other.product == role.product).map(|r| r.name.as_str());
        let groups =
            catalogue.decisions.hosts.iter().filter(|group| group.contains(name)).flatten().map(String::as_str);
        for other in inner.chain(product).chain(groups) {
            pairs.extend([(name.as_str(), other), (other, name.as_str())]);
        }
    }
    pairs
}

fn finding(
    kind: FindingKind,
    (one_role, one): Owner<'_>,
    (other_role, other): Owner<'_>,
    protocol: u8,
    ranges: &[RangeInclusive<u16>],
) -> Finding {
    let name = if protocol == TCP { "tcp" } else { "udp" };
    let ports = format!("{name} {}", format_ranges(ranges));
    let (first, second) = (format!("{}/{}", one_role.name, one.name), format!("{}/{}", other_role.name, other.name));
    let message = match kind {
        FindingKind::Contradiction => {
            format!("{ports} is {} for {first} and {} for {second}", one.exposure.name(), other.exposure.name())
        }
        FindingKind::Collision => format!("{ports} belongs to {first} and to {second}, whose roles can share a host"),
        FindingKind::Instance if first == second => {
            format!("the ports of one instance of {first} overlap those of the next")
        }
        FindingKind::Instance => format!("an instance of {first} or {second} runs into the other at {ports}"),
        FindingKind::Range => format!("{ports} belongs to {first} and to {second}, one of which is a wide range"),
        FindingKind::Servers | FindingKind::Protocol | FindingKind::Doubt => String::new(),
    };
    let sources: BTreeSet<SourceRow> = [one, other].into_iter().map(|service| service.source.clone()).collect();
    // Where an instance meets the next one depends on the base, so no port is named.
    let ports = (first != second).then_some(ports);
    let mut services = vec![first, second];
    services.dedup();
    Finding { kind, services, ports, message, sources: sources.into_iter().collect(), decision: None }
}
