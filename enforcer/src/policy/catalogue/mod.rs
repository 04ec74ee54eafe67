//! The catalogue: roles, the ports they need and the rows of the vendor documents that say so.
//!
//! It is data (`policies/`), built into the program and replaceable by `--catalogue DIR`. What is loaded is checked as a
//! whole: a [`Catalogue`] names no role, peer, document or parameter that it does not have.

mod connections;
mod lint;
mod load;
mod parameter;
mod port;
mod port_ranges;
mod read;
pub(in crate::policy::catalogue) mod records;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Serialize;

use crate::policy::ruleset::SourceRow;
use crate::text::diagnostic::Position;

pub use connections::{Derived, OWN_GROUPS, Origin};
pub use lint::{Conversation, Decision, Decisions, Finding, FindingKind, lint, sharing, stale_decisions};
pub use load::{Error, embedded, from_directory};
pub use parameter::{Parameter, ParameterKind, Setting, Settings};
pub use port::{Base, EvalError, Port, PortExpression, Protocol, Word};
pub(crate) use port_ranges::merge_ranges;
pub use port_ranges::{format_ranges, parse_ranges};
pub use records::{Record, Side, export};

/// Everything that is known about roles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    /// The vendor documents, by the key that sources use.
    pub documents: BTreeMap<String, Document>,
    /// The vocabulary of remote devices.
    pub peers: BTreeMap<String, Peer>,
    /// The roles.
    pub roles: BTreeMap<String, Role>,
    /// What is known to be doubtful, and what was decided.
    pub decisions: Decisions,
}

/// A vendor document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// Title as printed.
    pub title: String,
    /// Product it is about.
    pub product: String,
    /// Release it is about.
    pub release: String,
}

/// A kind of remote device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// What it is.
    pub summary: String,
    /// Roles that run on hosts of this kind.
    pub roles: Vec<String>,
    /// Those of them whose servers this peer means: derived connections to them use it.
    pub servers: Vec<String>,
}

/// A role.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Its name, which is that of its file.
    pub name: String,
    /// Product that an operator knows.
    pub product: String,
    /// Release of the product.
    pub release: String,
    /// What a host with this role does.
    pub summary: String,
    /// Roles that always come with this one.
    pub includes: Vec<String>,
    /// Its own parameters; those of included roles are found through [`Catalogue::parameters`].
    pub parameters: BTreeMap<String, Parameter>,
    /// What it listens on.
    pub services: Vec<Service>,
    /// What it connects to.
    pub connections: Vec<Service>,
}

/// A service or a connection: both are ports, a remote side and a row that says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Unique within the role.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// Remote devices by name.
    pub peers: Vec<String>,
    /// Who may connect.
    pub exposure: Exposure,
    /// Direction as printed.
    pub direction: Printed,
    /// The row.
    pub source: SourceRow,
    /// The parameters' values for which it exists.
    pub when: Condition,
    /// Program that listens, where printed.
    pub executable: Option<String>,
    /// Account it runs under, where printed.
    pub account: Option<String>,
    /// Ports: listening ones of a service, remote ones of a connection.
    pub ports: Vec<Port>,
    /// Remote ports printed beside the listening ones.
    pub remote: Vec<Port>,
    /// What is doubtful in the source.
    pub doubt: Option<String>,
    /// What else the service negotiates.
    pub dynamic: Option<String>,
    /// Only the operating system's ephemeral range.
    pub ephemeral: bool,
    /// The server answers from another port.
    pub answer_any: bool,
    /// Where it stands in its file.
    pub at: Position,
}

/// Ports of an entry with what they stand for on a host.
pub type Evaluated<'a> = Vec<(&'a Port, Vec<RangeInclusive<u16>>)>;

/// Values of parameters that must all be set so.
pub type Condition = BTreeMap<String, String>;

/// Who may reach a service.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// Any bound peer.
    Open,
    /// Members of the cluster.
    Cluster,
    /// Servers of the HTTPS network.
    HttpsNetworking,
    /// The host itself.
    Internal,
}

