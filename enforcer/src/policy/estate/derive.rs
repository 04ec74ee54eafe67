//! From an estate to the site of one host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::bound::{Bound, Neighbours, Told};
use super::{Behind, By, Defaults, Estate, EstateRule, Host};
use crate::policy::catalogue::Catalogue;
use crate::policy::claims::Claims;
use crate::policy::modes::{Protects, SaidModes};
use crate::policy::site::{Echo, HostKeys, Interface, Limit, OfEstate, RemoteHost, Site, aggregated, host as single};

/// What the site of a host is made from: also what its file is written from.
pub(super) struct Draft<'e> {
    pub host: &'e Host,
    pub interfaces: Interfaces,
    /// What the host says, else `defaults:`.
    pub keys: HostKeys,
    pub peers: BTreeMap<String, Bound>,
    pub told: Vec<Told>,
    pub rules: Vec<&'e EstateRule>,
    pub limits: Vec<(&'e String, &'e Limit)>,
}

/// The interfaces of a host, and where they come from.
pub(super) enum Interfaces {
    /// The host or `defaults:` lists them.
    Said(Vec<Interface>),
    /// Ports of the machines that the host runs behind.
    Ports(Vec<Interface>),
    /// Nobody says: all but the loopback.
    All,
    /// The firewall that the host is exported to has its own.
    Exported,
}

impl Interfaces {
    /// The interfaces.
    pub(super) fn list(&self) -> Vec<Interface> {
        match self {
            Self::Said(list) | Self::Ports(list) => list.clone(),
            Self::All => vec![interface("*")],
            Self::Exported => Vec::new(),
        }
    }
}

/// The site of a host. It is the one that is read from its rendered file.
#[must_use]
pub fn site(estate: &Estate, catalogue: &Catalogue, host: &Host) -> Site {
    let draft = Draft::new(estate, catalogue, host);
    let mut nets: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    let mut nobody = BTreeSet::new();
    for (name, bound) in &draft.peers {
        if bound.nets.is_empty() {
            nobody.insert(name.clone());
        } else {
            nets.entry(name.clone()).or_default().extend(bound.nets.keys());
        }
    }
    let mut remotes = Vec::new();
    for told in &draft.told {
        // As in a site file, the hosts of `remote:` are behind the peer that means the servers of their role.
        if let Some(peer) = catalogue.servers_of(&told.role) {
            nobody.remove(peer);
            nets.entry(peer.to_owned()).or_default().extend(told.nets.keys());
        }
        remotes.push(RemoteHost {
            role: told.role.clone(),
            settings: told.settings.clone(),
            moved: told.moved.clone(),
            addresses: aggregated(&told.nets.keys().copied().collect::<Vec<_>>()),
            at: host.at,
        });
    }
    let place = |name: &String| estate.outside.get(name).map_or(host.at, |outside| outside.at);
    let peer_places = nets.keys().chain(&nobody).map(|name| (name.clone(), place(name))).collect();
    let keys = &draft.keys;
    Site {
        text: Arc::clone(&estate.text),
        estate: Some(OfEstate { estate: estate.name.clone(), host: host.name.clone() }),
        interfaces: draft.interfaces.list(),
        interface_places: BTreeMap::new(),
        mode: keys.mode,
        roles: host.roles.clone(),
        peers: nets.into_iter().map(|(name, nets)| (name, aggregated(&nets))).collect(),
        nobody,
        peer_places,
        peer_names: BTreeSet::new(),
        outbound_judged: keys.outbound_judged.unwrap_or(false),
        ephemeral_open: keys.ephemeral_open.unwrap_or(false),
        icmp_echo: keys.icmp_echo.unwrap_or(Echo::Any),
        scope: keys.scope,
        flows: keys.flows.unwrap_or_default(),
        release: keys.release.clone(),
        rules: draft.rules.iter().map(|rule| rule.rule.clone()).collect(),
        limits: draft.limits.iter().map(|(id, limit)| ((*id).clone(), (*limit).clone())).collect(),
        remotes,
    }
}

impl<'e> Draft<'e> {
    pub(super) fn new(estate: &'e Estate, catalogue: &'e Catalogue, host: &'e Host) -> Self {
        let neighbours = Neighbours { estate, catalogue, host };
        let roles: BTreeSet<&str> =
            host.roles.iter().flat_map(|used| catalogue.flatten(&used.role)).map(|role| role.name.as_str()).collect();
        let has = |id: &String| roles.contains(id.split('/').next().unwrap_or_default());
        Self {
            host,
            interfaces: interfaces(estate, host),
            keys: keys(&host.own, &estate.defaults),
            peers: neighbours.peers(),
            told: neighbours.told(),
            rules: estate.rules.iter().filter(|rule| rule.hosts.contains(&host.name)).collect(),
            limits: estate.limits.iter().filter(|(id, _)| has(id)).collect(),
        }
    }
}

fn interfaces(estate: &Estate, host: &Host) -> Interfaces {
    if !host.behind.is_empty() {
        let ports: BTreeMap<&str, &Behind> =
            host.behind.iter().rev().filter_map(|behind| Some((behind.interface.as_deref()?, behind))).collect();
        let port = |(name, behind): (&&str, &&Behind)| Interface {
            protects: Protects::Guest,
            claims: claims(host, behind),
            ..interface(name)
        };
        return Interfaces::Ports(ports.iter().map(port).collect());
    }
    let said = [&host.own.interfaces, &estate.defaults.interfaces].into_iter().find(|list| !list.is_empty());
    match (said, host.by) {
        (Some(list), By::Enforcer | By::Nft | By::Iptables) => Interfaces::Said(list.clone()),
        (None, By::Enforcer) => Interfaces::All,
        (_, By::Windows | By::Ios) | (None, By::Nft | By::Iptables) => Interfaces::Exported,
    }
}

fn interface(name: &str) -> Interface {
    Interface {
        name: name.to_owned(),
        protects: Protects::Host,
        mode: SaidModes::default(),
        scope: None,
        claims: Claims::default(),
    }
}

/// What a host may claim to be behind the port of a machine: what the estate says of it.
fn claims(host: &Host, behind: &Behind) -> Claims {
    let own = host.addresses.iter().filter(|address| !host.shared.contains(address));
    Claims {
        addresses: own.copied().map(single).collect(),
        shared: host.shared.iter().copied().map(single).collect(),
        mac: behind.mac,
        ..Claims::default()
    }
}

/// What a host says, else what holds for all.
fn keys(own: &Defaults, all: &Defaults) -> HostKeys {
    let (own, all) = (&own.keys, &all.keys);
    HostKeys {
        mode: SaidModes {
            inbound: own.mode.inbound.or(all.mode.inbound),
            outbound: own.mode.outbound.or(all.mode.outbound),
        },
        outbound_judged: own.outbound_judged.or(all.outbound_judged),
        ephemeral_open: own.ephemeral_open.or(all.ephemeral_open),
        icmp_echo: own.icmp_echo.or(all.icmp_echo),
        scope: own.scope.or(all.scope),
        flows: own.flows.or(all.flows),
        release: own.release.clone().or_else(|| all.release.clone()),
    }
}
