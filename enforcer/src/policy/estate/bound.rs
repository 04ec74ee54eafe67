//! Who stands behind the peers of one host, and on which ports its connections find the hosts that they lead to.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{Estate, Host};
use crate::policy::catalogue::{Catalogue, Exposure, OWN_GROUPS, Origin, ParameterKind, Setting, Settings};
use crate::policy::site::{Moved, Remote, RoleUse};

/// The addresses of a peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bound {
    /// Each with the host it belongs to, or how it comes from `outside:`.
    pub nets: BTreeMap<IpNet, String>,
    /// Why there are none, where that is known.
    pub nobody: Option<String>,
}

/// Hosts of a role of which the same is known.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The role.
    pub role: String,
    /// What decides on which ports it listens.
    pub settings: Settings,
    /// Services on other ports.
    pub moved: Moved,
    /// The addresses of these hosts, as in [`Bound`].
    pub nets: BTreeMap<IpNet, String>,
}

/// One host among the others.
pub(super) struct Neighbours<'e> {
    pub estate: &'e Estate,
    pub catalogue: &'e Catalogue,
    pub host: &'e Host,
}

impl Neighbours<'_> {
    /// The peers that rules of this host name, by name.
    pub(super) fn peers(&self) -> BTreeMap<String, Bound> {
        let mut used: BTreeMap<&str, Vec<&RoleUse>> = BTreeMap::new();
        let ephemeral = self.host.own.keys.ephemeral_open.or(self.estate.defaults.keys.ephemeral_open) == Some(true);
        for by in &self.host.roles {
            for role in self.catalogue.flatten(&by.role) {
                for entry in role.entries().filter(|entry| entry.applies(&by.settings)) {
                    if entry.exposure == Exposure::Internal || entry.ephemeral && !ephemeral {
                        continue;
                    }
                    let only = entry.exposure.only_peer();
                    for name in entry.peers.iter().map(String::as_str).chain(only) {
                        used.entry(name).or_default().push(by);
                    }
                }
            }
        }
        for name in self.named() {
            used.entry(name).or_default().extend(&self.host.roles);
        }
        used.into_iter().filter_map(|(name, users)| Some((name.to_owned(), self.bound(name, &users)?))).collect()
    }

    /// The names in rules and limits of this host.
    fn named(&self) -> BTreeSet<&str> {
        let rules = self.estate.rules.iter().filter(|rule| rule.hosts.contains(&self.host.name));
        let rules = rules.flat_map(|rule| rule.rule.remotes.iter().flatten());
        let limits = self.limits().into_iter().flat_map(|(_, limit)| &limit.remotes);
        rules.chain(limits).filter_map(Remote::peer).collect()
    }

    /// The limits of services that this host has.
    pub(super) fn limits(&self) -> Vec<(&String, &crate::policy::site::Limit)> {
        let roles: BTreeSet<&str> = self
            .host
            .roles
            .iter()
            .flat_map(|used| self.catalogue.flatten(&used.role))
            .map(|role| role.name.as_str())
            .collect();
        self.estate.limits.iter().filter(|(id, _)| roles.contains(id.split('/').next().unwrap_or_default())).collect()
    }

    /// Who stands behind a name; `None`: it is a remote device that the estate says nothing of.
    fn bound(&self, name: &str, users: &[&RoleUse]) -> Option<Bound> {
        let mut bound = Bound::default();
        if let Some(host) = self.estate.hosts.get(name) {
            self.add(&mut bound, host);
            if bound.nets.is_empty() {
                bound.nobody = Some("this host itself".to_owned());
            }
            return Some(bound);
        }
        if let Some(outside) = self.estate.outside.get(name) {
            for (net, through) in &outside.nets {
                let origin = through.as_ref().map_or_else(|| "outside".to_owned(), |name| format!("outside, {name}"));
                bound.nets.insert(*net, origin);
            }
        }
        let peer = self.catalogue.peers.get(name);
        let roles = peer.map(|peer| peer.roles.as_slice()).unwrap_or_default();
        for host in self.others() {
            let belongs = match name {
                "cluster" => host.cluster.is_some() && host.cluster == self.host.cluster,
                "https-networking" => host.network.is_some() && host.network == self.host.network,
                _ => self.roles_of(host, roles).any(|other| {
                    users.is_empty() || users.iter().any(|user| self.belong_together(user, (host, other)))
                }),
            };
            if belongs {
                self.add(&mut bound, host);
            }
        }
        if bound.nets.is_empty() {
            if OWN_GROUPS.contains(&name) {
                let what = if name == "cluster" { "cluster" } else { "network" };
                bound.nobody = Some(format!("no other host of the same `{what}`"));
            } else if roles.is_empty() {
                return None;
            } else {
                bound.nobody = Some("no host that belongs to this one has such a role".to_owned());
            }
        }
        Some(bound)
    }

    /// The hosts that derived connections of this one lead to.
    pub(super) fn told(&self) -> Vec<Told> {
        let mut found: Vec<Told> = Vec::new();
        for used in &self.host.roles {
            for derived in self.catalogue.derived(&used.role) {
                if derived.origin != Origin::Inverse {
                    continue;
                }
                let role = derived.role.name.as_str();
                for host in self.others() {
                    for other in self.roles_of(host, std::slice::from_ref(&derived.role.name)) {
                        if self.belong_together(used, (host, other)) && derived.service.applies(&other.settings) {
                            self.tell(&mut found, role, other, host);
                        }
                    }
                }
                let servers = self.catalogue.servers_of(role);
                let outside = servers.and_then(|peer| self.estate.outside.get(peer).map(|outside| (peer, outside)));
                if let Some((peer, outside)) = outside {
                    let entry = entry_of(&mut found, role.to_owned(), Settings::new(), Moved::new());
                    entry.nets.extend(outside.nets.keys().map(|net| (*net, format!("outside, {peer}"))));
                }
            }
        }
        found.retain(|told| !told.nets.is_empty());
        found.sort_by(|a, b| {
            let key = |told: &Told| (told.role.clone(), words(&told.settings), told.nets.keys().next().copied());
            key(a).cmp(&key(b))
        });
        found
    }

    /// Adds a host to those of which the same is known.
    fn tell(&self, found: &mut Vec<Told>, role: &str, other: &RoleUse, host: &Host) {
        // An entry names a role whose servers have a peer: the role of the host, or the one that it includes.
        let role = if self.catalogue.servers_of(&other.role).is_some() { other.role.as_str() } else { role };
        let parameters = self.catalogue.parameters(role);
        let settings = parameters.iter().filter_map(|(name, parameter)| {
            let setting = other.settings.get(*name)?;
            // A number that is not said is taken from the host that connects; the others have their defaults.
            let is_number = matches!(parameter.kind, ParameterKind::Integer(_));
            let differs = parameter.default.as_ref() != Some(setting);
            (is_number || differs).then(|| ((*name).to_owned(), setting.clone()))
        });
        let settings = settings.collect();
        let mut bound = Bound::default();
        self.add(&mut bound, host);
        entry_of(found, role.to_owned(), settings, other.moved.clone()).nets.extend(bound.nets);
    }

    /// Adds the addresses of a host that are not this host's, too.
    fn add(&self, bound: &mut Bound, host: &Host) {
        for address in host.addresses.difference(&self.host.addresses) {
            bound.nets.insert(IpNet::from(*address), host.name.clone());
        }
    }

    /// Whether a role of this host and one of another belong to one deployment: where both are of an instance, it is the same.
    fn belong_together(&self, one: &RoleUse, (host, other): (&Host, &RoleUse)) -> bool {
        let (one, other) = (instances(self.host, one), instances(host, other));
        one.is_empty() || other.is_empty() || one.iter().any(|instance| other.contains(instance))
    }

    fn others(&self) -> impl Iterator<Item = &Host> {
        self.estate.hosts.values().filter(|host| host.name != self.host.name)
    }

    /// The roles of a host that are among these, or include one of them.
    fn roles_of<'h>(&self, host: &'h Host, roles: &[String]) -> impl Iterator<Item = &'h RoleUse> {
        host.roles.iter().filter(move |used| {
            !roles.is_empty() && self.catalogue.flatten(&used.role).iter().any(|role| roles.contains(&role.name))
        })
    }
}

/// The instances that a role of a host is of: its own, else those of the host's other roles; none where it is of no instance.
fn instances<'h>(host: &'h Host, used: &'h RoleUse) -> Vec<&'h Setting> {
    match used.settings.get("instance") {
        Some(own) => vec![own],
        None => host.roles.iter().filter_map(|other| other.settings.get("instance")).collect(),
    }
}

fn entry_of(found: &mut Vec<Told>, role: String, settings: Settings, moved: Moved) -> &mut Told {
    let known = found.iter().position(|told| told.role == role && told.settings == settings && told.moved == moved);
    let index = known.unwrap_or_else(|| {
        found.push(Told { role, settings, moved, nets: BTreeMap::new() });
        found.len() - 1
    });
    &mut found[index]
}

fn words(settings: &Settings) -> Vec<(String, String)> {
    settings.iter().map(|(name, setting)| (name.clone(), setting.to_string())).collect()
}
