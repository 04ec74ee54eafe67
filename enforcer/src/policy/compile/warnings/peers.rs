//! Peers without addresses, and addresses without a use.

use std::collections::{BTreeMap, BTreeSet};

use super::super::remote::are_limited;
use super::{Lint, some};
use crate::policy::catalogue::Exposure;
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
                && !used.ports.is_empty()
            {
                found.entry((used.by.at, &used.by.role, peer)).or_default().push(used.describe());
            }
        }
        for ((at, role, peer), services) in found {
            let message = format!("`{role}`: `{peer}` has no addresses, so nobody reaches {}", some(&services));
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
            let unbound: Vec<&str> = names.into_iter().filter(|peer| !self.site.peers.contains_key(*peer)).collect();
            if limited && !unbound.is_empty() && !used.ports.is_empty() {
                let key = (used.by.at, used.by.role.as_str(), unbound.into_iter().collect());
                found.entry(key).or_default().push(used.describe());
            }
        }
        for ((at, role, unbound), services) in found {
            let names: Vec<String> = unbound.iter().map(|peer| format!("`{peer}`")).collect();
            let have = if names.len() == 1 { "has" } else { "have" };
            let message = format!(
                "`{role}`: {} {have} no addresses and cannot reach {}, which only peers with addresses can",
                some(&names),
                some(&services)
            );
            out.push(self.site.text.warning(at, message).with_hint("list their addresses under `peers:`"));
        }
    }

    /// Peers of the site that nothing asks for, or that have no addresses.
    pub(super) fn unused_peers(&self, out: &mut Vec<Diagnostic>) {
        let mut asked: BTreeSet<&str> = BTreeSet::new();
        for rule in &self.site.rules {
            for remote in rule.remotes.iter().flatten() {
                let Remote::Peer(peer) = remote else { continue };
                asked.insert(peer);
                // A peer that the site lists is warned about where it is listed.
                if !self.site.peers.contains_key(peer) && !self.site.peer_places.contains_key(peer) {
                    let message = format!("`{}` names `{peer}`, which has no addresses: it matches nobody", rule.name);
                    let hint = format!("list them under `peers: {{{peer}: [...]}}`");
                    out.push(self.site.text.warning(rule.at, message).with_hint(hint));
                }
            }
        }
        for (peer, at) in &self.site.peer_places {
            if !self.site.peers.contains_key(peer) {
                let message = format!("the peer `{peer}` has no addresses and is taken as not listed");
                let hint = "services that are open and name no other peer accept any source";
                out.push(self.site.text.warning(*at, message).with_hint(hint));
            } else if !self.catalogue.peers.contains_key(peer)
                && !asked.contains(peer.as_str())
                && !self.site.peer_names.contains(peer)
            {
                let message = format!("nothing asks for the peer `{peer}`");
                let hint = did_you_mean(peer, self.catalogue.peers.keys().map(String::as_str)).unwrap_or_else(|| {
                    "it is neither a peer of the catalogue nor named by `allow` or `deny`".to_owned()
                });
                out.push(self.site.text.warning(*at, message).with_hint(hint));
            }
        }
    }
}
