//! Ports that a row prints for a connection, where the estate knows the ports of the hosts that it leads to.
//!
//! Finesse prints 42027 for the CTI server of side A: that is the port of instance 0, and the row of the CTI server prints the formula. In
//! an estate the connection that is derived from the formula holds, for every host of which the estate tells.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

use super::prefixes::without;
use super::remote::RemoteSide;
use crate::policy::catalogue::{Catalogue, Origin, Port, Role, Service, Settings};
use crate::policy::site::{RoleUse, Site};

/// The remote side of a printed connection, without the hosts of which `remote:` tells the port that is printed here by its default.
pub(super) fn without_told(
    site: &Site,
    catalogue: &Catalogue,
    used: &RoleUse,
    port: &Port,
    remote: &RemoteSide,
) -> RemoteSide {
    let Some(prefixes) = remote.prefixes.as_deref().filter(|_| site.estate.is_some()) else { return remote.clone() };
    if port.parameters().next().is_none() {
        return remote.clone();
    }
    let Ok(printed) = port.ranges(&defaults(catalogue, &used.role)) else { return remote.clone() };
    let mut told: Vec<IpNet> = Vec::new();
    for derived in catalogue.derived(&used.role).iter().filter(|derived| derived.origin == Origin::Inverse) {
        if prints(catalogue, derived.role, derived.service, port, &printed) {
            let of_role = |role: &str| catalogue.flatten(role).iter().any(|one| one.name == derived.role.name);
            let entries = site.remotes.iter().filter(|entry| of_role(&entry.role));
            told.extend(entries.flat_map(|entry| entry.addresses.iter()));
        }
    }
    if told.is_empty() {
        return remote.clone();
    }
    let left: Arc<[IpNet]> = without(prefixes, &told).into();
    RemoteSide { names: remote.names.clone(), prefixes: Some(left) }
}

/// Whether a service has this port where everything is as it is by itself.
fn prints(catalogue: &Catalogue, role: &Role, service: &Service, port: &Port, printed: &[RangeInclusive<u16>]) -> bool {
    service.ports.iter().filter(|own| own.protocol.number() == port.protocol.number()).any(|own| {
        let mut settings = defaults(catalogue, &role.name);
        let parameters = catalogue.parameters(&role.name);
        for (name, value) in service.when.iter().chain(&own.when) {
            let setting = parameters.get(name.as_str()).and_then(|parameter| parameter.parse(value).ok());
            settings.extend(setting.map(|setting| (name.clone(), setting)));
        }
        own.ranges(&settings).is_ok_and(|ranges| ranges == printed)
    })
}

fn defaults(catalogue: &Catalogue, role: &str) -> Settings {
    let parameters = catalogue.parameters(role).into_iter();
    parameters.filter_map(|(name, parameter)| Some((name.to_owned(), parameter.default.clone()?))).collect()
}
