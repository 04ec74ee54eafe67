//! Entries of `limit` that narrow less than their operator may think.

use super::super::inbound::{rule_id, users};
use super::super::prefixes::without;
use super::{Lint, Used, some};
use crate::policy::ruleset::{Action, Match, Rule};
use crate::policy::site::{Limit, protocol_name};
use crate::text::diagnostic::Diagnostic;
use enforcer_common::Direction;

impl Lint<'_> {
    /// Whether a `limit` narrows this service.
    pub(super) fn limit_of(&self, used: &Used<'_>) -> Option<&Limit> {
        self.site.limits.get(&rule_id(used.role, used.service))
    }

    /// Entries without effect, and ports that other rules still open to more.
    pub(super) fn limits(&self, rules: &[Rule], out: &mut Vec<Diagnostic>) {
        let text = &self.site.text;
        for (id, limit) in &self.site.limits {
            let of: Vec<&Used<'_>> =
                self.services.iter().filter(|used| rule_id(used.role, used.service) == *id).collect();
            let opened = of.iter().find(|used| self.site.ephemeral_open || !used.service.ephemeral);
            let Some(used) = opened.filter(|used| !used.ports.is_empty()) else {
                let message = format!("`{id}` is limited, and does not exist with the settings of this site");
                out.push(text.warning(limit.at, message).with_hint("remove the entry, or check the role's parameters"));
                continue;
            };
            let users = users(self.site, used.role, used.service);
            if users.prefixes.as_ref().is_some_and(|prefixes| prefixes.is_empty()) {
                let message = format!("`{id}` is limited to nobody");
                let hint = "`limit` permits whom `from` names and the service permits, and no address is both";
                out.push(text.warning(limit.at, message).with_hint(hint));
            }
            let others = others(rules, id, used, users.prefixes.as_deref().unwrap_or_default());
            if !others.is_empty() {
                let message = format!("`{id}` is limited, but {} to other addresses", some(&others));
                let hint = "limit these services too, give these entries of `allow` a `from`, or `deny` the port";
                out.push(text.warning(limit.at, message).with_hint(hint));
            }
        }
    }
}

/// The rules that permit a port of a limited service to others than its users: "`role/service` permits tcp 3389".
fn others(rules: &[Rule], id: &str, used: &Used<'_>, users: &[ipnet::IpNet]) -> Vec<String> {
    let mut found = Vec::new();
    let inbound = rules.iter().filter(|rule| rule.direction == Direction::Inbound && rule.action == Action::Permit);
    for rule in inbound.filter(|rule| rule.id != id) {
        let Match::Ports { protocol, ports } = &rule.matches else { continue };
        let limited = used.ports.get(protocol).into_iter().flatten();
        let shared = limited.flat_map(|range| {
            let both = ports.iter().map(|other| *range.start().max(other.start())..=*range.end().min(other.end()));
            both.filter(|range| !range.is_empty())
        });
        let shared: Vec<_> = shared.collect();
        // An entry of `allow` with a `from` adds on purpose.
        let adds = rule.id.starts_with("site/") && rule.prefixes.is_some();
        let wider = rule.prefixes.as_ref().is_none_or(|prefixes| !without(prefixes, users).is_empty());
        if !shared.is_empty() && wider && !adds {
            let ports = crate::policy::catalogue::format_ranges(&shared);
            found.push(format!("`{}` permits {} {ports}", rule.id, protocol_name(*protocol)));
        }
    }
    found
}
