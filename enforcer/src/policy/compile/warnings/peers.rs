//! Peers without addresses, and addresses without a use.

use std::collections::{BTreeMap, BTreeSet};

use super::super::remote::are_limited;
use super::{Lint, some};
use crate::policy::catalogue::{Exposure, Origin, Role};
use crate::policy::ruleset::Rule;
use crate::policy::site::Remote;
use crate::text::diagnostic::{Diagnostic, Position};
use crate::text::nearest::did_you_mean;

impl Lint<'_> {
    /// Services for one group only, which has no addresses: they accept nobody.
    pub(super) fn unbound_groups(&self, out: &mut Vec<Diagnostic>) {
        let mut found: BTreeMap<(Position, &str, &str), Vec<String>> = BTreeMap::new();
        for used in &self.services {
            if let Some(peer) = used.service.exposure.only_peer()
                && !self.site.peers.contains_key(peer)
                && !self.site.nobody.contains(peer)
                && !used.ports.is_empty()
            {
                found.entry((used.by.at, &used.by.role, peer)).or_default().push(used.describe());
            }
        }
        for ((at, role, peer), services) in found {
            let message = format!("`{role}`: no address is bound to `{peer}`, so nobody can reach {}", some(&services));
            let hint = format!("list its members under `peers: {{{peer}: [...]}}`");
            out.push(self.site.text.warning(at, message).with_hint(hint));
        }
    }

    /// Open services of which some peers have addresses: the others are refused.
    pub(super) fn peers_left_out(&self, out: &mut Vec<Diagnostic>) {
        let mut found: BTreeMap<(Position, &str, BTreeSet<&str>), Vec<String>> = BTreeMap::new();
        for used in self.services.iter().filter(|used| used.service.exposure == Exposure::Open) {
            let names: Vec<&str> = used.service.peers.iter().map(String::as_str).collect();
            let limited = are_limited(self.site, &names);
            let is_unbound = |peer: &&str| !self.site.peers.contains_key(*peer) && !self.site.nobody.contains(*peer);
            let unbound: Vec<&str> = names.into_iter().filter(is_unbound).collect();
            if limited && !unbound.is_empty() && !used.ports.is_empty() {
                let key = (used.by.at, used.by.role.as_str(), unbound.into_iter().collect());
                found.entry(key).or_default().push(used.describe());
            }
        }
        for ((at, role, unbound), services) in found {
            let names: Vec<String> = unbound.iter().map(|peer| format!("`{peer}`")).collect();
            let they = if names.len() == 1 { "it" } else { "they" };
            let message = format!(
                "`{role}`: no address is bound to {}, so {they} cannot reach {}",
                some(&names),
                some(&services)
            );
            out.push(self.site.text.warning(at, message).with_hint("list their addresses under `peers:`"));
        }
    }

    /// Peers of the site that no rule uses, or that have no addresses.
    pub(super) fn unused_peers(&self, rules: &[Rule], out: &mut Vec<Diagnostic>) {
        let site = self.site;
        // What an entry names is used by it, also where the entry has expired or has no effect: that is said elsewhere.
        let mut used: BTreeSet<&str> = site.peer_names.iter().map(String::as_str).collect();
        let entries = site.rules.iter().map(|rule| (&*rule.name, rule.at, rule.remotes.as_deref().unwrap_or_default()));
        let limits = site.limits.iter().map(|(id, limit)| (id.as_str(), limit.at, limit.remotes.as_slice()));
        for (name, at, remotes) in entries.chain(limits) {
            for remote in remotes {
                let Remote::Peer(peer) = remote else { continue };
                used.insert(peer);
                // A peer that the site lists is warned about where it is listed.
                if !site.peers.contains_key(peer) && !site.peer_places.contains_key(peer) {
                    let message = format!(
                        "`{name}` names `{peer}`, but no address is bound to this peer, so the entry matches nobody"
                    );
                    let hint = format!("list them under `peers: {{{peer}: [...]}}`");
                    out.push(site.text.warning(at, message).with_hint(hint));
                }
            }
        }
        used.extend(rules.iter().flat_map(|rule| rule.peers.iter().flatten()).map(String::as_str));
        used.extend(self.reached());
        for (peer, at) in &site.peer_places {
            if site.nobody.contains(peer) {
                continue;
            }
            if !site.peers.contains_key(peer) {
                let message = format!("no address is bound to the peer `{peer}`; it is treated as not listed");
                let hint = "open services that name no other peer accept every source";
                out.push(site.text.warning(*at, message).with_hint(hint));
            } else if !used.contains(peer.as_str()) {
                let message = format!("no rule uses the peer `{peer}`");
                out.push(site.text.warning(*at, message).with_hint(self.no_use(peer)));
            }
        }
    }

    /// The peers that mean the servers of roles which those of this site connect to: rules for hosts of `remote` have addresses.
    fn reached(&self) -> BTreeSet<&str> {
        let remotes: BTreeSet<&str> = self.site.remotes.iter().map(|remote| remote.role.as_str()).collect();
        let mut found = BTreeSet::new();
        for derived in self.site.roles.iter().flat_map(|used| self.catalogue.derived(&used.role)) {
            let of = |remote: &&str| self.catalogue.flatten(remote).iter().any(|one| one.name == derived.role.name);
            if derived.origin == Origin::Inverse {
                found.extend(remotes.iter().copied().filter(of).filter_map(|role| self.catalogue.servers_of(role)));
            }
        }
        found
    }

    /// What to do about a peer that no rule uses.
    fn no_use(&self, peer: &str) -> String {
        if !self.catalogue.peers.contains_key(peer) {
            return did_you_mean(peer, self.catalogue.peers.keys().map(String::as_str)).unwrap_or_else(|| {
                "it is not a peer of the catalogue, and no `allow`, `deny` or `limit` entry names it".to_owned()
            });
        }
        let names = |role: &&Role| role.entries().any(|service| service.peers.iter().any(|name| name == peer));
        let by: Vec<String> =
            self.catalogue.roles.values().filter(names).map(|role| format!("`{}`", role.name)).collect();
        let by = if by.is_empty() { String::new() } else { format!(", as {} have", some(&by)) };
        format!(
            "no role of this host has a service or connection for it{by}; remove the peer, or name it in an entry of `allow` or \
             `limit`"
        )
    }
}
