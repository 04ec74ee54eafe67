//! Inbound rules: the services of the roles.

use std::ops::RangeInclusive;

use enforcer_common::{Direction, Mode};

use super::Error;
use super::remote::{RemoteSide, of_remotes};
use super::rules::{DraftKind, Drafts, Key};
use crate::policy::catalogue::{Catalogue, Exposure, Port, Role, Service};
use crate::policy::ruleset::Action;
use crate::policy::site::Site;

/// Adds the services of every role of the site.
pub(super) fn services(site: &Site, catalogue: &Catalogue, drafts: &mut Drafts) -> Result<(), Error> {
    for used in &site.roles {
        for role in catalogue.flatten(&used.role) {
            for service in role.services.iter().filter(|service| service.applies(&used.settings)) {
                if service.ephemeral && !site.ephemeral_open {
                    continue;
                }
                let (action, remote) = match service.exposure {
                    Exposure::Internal => (Action::Internal, RemoteSide::any()),
                    Exposure::Open | Exposure::Cluster | Exposure::HttpsNetworking => {
                        (Action::Permit, users(site, role, service))
                    }
                };
                let ports = Service::placed(&service.ports, &used.settings, used.moved.get(&rule_id(role, service)))
                    .map_err(|cause| Error::Port { rule: rule_id(role, service), cause })?;
                add_ports(drafts, Direction::Inbound, action, (role, service), used.mode, &remote, &ports);
            }
        }
    }
    Ok(())
}

/// Who may use a service: its peers, and of these only whom a `limit` names.
pub(super) fn users(site: &Site, role: &Role, service: &Service) -> RemoteSide {
    let all = RemoteSide::of_service(site, service);
    match site.limits.get(&rule_id(role, service)) {
        Some(limit) => all.narrowed(&of_remotes(site, &limit.remotes)),
        None => all,
    }
}

/// The id of a service or connection.
pub(super) fn rule_id(role: &Role, service: &Service) -> String {
    format!("{}/{}", role.name, service.name)
}

/// Adds evaluated ports, a rule for each protocol.
pub(super) fn add_ports(
    drafts: &mut Drafts,
    direction: Direction,
    action: Action,
    (role, service): (&Role, &Service),
    mode: Option<Mode>,
    remote: &RemoteSide,
    ports: &[(&Port, Vec<RangeInclusive<u16>>)],
) {
    for (port, ranges) in ports {
        let key = Key {
            action,
            of_role: true,
            id: rule_id(role, service),
            direction,
            kind: DraftKind::Ports(port.protocol.number()),
            peers: remote.names.clone(),
            mode,
            exposure: service.exposure.name(),
            answer_any: service.answer_any,
        };
        drafts.add(key, remote, ranges, Some(&port.source));
    }
}
