//! Connections that no row prints as such. The documents print most client sides only on the listener's row, so they are
//! derived from three places: see [`Origin`].

use std::collections::BTreeSet;

use super::{Catalogue, Exposure, PortExpression, Role, Service};

/// Groups that a host is itself a member of. Towards them only its own roles have connections.
pub const OWN_GROUPS: [&str; 2] = ["cluster", "https-networking"];

/// A connection of a role that is derived from a service's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived<'a> {
    /// The role that has the service: the one that connects, or another one.
    pub role: &'a Role,
    /// The service whose row says that there is a connection.
    pub service: &'a Service,
    /// What the connection is derived from.
    pub origin: Origin<'a>,
}

/// What a connection is derived from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin<'a> {
    /// Numeric remote ports that a row of the role prints beside its own listening ports.
    Beside,
    /// A service of the role for members of a group that its host belongs to: the other members run the same service.
    Group(Vec<&'a str>),
    /// A row of another role, or of this role's other hosts, that names this role as its remote device.
    Inverse,
}

impl Catalogue {
    /// The derived connections of a role and of all that it includes, whatever its parameters.
    #[must_use]
    pub fn derived<'a>(&'a self, name: &'a str) -> Vec<Derived<'a>> {
        let own = self.flatten(name);
        let mut found = Vec::new();
        for role in own.iter().copied() {
            for service in &role.services {
                let origins = [has_numeric_remote(service).then_some(Origin::Beside), group(service)];
                found.extend(origins.into_iter().flatten().map(|origin| Derived { role, service, origin }));
            }
        }
        let kinds: BTreeSet<&str> =
            own.iter().flat_map(|role| self.peers_of(&role.name)).filter(|peer| !OWN_GROUPS.contains(peer)).collect();
        for role in self.roles.values() {
            let inverse = role.services.iter().filter(|service| {
                service.exposure == Exposure::Open
                    && service.leaves_host()
                    && !service.ephemeral
                    && service.peers.iter().any(|peer| kinds.contains(peer.as_str()))
            });
            found.extend(inverse.map(|service| Derived { role, service, origin: Origin::Inverse }));
        }
        found
    }
}

/// Whether a row for other hosts prints remote ports; a word such as `random` is the client's port and permits nothing.
fn has_numeric_remote(service: &Service) -> bool {
    service.leaves_host() && service.remote.iter().any(|port| !matches!(port.port, PortExpression::Word(_)))
}

/// The groups whose members a service is for: all that an exposure admits, or those that an `open` service names.
fn group(service: &Service) -> Option<Origin<'_>> {
    if service.ephemeral {
        return None;
    }
    let groups: Vec<&str> = match (service.exposure, service.exposure.only_peer()) {
        (_, Some(group)) => vec![group],
        (Exposure::Open, None) if service.leaves_host() => {
            OWN_GROUPS.into_iter().filter(|group| service.peers.iter().any(|peer| peer == group)).collect()
        }
        (Exposure::Open | Exposure::Internal | Exposure::Cluster | Exposure::HttpsNetworking, None) => Vec::new(),
    };
    (!groups.is_empty()).then_some(Origin::Group(groups))
}
