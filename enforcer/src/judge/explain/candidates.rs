//! Which entries of the catalogue name a port.

use std::ops::RangeInclusive;

use enforcer_common::Direction;

use crate::policy::catalogue::{Catalogue, Printed, Service};
use crate::policy::ruleset::SourceRow;

/// A service or connection of the catalogue that names a port.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize)]
pub struct Candidate {
    /// `role/service`.
    pub id: String,
    /// The row.
    pub source: SourceRow,
}

/// Entries of the catalogue that name a port, in either direction seen from the host, with the parameters' defaults.
#[must_use]
pub fn candidates(catalogue: &Catalogue, direction: Direction, protocol: u8, port: u16) -> Vec<Candidate> {
    Candidates::of(catalogue).naming(direction, protocol, port).into_iter().cloned().collect()
}

/// All of them, to be asked for many ports.
#[derive(Clone, Debug)]
pub struct Candidates {
    entries: Vec<Named>,
}

#[derive(Clone, Debug)]
struct Named {
    direction: Direction,
    protocol: u8,
    ranges: Vec<RangeInclusive<u16>>,
    candidate: Candidate,
}

impl Candidates {
    /// Those of a catalogue.
    #[must_use]
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut entries = Vec::new();
        for role in catalogue.roles.values() {
            let mut settings = crate::policy::catalogue::Settings::new();
            for (name, parameter) in catalogue.parameters(&role.name) {
                settings.extend(parameter.default.clone().map(|default| (name.to_owned(), default)));
            }
            for (direction, services) in
                [(Direction::Inbound, &role.services), (Direction::Outbound, &role.connections)]
            {
                // A range of thousands of ports says nothing about one of them.
                let wanted = |service: &&Service| service.direction != Printed::Local && !service.ephemeral;
                for service in services.iter().filter(wanted) {
                    entries.extend(service.ports.iter().filter_map(|port| {
                        Some(Named {
                            direction,
                            protocol: port.protocol.number(),
                            ranges: port.ranges(&settings).ok()?,
                            candidate: Candidate {
                                id: format!("{}/{}", role.name, service.name),
                                source: port.source.clone(),
                            },
                        })
                    }));
                }
            }
        }
        // Of the same service the row that is printed first counts: the sort is stable.
        entries.sort_by(|a, b| a.candidate.id.cmp(&b.candidate.id));
        Self { entries }
    }

    /// Those that name a port, each service once, by id.
    #[must_use]
    pub fn naming(&self, direction: Direction, protocol: u8, port: u16) -> Vec<&Candidate> {
        let names = |entry: &&Named| {
            entry.direction == direction
                && entry.protocol == protocol
                && entry.ranges.iter().any(|range| range.contains(&port))
        };
        let mut found: Vec<&Candidate> = self.entries.iter().filter(names).map(|entry| &entry.candidate).collect();
        found.dedup_by(|a, b| a.id == b.id);
        found
    }
}
