//! `policies/decisions.yaml`: what is known, what was decided and why.

use serde::Serialize;

use super::{Finding, FindingKind};
use crate::text::yaml::{Node, Reader};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decisions {
    /// Roles that can share a host, beside those of one product and those that include each other.
    pub hosts: Vec<Vec<String>>,
    /// The decisions.
    pub list: Vec<Decision>,
    /// Conversations of which the documents print one end, or two that do not fit.
    pub conversations: Vec<Conversation>,
}

/// What was decided about conversations on which the policies of two hosts do not agree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conversation {
    /// `not-let-in` or `not-let-out`.
    pub kind: String,
    /// Services and connections as `role/name`, or `role/*`.
    pub services: Vec<String>,
    /// What is done.
    pub decision: String,
    /// Why.
    pub why: String,
}

/// What was decided about findings of one kind.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Decision {
    #[serde(skip)]
    kind: FindingKind,
    /// Services as `role/service`, or `role/*`; all services of the finding must be among them.
    #[serde(skip)]
    services: Vec<String>,
    /// Protocol and ports; left out where the decision is about all that the services share.
    #[serde(skip)]
    ports: Option<String>,
    /// What is done.
    pub decision: String,
    /// Why.
    pub why: String,
}

impl Decisions {
    /// The decision about a finding.
    #[must_use]
    pub fn about(&self, finding: &Finding) -> Option<&Decision> {
        self.list.iter().find(|decision| decision.is_about(finding))
    }

    /// The decision about a conversation by a service or connection.
    #[must_use]
    pub fn about_conversation(&self, kind: &str, service: &str) -> Option<&Conversation> {
        let role = service.split('/').next().unwrap_or_default();
        let names = |known: &String| known == service || known.strip_suffix("/*") == Some(role);
        self.conversations.iter().find(|one| one.kind == kind && one.services.iter().any(names))
    }
}

impl Decision {
    /// A finding that its own sentence explains.
    pub(super) fn of_doubt(kind: FindingKind, doubt: &str) -> Self {
        let decision = match kind {
            FindingKind::Protocol => "TCP".to_owned(),
            FindingKind::Contradiction
            | FindingKind::Collision
            | FindingKind::Instance
            | FindingKind::Range
            | FindingKind::Servers
            | FindingKind::Doubt => "transcribed as printed".to_owned(),
        };
        Self { kind, services: Vec::new(), ports: None, decision, why: doubt.to_owned() }
    }

    /// Whether this was decided about a finding.
    #[must_use]
    pub fn is_about(&self, finding: &Finding) -> bool {
        let among = |service: &String| {
            let role = service.split('/').next().unwrap_or_default();
            self.services.iter().any(|known| known == service || known.strip_suffix("/*") == Some(role))
        };
        self.kind == finding.kind
            && finding.services.iter().all(among)
            && self.ports.as_ref().is_none_or(|ports| Some(ports) == finding.ports.as_ref())
    }
}

/// Reads the file.
pub(in crate::policy::catalogue) fn read(reader: &Reader<'_>, root: &Node) -> Decisions {
    let mut decisions = Decisions::default();
    let Some(mut fields) = reader.fields(root, "the decisions") else { return decisions };
    let strings = |node: &Node| -> Vec<String> {
        let items = reader.list(node, "a list of names").iter();
        items.filter_map(|item| reader.string(item, "a name")).map(str::to_owned).collect()
    };
    for group in fields.optional("hosts").map(|node| reader.list(node, "a list of groups")).unwrap_or_default() {
        decisions.hosts.push(strings(group));
    }
    for node in fields.optional("decisions").map(|node| reader.list(node, "a list")).unwrap_or_default() {
        let Some(mut entry) = reader.fields(node, "a decision") else { continue };
        let kind = entry.required("kind").and_then(|node| reader.word(node, &FindingKind::WORDS));
        let services = entry.required("services").map(strings);
        let text = |node: Option<&Node>| node.and_then(|node| reader.string(node, "a sentence")).map(str::to_owned);
        let ports = text(entry.optional("ports"));
        let (decision, why) = (text(entry.required("decision")), text(entry.required("why")));
        entry.finish();
        if let (Some(kind), Some(services), Some(decision), Some(why)) = (kind, services, decision, why) {
            decisions.list.push(Decision { kind, services, ports, decision, why });
        }
    }
    for node in fields.optional("conversations").map(|node| reader.list(node, "a list")).unwrap_or_default() {
        let Some(mut entry) = reader.fields(node, "a decision") else { continue };
        let kinds = [("not-let-in", "not-let-in"), ("not-let-out", "not-let-out")];
        let kind = entry.required("kind").and_then(|node| reader.word(node, &kinds));
        let services = entry.required("services").map(strings);
        let text = |node: Option<&Node>| node.and_then(|node| reader.string(node, "a sentence")).map(str::to_owned);
        let (decision, why) = (text(entry.required("decision")), text(entry.required("why")));
        entry.finish();
        if let (Some(kind), Some(services), Some(decision), Some(why)) = (kind, services, decision, why) {
            decisions.conversations.push(Conversation { kind: kind.to_owned(), services, decision, why });
        }
    }
    fields.finish();
    decisions
}
