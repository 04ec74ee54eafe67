//! Whose a finding is: the estate's, the catalogue's or the document's.

use enforcer_common::Direction;
use serde::Serialize;

use super::ends::{End, Ends};
use super::ports::{Ports, common};
use crate::policy::catalogue::{Exposure, Role, Service};
use crate::policy::ruleset::{Action, Match, Rule};

/// Who has to change something.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The operator: the estate says something else at either end.
    Estate,
    /// The transcription of the documents.
    Catalogue,
    /// The documents: they print one end only, or contradict themselves.
    Document,
}

impl Whose {
    /// The word in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Estate => "the estate's",
            Self::Catalogue => "the catalogue's",
            Self::Document => "the document's",
        }
    }
}

/// Why the other end refuses, in a sentence and as blame.
pub(super) type Blame = (Whose, String);

/// Why a host does not let in what another one may send it by a rule.
pub(super) fn of_refusal(ends: &Ends<'_>, rule: &Rule, from: &End<'_>, to: &End<'_>, ports: &(u8, Ports)) -> Blame {
    let estate = |why: String| (Whose::Estate, why);
    if let Some(name) = rule.id.strip_prefix("site/") {
        return estate(format!("the entry `{name}` lets it out, and nothing lets it in"));
    }
    if let Some(narrowed) = narrowed(to, ports) {
        return estate(narrowed);
    }
    let Some((role, service)) = entry(ends, &rule.id) else {
        return (Whose::Catalogue, "no entry has this name".to_owned());
    };
    let listens = to.rules.iter().any(|rule| {
        rule.direction == Direction::Inbound && rule.action == Action::Permit && !common_ports(rule, ports).is_empty()
    });
    let is_connection = role.connections.iter().any(|one| one.name == service.name);
    let follows = service.ports.iter().any(|port| port.parameters().next().is_some());
    if is_connection {
        return match (listens, follows) {
            (false, true) => {
                estate(format!("nothing listens there: set the parameter of `{}` to the port of that host", role.name))
            }
            (false, false) => (Whose::Document, "no row of a role of that host listens there".to_owned()),
            (true, _) => (Whose::Document, "the row of the listener names other remote devices".to_owned()),
        };
    }
    let has = |end: &End<'_>| {
        end.host.roles.iter().any(|used| ends.catalogue.flatten(&used.role).iter().any(|one| one.name == role.name))
    };
    match (has(from), has(to), listens) {
        // A port beside a listener, or a service of the group.
        (true, false, _) if service.exposure != Exposure::Open => {
            estate(format!("it is in the same group, and has not the role `{}`", role.name))
        }
        (true, true, false) => estate("the two have this service on different ports".to_owned()),
        (true, _, true) => (Whose::Document, "the row of the listener names other remote devices".to_owned()),
        (_, _, false) => (
            Whose::Document,
            "the row prints a remote port, and no row of a role of that host listens there".to_owned(),
        ),
        (false, _, true) => (Whose::Catalogue, "its peers do not have a role of that host".to_owned()),
    }
}

/// Why a host does not let out what another one lets in by a rule.
pub(super) fn of_silence(rule: &Rule, from: &End<'_>, ports: &(u8, Ports)) -> Blame {
    if let Some(name) = rule.id.strip_prefix("site/") {
        return (Whose::Estate, format!("the entry `{name}` lets it in, and nothing lets it out"));
    }
    let denied = from.rules.iter().find(|rule| {
        rule.direction == Direction::Outbound && rule.action == Action::Deny && !common_ports(rule, ports).is_empty()
    });
    match denied {
        Some(deny) => (Whose::Estate, format!("`{}` denies it", deny.id)),
        None => (Whose::Document, "no row of a role of that host connects there".to_owned()),
    }
}

/// An entry of the estate that closes these ports at a host.
fn narrowed(to: &End<'_>, ports: &(u8, Ports)) -> Option<String> {
    let inbound = || to.rules.iter().filter(|rule| rule.direction == Direction::Inbound);
    if let Some(deny) = inbound().find(|rule| rule.action == Action::Deny && !common_ports(rule, ports).is_empty()) {
        return Some(format!("`{}` denies it", deny.id));
    }
    let limited = inbound().find(|rule| to.site.limits.contains_key(&rule.id) && !common_ports(rule, ports).is_empty());
    limited.map(|rule| format!("`limit` narrows `{}`", rule.id))
}

fn common_ports(rule: &Rule, (protocol, ports): &(u8, Ports)) -> Ports {
    match &rule.matches {
        Match::Ports { protocol: of, ports: own } if of == protocol => common(own, ports),
        Match::Ports { .. } | Match::Protocol(_) | Match::Ethertype(_) | Match::Echo => Ports::new(),
    }
}

/// The role and the service or connection that a rule comes from.
pub(super) fn entry<'a>(ends: &'a Ends<'_>, id: &str) -> Option<(&'a Role, &'a Service)> {
    let (role, name) = id.split_once('/')?;
    let role = ends.catalogue.roles.get(role)?;
    role.entries().find(|entry| entry.name == name).map(|entry| (role, entry))
}
