//! Rules in the making: what several parts of a policy say under one id is one rule.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use enforcer_common::{Direction, Mode};
use jiff::civil::Date;

use super::remote::{RemoteSide, of_site_rule};
use crate::policy::catalogue::merge_ranges;
use crate::policy::ruleset::{Action, Match, Rule, SourceRow};
use crate::policy::site::{Echo, Site};
use crate::text::diagnostic::Diagnostic;

/// Id of the rule that `icmp_echo:` makes.
pub(super) const ECHO_ID: &str = "site/icmp-echo";

/// What makes two parts the same rule. Its order is the documented order of rules.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Key {
    pub action: Action,
    /// Rules of roles come after those of the site.
    pub of_role: bool,
    pub id: String,
    pub direction: Direction,
    pub kind: DraftKind,
    pub peers: Option<Vec<String>>,
    pub mode: Option<Mode>,
    pub exposure: &'static str,
    pub answer_any: bool,
}

/// What a rule matches, without its ports.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum DraftKind {
    Ports(u8),
    Protocol(u8),
    Ethertype(u16),
    Echo,
}

/// The rules so far.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    rules: BTreeMap<Key, Draft>,
}

#[derive(Debug)]
struct Draft {
    remote: RemoteSide,
    ports: Vec<RangeInclusive<u16>>,
    sources: BTreeSet<SourceRow>,
}

impl Drafts {
    /// Adds to the rule with this key, or makes it.
    pub(super) fn add(
        &mut self,
        key: Key,
        remote: &RemoteSide,
        ports: &[RangeInclusive<u16>],
        source: Option<&SourceRow>,
    ) {
        let draft = self.rules.entry(key).or_insert_with(|| Draft {
            remote: remote.clone(),
            ports: Vec::new(),
            sources: BTreeSet::new(),
        });
        draft.ports.extend_from_slice(ports);
        draft.sources.extend(source.cloned());
    }

    /// The rules in their order.
    pub(super) fn into_rules(self) -> Vec<Rule> {
        let rules = self.rules.into_iter().map(|(key, draft)| Rule {
            id: key.id,
            direction: key.direction,
            action: key.action,
            matches: match key.kind {
                DraftKind::Ports(protocol) => Match::Ports { protocol, ports: merge_ranges(draft.ports) },
                DraftKind::Protocol(protocol) => Match::Protocol(protocol),
                DraftKind::Ethertype(ethertype) => Match::Ethertype(ethertype),
                DraftKind::Echo => Match::Echo,
            },
            peers: key.peers,
            prefixes: draft.remote.prefixes,
            exposure: key.exposure.to_owned(),
            mode: key.mode,
            answer_any: key.answer_any,
            sources: draft.sources.into_iter().collect(),
        });
        rules.collect()
    }
}

/// What the site itself says: its `allow` and `deny` entries that have not expired, and who may ping.
pub(super) fn site_rules(site: &Site, today: Date, drafts: &mut Drafts, warnings: &mut Vec<Diagnostic>) {
    for rule in &site.rules {
        let what = if rule.deny { "deny" } else { "allow" };
        if let Some(expires) = rule.expires.filter(|expires| *expires < today) {
            let message = format!("`{what}` entry `{}` expired on {expires} and is left out", rule.name);
            let hint = "remove it, or give it a later day";
            warnings.push(site.text.warning(rule.at, message).with_hint(hint));
            continue;
        }
        let remote = of_site_rule(site, rule);
        let (kind, ports): (_, &[_]) = match &rule.matches {
            Match::Ports { protocol, ports } => (DraftKind::Ports(*protocol), ports),
            Match::Protocol(protocol) => (DraftKind::Protocol(*protocol), &[]),
            Match::Ethertype(ethertype) => (DraftKind::Ethertype(*ethertype), &[]),
            Match::Echo => (DraftKind::Echo, &[]),
        };
        let key = Key {
            action: if rule.deny { Action::Deny } else { Action::Permit },
            of_role: false,
            id: format!("site/{}", rule.name),
            direction: rule.direction,
            kind,
            peers: remote.names.clone(),
            mode: rule.mode,
            exposure: "open",
            answer_any: false,
        };
        drafts.add(key, &remote, ports, None);
    }
    let remote = match site.icmp_echo {
        Echo::Any => RemoteSide::any(),
        Echo::Peers => RemoteSide::of_peers(site, site.peers.keys().map(String::as_str)),
        Echo::Nobody => return,
    };
    let key = Key {
        action: Action::Permit,
        of_role: false,
        id: ECHO_ID.to_owned(),
        direction: Direction::Inbound,
        kind: DraftKind::Echo,
        peers: remote.names.clone(),
        mode: None,
        exposure: "open",
        answer_any: false,
    };
    drafts.add(key, &remote, &[], None);
}
