//! Outbound rules: the connections of the roles. The documents print most client sides only on the listener's row, so they
//! are derived from three places.
//!
//! - (a) what a role prints itself: its connections, and numeric remote ports beside its services;
//! - (b) the inverse of rows whose remote device is this role, of other roles and of this role's other hosts;
//! - (c) its own `cluster` and `https-networking` services, towards those peers.
//!
//! An inverse rule has the id of the service that it leads to, so that it points at the row which prints it.

use std::collections::BTreeSet;

use enforcer_common::Direction;

use super::Error;
use super::inbound::{add_ports, rule_id};
use super::remote::{OWN_SIDE, RemoteSide};
use super::rules::Drafts;
use crate::policy::catalogue::{Catalogue, Exposure, Kind, Printed, Role, Service, Setting, Settings};
use crate::policy::ruleset::Action;
use crate::policy::site::{RoleUse, Site};

/// Adds the connections of every role of the site.
pub(super) fn connections(site: &Site, catalogue: &Catalogue, drafts: &mut Drafts) -> Result<(), Error> {
    for used in &site.roles {
        let own = catalogue.flatten(&used.role);
        for role in &own {
            printed(site, used, role, drafts)?;
            towards_own_groups(site, used, role, drafts)?;
        }
        inverse(site, catalogue, used, &own, drafts);
    }
    Ok(())
}

/// (a): connections, and numeric remote ports beside services that are not for the host alone.
fn printed(site: &Site, used: &RoleUse, role: &Role, drafts: &mut Drafts) -> Result<(), Error> {
    let connections = role.connections.iter().map(|connection| (connection, &connection.ports));
    let beside = role.services.iter().map(|service| (service, &service.remote));
    for (service, ports) in connections.chain(beside).filter(|(service, _)| leaves(service)) {
        if service.applies(&used.settings) {
            let ports = Service::evaluated(ports, &used.settings)
                .map_err(|cause| Error::Port { rule: rule_id(role, service), cause })?;
            let remote = RemoteSide::of_service(site, service);
            add_ports(drafts, Direction::Outbound, Action::Permit, (role, service), used.mode, &remote, &ports);
        }
    }
    Ok(())
}

/// (c): the other members run the same services, and so do those of this role's `open` services that name the group.
fn towards_own_groups(site: &Site, used: &RoleUse, role: &Role, drafts: &mut Drafts) -> Result<(), Error> {
    for service in role.services.iter().filter(|service| !service.ephemeral && service.applies(&used.settings)) {
        let remote = match (service.exposure, service.exposure.only_peer()) {
            (_, Some(group)) => RemoteSide::of_peers(site, [group]),
            (Exposure::Open, None) => {
                let groups: Vec<&str> =
                    OWN_SIDE.into_iter().filter(|group| service.peers.iter().any(|peer| peer == group)).collect();
                if groups.is_empty() || !leaves(service) {
                    continue;
                }
                RemoteSide::bound_or_any(site, groups)
            }
            (Exposure::Internal | Exposure::Cluster | Exposure::HttpsNetworking, None) => continue,
        };
        let ports = Service::evaluated(&service.ports, &used.settings)
            .map_err(|cause| Error::Port { rule: rule_id(role, service), cause })?;
        add_ports(drafts, Direction::Outbound, Action::Permit, (role, service), used.mode, &remote, &ports);
    }
    Ok(())
}

/// (b): rows whose remote device is a role of this host.
fn inverse(site: &Site, catalogue: &Catalogue, used: &RoleUse, own: &[&Role], drafts: &mut Drafts) {
    let kinds: BTreeSet<&str> =
        own.iter().flat_map(|role| catalogue.peers_of(&role.name)).filter(|peer| !OWN_SIDE.contains(peer)).collect();
    for role in catalogue.roles.values() {
        let services = role.services.iter().filter(|service| {
            service.exposure == Exposure::Open
                && leaves(service)
                && !service.ephemeral
                && service.peers.iter().any(|peer| kinds.contains(peer.as_str()))
        });
        let mut services = services.peekable();
        if services.peek().is_none() {
            continue;
        }
        let remote = RemoteSide::bound_or_any(site, hosts_of(catalogue, &role.name));
        let every = remote_settings(catalogue, used, &role.name);
        for service in services {
            for settings in every.iter().filter(|settings| service.applies(settings)) {
                // A port of the other host that depends on a parameter which nobody told this host is left out.
                let known = service.ports.iter().filter(|port| port.ranges(settings).is_ok());
                let known: Vec<_> = known.cloned().collect();
                if let Ok(ports) = Service::evaluated(&known, settings) {
                    add_ports(drafts, Direction::Outbound, Action::Permit, (role, service), used.mode, &remote, &ports);
                }
            }
        }
    }
}

/// Whether a row is about anything but the host itself.
fn leaves(service: &Service) -> bool {
    service.exposure != Exposure::Internal && service.direction != Printed::Local
}

/// The peers that stand for hosts with a role: those that name nothing else, where there are such.
fn hosts_of<'a>(catalogue: &'a Catalogue, role: &'a str) -> Vec<&'a str> {
    let names: Vec<&str> = catalogue.peers_of(role).filter(|peer| !OWN_SIDE.contains(peer)).collect();
    let breadth = |name: &&str| catalogue.peers.get(*name).map_or(usize::MAX, |peer| peer.roles.len());
    let narrowest = names.iter().map(breadth).min();
    names.into_iter().filter(|name| Some(breadth(name)) == narrowest).collect()
}

/// What a role on another host may be set to: any of its choices (both sides are called), the same instance and base
/// ports as here, else the defaults.
fn remote_settings(catalogue: &Catalogue, used: &RoleUse, role: &str) -> Vec<Settings> {
    let mut every = vec![Settings::new()];
    for (name, parameter) in catalogue.parameters(role) {
        let values: Vec<Setting> = match &parameter.kind {
            Kind::Choice(values) => values.iter().cloned().map(Setting::Choice).collect(),
            Kind::Integer(_) | Kind::Port | Kind::Ports => {
                let here = used.settings.get(name).filter(|setting| !matches!(setting, Setting::Choice(_)));
                here.or(parameter.default.as_ref()).into_iter().cloned().collect()
            }
        };
        if values.is_empty() {
            continue;
        }
        every = every
            .into_iter()
            .flat_map(|settings| {
                values.iter().map(move |value| {
                    let mut settings = settings.clone();
                    settings.insert(name.to_owned(), value.clone());
                    settings
                })
            })
            .collect();
    }
    every
}
