//! Which entries of the catalogue name a port.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use enforcer_common::Direction;

use crate::policy::catalogue::{Catalogue, ParameterKind, Port, Role, Service, Setting, Settings};
use crate::policy::ruleset::SourceRow;

/// A service or connection of the catalogue that names a port.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize)]
pub struct Candidate {
    /// `role/service`.
    pub id: String,
    /// The row.
    pub source: SourceRow,
    /// The parameters of its role with which it has the port, where these are not the defaults or the host is another one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// Entries of the catalogue that name a port, in either direction seen from the host.
#[must_use]
pub fn candidates(catalogue: &Catalogue, direction: Direction, protocol: u8, port: u16) -> Vec<Candidate> {
    Candidates::of(catalogue).naming(direction, protocol, port)
}

/// All of them, to be asked for many ports.
#[derive(Clone, Debug)]
pub struct Candidates<'a> {
    catalogue: &'a Catalogue,
    entries: Vec<Named>,
}

#[derive(Clone, Debug)]
struct Named {
    of: Of,
    protocol: u8,
    ranges: Vec<RangeInclusive<u16>>,
    candidate: Candidate,
}

/// What names a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    /// A service of this host.
    Service,
    /// A connection of this host.
    Connection,
    /// A service of another host, to which this one might connect.
    Listener,
}

impl<'a> Candidates<'a> {
    /// Those of a catalogue.
    #[must_use]
    pub fn of(catalogue: &'a Catalogue) -> Self {
        let mut entries = Vec::new();
        for role in catalogue.roles.values() {
            let defaults = defaults(catalogue, role);
            for (of, services) in
                [(Of::Service, &role.services), (Of::Connection, &role.connections), (Of::Listener, &role.services)]
            {
                for service in services.iter().filter(|service| is_wanted(of, service)) {
                    entries.extend(service.ports.iter().filter_map(|port| {
                        let settings = match of {
                            Of::Service | Of::Connection => BTreeMap::new(),
                            Of::Listener => said(service, port, &defaults),
                        };
                        Some(Named {
                            of,
                            protocol: port.protocol.number(),
                            ranges: port.ranges(&defaults).ok()?,
                            candidate: candidate(role, service, port, settings),
                        })
                    }));
                }
            }
        }
        // Of the same service the row that is printed first counts: the sort is stable.
        entries.sort_by(|a, b| a.candidate.id.cmp(&b.candidate.id));
        Self { catalogue, entries }
    }

    /// Those that name a port, each service once, by id: with the parameters' defaults, else with another instance. Where a
    /// host connects to a port that no connection prints, it is a service of the host at the other end.
    #[must_use]
    pub fn naming(&self, direction: Direction, protocol: u8, port: u16) -> Vec<Candidate> {
        let of = |of: Of| {
            let names = move |entry: &&Named| {
                entry.of == of && entry.protocol == protocol && entry.ranges.iter().any(|range| range.contains(&port))
            };
            self.entries.iter().filter(names).map(|entry| entry.candidate.clone()).collect::<Vec<_>>()
        };
        let listens = match direction {
            Direction::Inbound => Of::Service,
            Direction::Outbound => Of::Listener,
        };
        let mut found = match direction {
            Direction::Inbound => Vec::new(),
            Direction::Outbound => of(Of::Connection),
        };
        if found.is_empty() {
            found = of(listens);
        }
        if found.is_empty() {
            found = self.of_other_instances(listens, protocol, port);
        }
        found.dedup_by(|a, b| a.id == b.id);
        found
    }

    /// Services that have a port with an instance which is not the default.
    fn of_other_instances(&self, of: Of, protocol: u8, wanted: u16) -> Vec<Candidate> {
        let mut found = Vec::new();
        for role in self.catalogue.roles.values() {
            let parameters = self.catalogue.parameters(&role.name);
            let Some(ParameterKind::Integer(range)) = parameters.get("instance").map(|parameter| &parameter.kind)
            else {
                continue;
            };
            let mut settings = defaults(self.catalogue, role);
            for service in role.services.iter().filter(|service| is_wanted(of, service)) {
                for port in service.ports.iter().filter(|port| port.protocol.number() == protocol) {
                    let instance = port.instance_with(wanted, &settings).filter(|instance| range.contains(instance));
                    let Some(instance) = instance else { continue };
                    settings.insert("instance".to_owned(), Setting::Integer(instance));
                    found.push(candidate(role, service, port, said(service, port, &settings)));
                }
            }
        }
        found
    }
}

fn candidate(role: &Role, service: &Service, port: &Port, settings: BTreeMap<String, String>) -> Candidate {
    Candidate { id: format!("{}/{}", role.name, service.name), source: port.source.clone(), settings }
}

/// The parameters' defaults.
fn defaults(catalogue: &Catalogue, role: &Role) -> Settings {
    let parameters = catalogue.parameters(&role.name).into_iter();
    parameters.filter_map(|(name, parameter)| Some((name.to_owned(), parameter.default.clone()?))).collect()
}

/// The parameters on which a port depends, as its service asks for them or as they are set.
fn said(service: &Service, port: &Port, settings: &Settings) -> BTreeMap<String, String> {
    let follows = port.parameters().filter_map(|name| Some((name.to_owned(), settings.get(name)?.to_string())));
    let asks = service.when.iter().chain(&port.when).map(|(name, value)| (name.clone(), value.clone()));
    follows.chain(asks).collect()
}

/// A range of thousands of ports says nothing about one of them, and a row about the host itself nothing about others.
fn is_wanted(of: Of, service: &Service) -> bool {
    !service.ephemeral
        && match of {
            Of::Service | Of::Connection => service.direction != crate::policy::catalogue::Printed::Local,
            Of::Listener => service.leaves_host(),
        }
}
