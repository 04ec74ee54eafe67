//! Outbound rules: the connections of the roles, printed and derived (see [`crate::policy::catalogue::Origin`]).
//!
//! An inverse rule has the id of the service that it leads to, so that it points at the row which prints it, and the ports
//! that this service has on the host it leads to ([`super::elsewhere`]).

use std::collections::BTreeMap;

use enforcer_common::Direction;

use super::Error;
use super::elsewhere::{Elsewhere, elsewhere};
use super::inbound::{add_ports, rule_id};
use super::printed;
use super::remote::RemoteSide;
use super::rules::Drafts;
use crate::policy::catalogue::{Catalogue, Derived, Exposure, Origin, Service};
use crate::policy::ruleset::Action;
use crate::policy::site::{RoleUse, Site};

/// Adds the connections of every role of the site.
pub(super) fn connections(site: &Site, catalogue: &Catalogue, drafts: &mut Drafts) -> Result<(), Error> {
    for used in &site.roles {
        for role in catalogue.flatten(&used.role) {
            for connection in role.connections.iter().filter(|connection| connection.leaves_host()) {
                if connection.applies(&used.settings) {
                    let ports = Service::evaluated(&connection.ports, &used.settings)
                        .map_err(|cause| Error::Port { rule: rule_id(role, connection), cause })?;
                    let remote = RemoteSide::of_service(site, connection);
                    let of = (role, connection);
                    for port in ports {
                        let remote = printed::without_told(site, catalogue, used, port.0, &remote);
                        add_ports(drafts, Direction::Outbound, Action::Permit, of, used.mode, &remote, &[port]);
                    }
                }
            }
        }
        let mut known: BTreeMap<&str, Vec<Elsewhere>> = BTreeMap::new();
        for derived in catalogue.derived(&used.role) {
            match &derived.origin {
                Origin::Beside => own(site, used, &derived, drafts)?,
                Origin::Group(groups) => own_group(site, used, &derived, groups, drafts)?,
                Origin::Inverse => {
                    let role = derived.role.name.as_str();
                    let hosts = known.entry(role).or_insert_with(|| elsewhere(site, catalogue, used, role));
                    inverse(used, &derived, hosts, drafts);
                }
            }
        }
    }
    Ok(())
}

/// Numeric remote ports beside a service that is not for the host alone.
fn own(site: &Site, used: &RoleUse, derived: &Derived<'_>, drafts: &mut Drafts) -> Result<(), Error> {
    let Derived { role, service, .. } = derived;
    if service.applies(&used.settings) {
        let ports = Service::evaluated(&service.remote, &used.settings)
            .map_err(|cause| Error::Port { rule: rule_id(role, service), cause })?;
        let remote = RemoteSide::of_service(site, service);
        add_ports(drafts, Direction::Outbound, Action::Permit, (role, service), used.mode, &remote, &ports);
    }
    Ok(())
}

/// The other members of a group run the same services.
fn own_group(
    site: &Site,
    used: &RoleUse,
    derived: &Derived<'_>,
    groups: &[&str],
    drafts: &mut Drafts,
) -> Result<(), Error> {
    let Derived { role, service, .. } = derived;
    if service.applies(&used.settings) {
        let groups = groups.iter().copied();
        let remote = match service.exposure {
            Exposure::Open => RemoteSide::bound_or_any(site, groups),
            Exposure::Cluster | Exposure::HttpsNetworking | Exposure::Internal => RemoteSide::of_peers(site, groups),
        };
        let moved = used.moved.get(&rule_id(role, service));
        let ports = Service::placed(&service.ports, &used.settings, moved)
            .map_err(|cause| Error::Port { rule: rule_id(role, service), cause })?;
        add_ports(drafts, Direction::Outbound, Action::Permit, (role, service), used.mode, &remote, &ports);
    }
    Ok(())
}

/// A row whose remote device is a role of this host: its ports on each of the hosts that have it.
fn inverse(used: &RoleUse, derived: &Derived<'_>, hosts: &[Elsewhere], drafts: &mut Drafts) {
    let Derived { role, service, .. } = derived;
    for host in hosts {
        for settings in host.settings(service).iter().filter(|settings| service.applies(settings)) {
            // A port that depends on a parameter which nobody told this host is left out.
            let known = service.ports.iter().filter(|port| port.ranges(settings).is_ok());
            let known: Vec<_> = known.cloned().collect();
            if let Ok(ports) = Service::placed(&known, settings, host.moved.get(&rule_id(role, service))) {
                let of = (*role, *service);
                add_ports(drafts, Direction::Outbound, Action::Permit, of, used.mode, &host.remote, &ports);
            }
        }
    }
}
