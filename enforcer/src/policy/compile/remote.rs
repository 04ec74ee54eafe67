//! The remote side of a rule: who it is for, by name and by address.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipnet::IpNet;

use super::prefixes::common;
use crate::policy::catalogue::{OWN_GROUPS, Service};
use crate::policy::site::{Remote, Site, SiteRule, aggregated};

/// Who a rule is for.
#[derive(Clone, Debug)]
pub(super) struct RemoteSide {
    /// Names of peers and literal prefixes; `None`: any.
    pub names: Option<Vec<String>>,
    /// Their addresses; `None`: any, empty: nobody.
    pub prefixes: Option<Arc<[IpNet]>>,
}

impl RemoteSide {
    /// Every address.
    pub(super) const fn any() -> Self {
        Self { names: None, prefixes: None }
    }

    /// These peers: nobody, where none of them has an address.
    pub(super) fn of_peers<'a>(site: &Site, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> = names.into_iter().collect();
        let bound: Vec<&Arc<[IpNet]>> = names.iter().filter_map(|name| site.peers.get(*name)).collect();
        let prefixes = match bound.as_slice() {
            // The common case shares the site's own list.
            [one] => Arc::clone(one),
            several => aggregated(&several.iter().flat_map(|list| list.iter().copied()).collect::<Vec<_>>()),
        };
        Self { names: Some(names.into_iter().map(str::to_owned).collect()), prefixes: Some(prefixes) }
    }

    /// Those of these peers that have addresses; anybody, where none has.
    ///
    /// The members of the own cluster are named beside the users of many a service. That the cluster is bound (as the services
    /// which are for it alone demand) says nothing about who the users are: it does not close such a service to them.
    pub(super) fn bound_or_any<'a>(site: &Site, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        if !are_limited(site, &names) {
            // Where the site says that there are none of them, nobody is meant.
            let none = !names.is_empty() && names.iter().all(|name| site.nobody.contains(*name));
            return if none { Self::of_peers(site, names) } else { Self::any() };
        }
        Self::of_peers(site, names.into_iter().filter(|name| site.peers.contains_key(*name)))
    }

    /// These addresses, which are their own names.
    pub(super) fn of_addresses(prefixes: Arc<[IpNet]>) -> Self {
        Self { names: Some(prefixes.iter().map(written).collect()), prefixes: Some(prefixes) }
    }

    /// What of this side another one also has, under the other's names.
    pub(super) fn narrowed(&self, to: &Self) -> Self {
        let prefixes = match (&self.prefixes, &to.prefixes) {
            (Some(these), Some(those)) => Some(common(these, those).into()),
            (None, prefixes) | (prefixes, None) => prefixes.clone(),
        };
        Self { names: to.names.clone(), prefixes }
    }

    /// The remote side of a service or connection: the one peer that its exposure admits, else its bound peers, else any.
    pub(super) fn of_service(site: &Site, service: &Service) -> Self {
        match service.exposure.only_peer() {
            Some(peer) => Self::of_peers(site, [peer]),
            None => Self::bound_or_any(site, service.peers.iter().map(String::as_str)),
        }
    }
}

/// Whether the addresses of these peers limit an open service or connection that names them.
pub(super) fn are_limited(site: &Site, names: &[&str]) -> bool {
    let only_own = names.iter().all(|name| OWN_GROUPS.contains(name));
    names.iter().any(|name| site.peers.contains_key(*name) && (only_own || !OWN_GROUPS.contains(name)))
}

/// The remote side of an entry of `allow` or `deny`.
pub(super) fn of_site_rule(site: &Site, rule: &SiteRule) -> RemoteSide {
    rule.remotes.as_ref().map_or_else(RemoteSide::any, |remotes| of_remotes(site, remotes))
}

/// These peers and addresses. A peer without addresses is nobody here, because it was asked for.
pub(super) fn of_remotes(site: &Site, remotes: &[Remote]) -> RemoteSide {
    if let [Remote::Peer(name)] = remotes {
        return RemoteSide::of_peers(site, [name.as_str()]);
    }
    let mut nets = Vec::new();
    let mut names = Vec::new();
    for remote in remotes {
        match remote {
            Remote::Peer(name) => {
                names.push(name.clone());
                nets.extend(site.peers.get(name).into_iter().flat_map(|list| list.iter().copied()));
            }
            Remote::Net(net) => {
                names.push(written(net));
                nets.push(*net);
            }
        }
    }
    RemoteSide { names: Some(names), prefixes: Some(aggregated(&nets)) }
}

/// A prefix as a person writes it: a single address without a length.
pub(super) fn written(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}
