//! The hosts that a derived connection leads to, and what their role may be set to there: what `remote:` says, else a guess.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::prefixes::without;
use super::remote::RemoteSide;
use crate::policy::catalogue::{Catalogue, Parameter, ParameterKind, Service, Setting, Settings};
use crate::policy::site::{Moved, RemoteHost, RoleUse, Site, aggregated};

/// Values of a number that is not known that are still tried one by one; of a wider one only the default is.
const MOST_VALUES: i64 = 64;

/// Hosts with a role, of which the same is known.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// Their addresses.
    pub remote: RemoteSide,
    /// The values that each parameter of the role may have there; none where nobody knows any.
    pub values: BTreeMap<String, Vec<Setting>>,
    /// Parameters of which nobody has said the value.
    pub guessed: BTreeSet<String>,
    /// Services that they have on other ports.
    pub moved: Moved,
    /// The entry of `remote:` that tells of them.
    pub told: Option<usize>,
}

/// The hosts that a role of this site reaches under another role's name.
pub(super) fn elsewhere(site: &Site, catalogue: &Catalogue, used: &RoleUse, role: &str) -> Vec<Elsewhere> {
    let mut hosts = Vec::new();
    let mut known: Vec<IpNet> = Vec::new();
    for (index, entry) in site.remotes.iter().enumerate() {
        if catalogue.flatten(&entry.role).iter().any(|one| one.name == role) {
            known.extend(entry.addresses.iter());
            hosts.push(told(site, catalogue, used, (index, entry)));
        }
    }
    // An estate tells of all the hosts that this one connects to.
    if site.estate.is_some() {
        return hosts;
    }
    let servers = catalogue.servers_of(role).and_then(|peer| site.peers.get_key_value(peer));
    let rest = match servers {
        None => Some(RemoteSide::any()),
        Some((peer, _)) if known.is_empty() => Some(RemoteSide::of_peers(site, [peer.as_str()])),
        Some((_, nets)) => {
            let left = without(nets, &known);
            (!left.is_empty()).then(|| RemoteSide::of_addresses(aggregated(&left)))
        }
    };
    hosts.extend(rest.map(|remote| unknown(site, catalogue, used, role, remote)));
    hosts
}

/// Hosts that an entry of `remote:` tells of: what it leaves out has its default, as in a site file of theirs.
fn told(site: &Site, catalogue: &Catalogue, used: &RoleUse, (index, entry): (usize, &RemoteHost)) -> Elsewhere {
    let mut host = Elsewhere {
        remote: RemoteSide::of_addresses(entry.addresses.clone()),
        values: BTreeMap::new(),
        guessed: BTreeSet::new(),
        moved: entry.moved.clone(),
        told: Some(index),
    };
    for (name, parameter) in catalogue.parameters(&entry.role) {
        let default = parameter.default.iter().cloned().collect::<Vec<_>>();
        let (values, is_known) = match (entry.settings.get(name), &parameter.kind) {
            (Some(setting), _) => (vec![setting.clone()], true),
            (None, ParameterKind::Integer(_)) => (numbers(site, used, name, parameter), false),
            (None, ParameterKind::Choice(words)) if default.is_empty() => (choices(words), false),
            (None, ParameterKind::Choice(_) | ParameterKind::Port | ParameterKind::Ports) => {
                let is_known = !default.is_empty();
                (default, is_known)
            }
        };
        host.add(name, values, is_known);
    }
    host
}

/// Hosts of which nothing is said: all that the role can have with the instance of this host.
fn unknown(site: &Site, catalogue: &Catalogue, used: &RoleUse, role: &str, remote: RemoteSide) -> Elsewhere {
    let mut host =
        Elsewhere { remote, values: BTreeMap::new(), guessed: BTreeSet::new(), moved: Moved::new(), told: None };
    let is_own = catalogue.flatten(&used.role).iter().any(|one| one.name == role);
    for (name, parameter) in catalogue.parameters(role) {
        let values = match &parameter.kind {
            ParameterKind::Integer(_) => numbers(site, used, name, parameter),
            ParameterKind::Choice(words) => choices(words),
            ParameterKind::Port | ParameterKind::Ports => {
                // The other hosts of this role are likely to be set up as this one is.
                let here = used.settings.get(name).filter(|_| is_own);
                here.or(parameter.default.as_ref()).into_iter().cloned().collect()
            }
        };
        host.add(name, values, false);
    }
    host
}

impl Elsewhere {
    fn add(&mut self, name: &str, values: Vec<Setting>, is_known: bool) {
        if !is_known {
            self.guessed.insert(name.to_owned());
        }
        self.values.insert(name.to_owned(), values);
    }

    /// Every combination of the values that matter to a service.
    pub(super) fn settings(&self, service: &Service) -> Vec<Settings> {
        let mut every = vec![Settings::new()];
        for name in service.parameters() {
            let Some(values) = self.values.get(name).filter(|values| !values.is_empty()) else { continue };
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
}

/// A number such as the instance: that of the role which connects, else those of this host's other roles, else all.
fn numbers(site: &Site, used: &RoleUse, name: &str, parameter: &Parameter) -> Vec<Setting> {
    let of = |used: &RoleUse| used.settings.get(name).filter(|setting| matches!(setting, Setting::Integer(_))).cloned();
    if let Some(own) = of(used) {
        return vec![own];
    }
    let mut others: Vec<Setting> = Vec::new();
    for setting in site.roles.iter().filter_map(of) {
        if !others.contains(&setting) {
            others.push(setting);
        }
    }
    if !others.is_empty() {
        return others;
    }
    match &parameter.kind {
        ParameterKind::Integer(range) if range.end() - range.start() < MOST_VALUES => {
            range.clone().map(Setting::Integer).collect()
        }
        ParameterKind::Integer(_) | ParameterKind::Choice(_) | ParameterKind::Port | ParameterKind::Ports => {
            parameter.default.iter().cloned().collect()
        }
    }
}

fn choices(words: &[String]) -> Vec<Setting> {
    words.iter().cloned().map(Setting::Choice).collect()
}
