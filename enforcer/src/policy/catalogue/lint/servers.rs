//! Roles that others connect to, and of which no peer means the servers.

use std::collections::BTreeMap;

use super::{Finding, FindingKind};
use crate::policy::catalogue::{Catalogue, Origin, Service};

/// A finding for each role that has no peer for its servers. That none has two is seen to when the catalogue is read.
pub(super) fn servers(catalogue: &Catalogue) -> Vec<Finding> {
    let mut reached: BTreeMap<&str, Vec<&Service>> = BTreeMap::new();
    for role in catalogue.roles.keys() {
        for derived in catalogue.derived(role).into_iter().filter(|derived| derived.origin == Origin::Inverse) {
            let services = reached.entry(&derived.role.name).or_default();
            if !services.iter().any(|known| known.name == derived.service.name) {
                services.push(derived.service);
            }
        }
    }
    let nameless = reached.into_iter().filter(|(role, _)| catalogue.servers_of(role).is_none());
    let findings = nameless.map(|(role, services)| Finding {
        kind: FindingKind::Servers,
        services: services.iter().map(|service| format!("{role}/{}", service.name)).collect(),
        ports: None,
        message: format!("other roles connect to `{role}`, and no peer in `peers.yaml` has it among its `servers`"),
        sources: services.iter().map(|service| service.source.clone()).collect(),
        decision: None,
    });
    findings.collect()
}