impl Exposure {
    /// All of them with the words used in files.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("open", Self::Open),
        ("cluster", Self::Cluster),
        ("https-networking", Self::HttpsNetworking),
        ("internal", Self::Internal),
    ];

    /// The word used in files and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Cluster => "cluster",
            Self::HttpsNetworking => "https-networking",
            Self::Internal => "internal",
        }
    }

    /// The one peer that the exposure admits, where it admits only one.
    #[must_use]
    pub const fn only_peer(self) -> Option<&'static str> {
        match self {
            Self::Cluster => Some("cluster"),
            Self::HttpsNetworking => Some("https-networking"),
            Self::Open | Self::Internal => None,
        }
    }
}

/// Direction as a document prints it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Printed {
    /// Bidirectional.
    Both,
    /// Incoming.
    In,
    /// Outgoing.
    Out,
    /// Local.
    Local,
    /// Nothing is printed.
    None,
}

impl Printed {
    /// All of them with the words used in files.
    pub const WORDS: [(&'static str, Self); 5] =
        [("both", Self::Both), ("in", Self::In), ("out", Self::Out), ("local", Self::Local), ("none", Self::None)];

    /// The word used in files and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::In => "in",
            Self::Out => "out",
            Self::Local => "local",
            Self::None => "none",
        }
    }
}

impl Role {
    /// Services and connections.
    pub fn entries(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().chain(&self.connections)
    }
}

impl Service {
    /// Whether the row is about anything but the host itself.
    #[must_use]
    pub fn leaves_host(&self) -> bool {
        self.exposure != Exposure::Internal && self.direction != Printed::Local
    }

    /// Whether it exists with these settings.
    #[must_use]
    pub fn applies(&self, settings: &Settings) -> bool {
        holds(&self.when, settings)
    }

    /// The parameters that decide whether it exists, and on which ports.
    #[must_use]
    pub fn parameters(&self) -> BTreeSet<&str> {
        let mut names: BTreeSet<&str> = self.when.keys().map(String::as_str).collect();
        for port in &self.ports {
            names.extend(port.when.keys().map(String::as_str));
            names.extend(port.parameters());
        }
        names
    }

    /// The ports that exist with these settings, evaluated, with the port they come from. Words name no port.
    ///
    /// # Errors
    ///
    /// A formula that leaves the range of ports, or whose parameter is not set.
    pub fn evaluated<'a>(ports: &'a [Port], settings: &Settings) -> Result<Evaluated<'a>, EvalError> {
        let existing = ports.iter().filter(|port| holds(&port.when, settings));
        let evaluated = existing.map(|port| port.ranges(settings).map(|ranges| (port, ranges)));
        evaluated.filter(|result| result.as_ref().map_or(true, |(_, ranges)| !ranges.is_empty())).collect()
    }

    /// The ports on a host where the operator has moved them. Ports that follow a parameter move; where none does, all of them move.
    ///
    /// # Errors
    ///
    /// As [`Service::evaluated`].
    pub fn placed<'a>(
        ports: &'a [Port],
        settings: &Settings,
        moved: Option<&Vec<RangeInclusive<u16>>>,
    ) -> Result<Evaluated<'a>, EvalError> {
        let found = Self::evaluated(ports, settings)?;
        let Some(moved) = moved else { return Ok(found) };
        let follows = |port: &Port| port.parameters().next().is_some();
        let some_follow = found.iter().any(|(port, _)| follows(port));
        let mut done = BTreeSet::new();
        let placed = found.into_iter().filter_map(|(port, ranges)| {
            if some_follow && !follows(port) {
                return Some((port, ranges));
            }
            done.insert(port.protocol.number()).then(|| (port, moved.clone()))
        });
        Ok(placed.collect())
    }
}

/// Whether every parameter of a condition has the value it asks for.
#[must_use]
pub fn holds(condition: &Condition, settings: &Settings) -> bool {
    condition.iter().all(|(name, value)| settings.get(name).is_some_and(|setting| setting.to_string() == *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalogue_loads() {
        if let Err(findings) = embedded() {
            panic!("{findings}");
        }
    }
}
