//! What role files themselves say is doubtful.

use super::{Decision, Finding, FindingKind};
use crate::policy::catalogue::{Catalogue, Protocol, Role, Service};
use crate::policy::ruleset::SourceRow;

/// Doubts, and ports without a protocol.
pub(super) fn doubts(catalogue: &Catalogue) -> Vec<Finding> {
    let mut findings = Vec::new();
    for role in catalogue.roles.values() {
        for service in role.entries() {
            if let Some(doubt) = &service.doubt {
                findings.push(finding(FindingKind::Doubt, role, service, None, doubt, service.source.clone()));
            }
            for port in service.ports.iter().chain(&service.remote) {
                let ports = format!("{} {}", port.protocol.name(), port.port);
                // A word beside a listener is the source port of the client, which follows the listener's protocol.
                let of_client = matches!(port.port, crate::policy::catalogue::PortExpression::Word(_));
                if port.protocol == Protocol::Unspecified && !of_client {
                    let mut missing = finding(
                        FindingKind::Protocol,
                        role,
                        service,
                        Some(ports.clone()),
                        "no protocol is printed; compiled as TCP",
                        port.source.clone(),
                    );
                    // A sentence about the port is what was decided; without one the finding is new.
                    missing.decision =
                        port.doubt.as_ref().map(|doubt| Decision::of_doubt(FindingKind::Protocol, doubt));
                    findings.push(missing);
                } else if let Some(doubt) = &port.doubt {
                    findings.push(finding(FindingKind::Doubt, role, service, Some(ports), doubt, port.source.clone()));
                }
            }
        }
    }
    findings
}

fn finding(
    kind: FindingKind,
    role: &Role,
    service: &Service,
    ports: Option<String>,
    message: &str,
    source: SourceRow,
) -> Finding {
    Finding {
        kind,
        services: vec![format!("{}/{}", role.name, service.name)],
        ports,
        message: message.to_owned(),
        sources: vec![source],
        decision: (kind == FindingKind::Doubt).then(|| Decision::of_doubt(kind, message)),
    }
}
