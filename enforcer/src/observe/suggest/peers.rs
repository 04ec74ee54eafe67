//! Addresses that a peer may lack: the port is named by a rule, for others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use enforcer_common::{Direction, Reason, SourceClass, Verdict};

use super::additions::Additions;
use super::kinds::{Denied, SuggestionKind, Tried};
use super::risk::opened;
use super::{Base, Draft};
use crate::judge::explain::peers_of;
use crate::judge::reference::{Asked, Ruling, ruling};
use crate::policy::catalogue::OWN_GROUPS;
use crate::policy::diff::{Effect, diff};
use crate::policy::ruleset::Rule;

/// Suggests addresses of peers for flows that a rule names for others, and takes these flows away.
pub(super) fn suggest(base: &Base<'_>, open: &mut Vec<Denied>) -> Vec<Draft> {
    let mut guesses = Guesses { base, known: BTreeMap::new() };
    let mut found: BTreeMap<String, Vec<Denied>> = BTreeMap::new();
    for flow in std::mem::take(open) {
        match guesses.peer(&flow) {
            Some(peer) => found.entry(peer).or_default().push(flow),
            None => open.push(flow),
        }
    }
    let suggestion = |(peer, flows): (String, Vec<Denied>)| {
        let addresses = flows.iter().filter_map(|flow| flow.remote).collect();
        let additions = Additions { peers: BTreeMap::from([(peer.clone(), addresses)]), ..Additions::default() };
        Draft { kind: SuggestionKind::Peer, name: peer, additions, flows }
    };
    found.into_iter().map(suggestion).collect()
}

/// The best peer for a rule and a kind of address, remembered: thousands of flows ask the same.
struct Guesses<'a> {
    base: &'a Base<'a>,
    known: BTreeMap<(usize, SourceClass), Option<String>>,
}

impl Guesses<'_> {
    fn peer(&mut self, flow: &Denied) -> Option<String> {
        let (remote, index) = (flow.remote?, self.naming_rule(flow)?);
        let class = self.base.ruleset.class(remote);
        if let Some(known) = self.known.get(&(index, class)) {
            return known.clone();
        }
        let guess = self.guess(flow, remote, self.base.ruleset.rules.get(index)?);
        self.known.insert((index, class), guess.clone());
        guess
    }

    /// The rule that names what the flow asks for, for other addresses.
    fn naming_rule(&self, flow: &Denied) -> Option<usize> {
        let asked = match flow.tried {
            Tried::Port { protocol, port } => Asked::Port { protocol, port },
            Tried::Protocol(protocol) => Asked::Protocol(protocol),
            Tried::Icmp { .. } | Tried::Ethertype(_) => return None,
        };
        if ![Reason::Peer, Reason::NoConnection, Reason::Protocol].contains(&flow.reason) {
            return None;
        }
        match ruling(self.base.ruleset, flow.direction, asked, flow.remote) {
            Ruling::Peer { rule, .. } => Some(rule),
            Ruling::Permit { .. } | Ruling::Deny { .. } | Ruling::Internal { .. } | Ruling::Nothing => None,
        }
    }

    /// The peer that would open the least beside, and close nothing.
    fn guess(&self, flow: &Denied, remote: IpAddr, rule: &Rule) -> Option<String> {
        let names = peers_of(self.base.site, self.base.catalogue, rule);
        let mut best: Option<((bool, u64, bool, String), String)> = None;
        for name in names {
            let additions =
                Additions { peers: BTreeMap::from([(name.clone(), [remote].into())]), ..Additions::default() };
            let Ok(changed) = self.base.with(&additions) else { continue };
            let difference = diff(self.base.ruleset, &changed.ruleset);
            // A peer without addresses leaves its services to everybody: its first address would close them to all others.
            if difference.changes.iter().any(|change| change.change != Effect::Permit) {
                continue;
            }
            let tables = changed.tables();
            if tables.judge(flow).is_none_or(|found| found.reason.verdict() == Verdict::Drop) {
                continue;
            }
            let unbound = !self.base.site.peers.contains_key(&name);
            // Members of the own groups may reach the most, so they are the last guess.
            let key = (OWN_GROUPS.contains(&name.as_str()), opened(&difference, Direction::ALL), unbound, name.clone());
            if best.as_ref().is_none_or(|(known, _)| key < *known) {
                best = Some((key, name));
            }
        }
        best.map(|(_, name)| name)
    }
}
