//! `catalogue lint`: where the documents contradict themselves, and where roles get in each other's way.
//!
//! What is known is recorded in `policies/decisions.yaml` with the decision that was taken and why; a finding without a
//! decision is new. Doubts and missing protocols are known by the sentence that the role file has about them.

mod decisions;
mod doubts;
mod overlaps;
mod servers;

use std::fmt;

use serde::Serialize;

pub(super) use decisions::read;
pub use decisions::{Conversation, Decision, Decisions};
pub use overlaps::sharing;

use super::Catalogue;
use crate::policy::ruleset::SourceRow;

/// A finding about the catalogue.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What kind of finding.
    pub kind: FindingKind,
    /// The services it is about, as `role/service`.
    pub services: Vec<String>,
    /// Protocol and ports, where it is about ports: `tcp 5001`.
    pub ports: Option<String>,
    /// What is found.
    pub message: String,
    /// The rows.
    pub sources: Vec<SourceRow>,
    /// What was decided, if it is known.
    pub decision: Option<Decision>,
}

/// Kinds of findings, in the order in which they are listed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// One port, two exposures.
    Contradiction,
    /// One port, two roles that can share a host.
    Collision,
    /// An instance or a side runs into a port of another service.
    Instance,
    /// A wide range covers a port of another service.
    Range,
    /// Connections lead to a role of which no peer means the servers.
    Servers,
    /// No protocol is printed.
    Protocol,
    /// The source is doubtful.
    Doubt,
}

impl FindingKind {
    /// All of them with the words used in files.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("contradiction", Self::Contradiction),
        ("collision", Self::Collision),
        ("instance", Self::Instance),
        ("range", Self::Range),
        ("servers", Self::Servers),
        ("protocol", Self::Protocol),
        ("doubt", Self::Doubt),
    ];
}

/// Every finding, known or new.
#[must_use]
pub fn lint(catalogue: &Catalogue) -> Vec<Finding> {
    let mut findings = overlaps::overlaps(catalogue);
    findings.extend(doubts::doubts(catalogue));
    findings.extend(servers::servers(catalogue));
    for finding in &mut findings {
        if finding.decision.is_none() {
            finding.decision = catalogue.decisions.about(finding).cloned();
        }
    }
    findings
        .sort_by(|a, b| (a.kind, &a.sources, &a.services, &a.ports).cmp(&(b.kind, &b.sources, &b.services, &b.ports)));
    findings
}

/// Decisions about something that is not found any more.
#[must_use]
pub fn stale_decisions<'a>(catalogue: &'a Catalogue, findings: &[Finding]) -> Vec<&'a Decision> {
    let needed = |decision: &&Decision| !findings.iter().any(|finding| decision.is_about(finding));
    catalogue.decisions.list.iter().filter(needed).collect()
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::WORDS.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| *name);
        f.write_str(name)
    }
}
