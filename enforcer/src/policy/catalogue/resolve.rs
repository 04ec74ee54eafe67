//! The catalogue as a whole: names that must exist, and roles with what they include.

use std::collections::{BTreeMap, BTreeSet};

use super::{Catalogue, Condition, Parameter, ParameterKind, Peer, Role, Service};
use crate::text::diagnostic::{Diagnostic, Position, Text};
use crate::text::nearest::did_you_mean;

impl Catalogue {
    /// A role and all that it includes, itself first, each once.
    #[must_use]
    pub fn flatten(&self, name: &str) -> Vec<&Role> {
        let mut seen = BTreeSet::new();
        let mut roles = Vec::new();
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let Some(role) = self.roles.get(name) else { continue };
            if seen.insert(name) {
                roles.push(role);
                open.extend(role.includes.iter().rev().map(String::as_str));
            }
        }
        roles
    }

    /// The parameters of a role and of all that it includes. Where two have one of the same name, the outer one holds.
    #[must_use]
    pub fn parameters(&self, name: &str) -> BTreeMap<&str, &Parameter> {
        let mut parameters = BTreeMap::new();
        for role in self.flatten(name) {
            for (name, parameter) in &role.parameters {
                parameters.entry(name.as_str()).or_insert(parameter);
            }
        }
        parameters
    }

    /// The peer that means the servers of a role.
    #[must_use]
    pub fn servers_of(&self, role: &str) -> Option<&str> {
        self.peers.iter().find(|(_, peer)| peer.servers.iter().any(|one| one == role)).map(|(name, _)| name.as_str())
    }

    /// The peers whose hosts run this role.
    pub fn peers_of<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a str> {
        self.peers.iter().filter(move |(_, peer)| peer.roles.iter().any(|r| r == role)).map(|(name, _)| name.as_str())
    }
}

/// Everything that names something which does not exist.
pub(super) fn resolve(catalogue: &Catalogue, files: &[(String, Text)]) -> Vec<Diagnostic> {
    let mut check = Check { catalogue, findings: Vec::new() };
    let nothing = Text::default();
    let text = |stem: &str| files.iter().find(|(name, _)| name == stem).map_or(&nothing, |(_, text)| text);
    for (name, peer) in &catalogue.peers {
        for role in &peer.roles {
            check.role(text("peers"), role, &format!("the peer `{name}`"));
        }
        check.servers(text("peers"), name, peer);
    }
    for role in catalogue.roles.values() {
        check.whole_role(text(&role.name), role);
    }
    check.findings
}

struct Check<'a> {
    catalogue: &'a Catalogue,
    findings: Vec<Diagnostic>,
}

impl Check<'_> {
    /// A role has one peer that means its servers, and runs on hosts of that kind.
    fn servers(&mut self, text: &Text, name: &str, peer: &Peer) {
        for role in &peer.servers {
            if !peer.roles.contains(role) {
                let message = format!("`servers` of the peer `{name}` names `{role}`, which is not among its `roles`");
                self.findings.push(Diagnostic::of_file(&text.name, message));
            }
            let other = self.catalogue.peers.iter().find(|(other, peer)| *other != name && peer.servers.contains(role));
            if let Some((other, _)) = other.filter(|(other, _)| other.as_str() < name) {
                let message = format!("both `{other}` and `{name}` mean the servers of `{role}`; only one peer can");
                self.findings.push(Diagnostic::of_file(&text.name, message));
            }
        }
    }

    fn whole_role(&mut self, text: &Text, role: &Role) {
        for included in &role.includes {
            self.role(text, included, "`includes`");
            if self.catalogue.flatten(included).iter().any(|inner| inner.name == role.name) {
                let message = format!("`{}` includes itself through `{included}`", role.name);
                self.findings.push(Diagnostic::of_file(&text.name, message));
            }
        }
        // In a site file they stand beside the role's name and mode.
        for reserved in
            ["role", "mode", "moved", "addresses"].into_iter().filter(|name| role.parameters.contains_key(*name))
        {
            let message = format!("`{}`: a parameter cannot be called `{reserved}`", role.name);
            self.findings.push(Diagnostic::of_file(&text.name, message));
        }
        let mut names = BTreeSet::new();
        for service in role.entries() {
            if !names.insert(service.name.as_str()) {
                self.at(text, service, &format!("the name `{}` stands twice in this role", service.name), None);
            }
            self.service(text, role, service);
        }
    }

    fn service(&mut self, text: &Text, role: &Role, service: &Service) {
        for peer in service.peers.iter().filter(|peer| !self.catalogue.peers.contains_key(*peer)).collect::<Vec<_>>() {
            let hint = did_you_mean(peer, self.catalogue.peers.keys().map(String::as_str));
            self.at(text, service, &format!("no peer is called `{peer}`"), hint);
        }
        let parameters = self.catalogue.parameters(&role.name);
        self.condition(text, service, &service.when, &parameters);
        let sources = std::iter::once(&service.source).chain(service.ports.iter().map(|port| &port.source));
        for source in sources.filter(|source| !self.catalogue.documents.contains_key(&source.document)).take(1) {
            let hint = did_you_mean(&source.document, self.catalogue.documents.keys().map(String::as_str));
            self.at(text, service, &format!("no document is called `{}`", source.document), hint);
        }
        for port in service.ports.iter().chain(&service.remote) {
            self.condition(text, service, &port.when, &parameters);
            for name in port.parameters() {
                match parameters.get(name).map(|parameter| &parameter.kind) {
                    Some(ParameterKind::Integer(_) | ParameterKind::Port | ParameterKind::Ports) => {}
                    Some(ParameterKind::Choice(_)) => {
                        self.at(text, service, &format!("the parameter `{name}` is a choice and holds no port"), None);
                    }
                    None => {
                        let hint = did_you_mean(name, parameters.keys().copied());
                        self.at(text, service, &format!("the role has no parameter `{name}`"), hint);
                    }
                }
            }
        }
    }

    fn condition(
        &mut self,
        text: &Text,
        service: &Service,
        condition: &Condition,
        parameters: &BTreeMap<&str, &Parameter>,
    ) {
        for (name, value) in condition {
            match parameters.get(name.as_str()) {
                Some(parameter) => {
                    if let Err(expected) = parameter.parse(value) {
                        let message = format!("`when` asks for `{name}: {value}`, and it is {expected}");
                        self.at(text, service, &message, None);
                    }
                }
                None => {
                    let hint = did_you_mean(name, parameters.keys().copied());
                    self.at(text, service, &format!("the role has no parameter `{name}`"), hint);
                }
            }
        }
    }

    fn role(&mut self, text: &Text, name: &str, whose: &str) {
        if !self.catalogue.roles.contains_key(name) {
            let hint = did_you_mean(name, self.catalogue.roles.keys().map(String::as_str));
            let message = format!("{whose} names the role `{name}`, and there is none");
            self.findings.push(Diagnostic::of_file(&text.name, message).with_hint_if(hint));
        }
    }

    fn at(&mut self, text: &Text, service: &Service, message: &str, hint: Option<String>) {
        let at: Position = service.at;
        self.findings.push(text.error(at, format!("`{}`: {message}", service.name)).with_hint_if(hint));
    }
}
