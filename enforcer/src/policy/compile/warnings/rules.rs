//! Entries of `allow` and `deny` that decide nothing, or soon will not.

use std::collections::BTreeSet;

use enforcer_common::{Direction, EntryKind};
use jiff::ToSpan;
use jiff::civil::Date;

use super::Lint;
use crate::policy::ruleset::{Action, Rule, Table};
use crate::policy::site::Echo;
use crate::text::diagnostic::Diagnostic;

/// How long before its last day an entry is warned about.
const NOTICE: i64 = 30;

impl Lint<'_> {
    /// Entries that are shadowed, not judged, or about to expire.
    pub(super) fn site_rules(&self, rules: &[Rule], tables: &[Table; 2], today: Date, out: &mut Vec<Diagnostic>) {
        let deciding = [deciding(&tables[0]), deciding(&tables[1])];
        let soon = today.saturating_add(NOTICE.days());
        for entry in &self.site.rules {
            let text = &self.site.text;
            if let Some(expires) = entry.expires.filter(|expires| (today..=soon).contains(expires)) {
                let message = format!("`{}` expires on {expires}", entry.name);
                out.push(
                    text.warning(entry.at, message).with_hint("remove the entry before that day, or set a later day"),
                );
            }
            let open = entry.direction == Direction::Outbound && !self.site.outbound_judged;
            if open {
                let message = format!("`{}` has no effect: outbound packets are not judged", entry.name);
                out.push(text.warning(entry.at, message).with_hint("write `outbound: role` to judge them"));
                continue;
            }
            let id = format!("site/{}", entry.name);
            let Some(number) = rules.iter().position(|rule| rule.id == id) else { continue };
            let rule = &rules[number];
            let nobody = rule.prefixes.as_ref().is_some_and(|prefixes| prefixes.is_empty());
            if !nobody && !deciding[entry.direction as usize].contains(&number) {
                let by = shadowing(rules, number);
                let message = match by {
                    Some(by) => format!("`{}` never decides: `{}` comes first", entry.name, rules[by].id),
                    None => format!("`{}` never decides, because other rules match first", entry.name),
                };
                out.push(
                    text.warning(entry.at, message)
                        .with_hint("deny comes before permit, the site before the roles, then names in their order"),
                );
            }
        }
        self.roles_denied(rules, &deciding, out);
        if self.site.icmp_echo == Echo::Peers && self.site.peers.is_empty() {
            let message = "`icmp_echo: peers` lets nobody ping, because no address is bound to any peer";
            out.push(Diagnostic::of_file(&self.site.text.name, message).into_warning());
        }
    }

    /// Services of roles that an entry of `deny` closes altogether.
    fn roles_denied(&self, rules: &[Rule], deciding: &[BTreeSet<usize>; 2], out: &mut Vec<Diagnostic>) {
        for entry in self.site.rules.iter().filter(|entry| entry.deny) {
            let id = format!("site/{}", entry.name);
            let Some(deny) = rules.iter().find(|rule| rule.id == id && rule.prefixes.is_none()) else { continue };
            let mut closed: Vec<String> = Vec::new();
            for (number, rule) in rules.iter().enumerate() {
                let of_role = rule.action == Action::Permit && !rule.id.starts_with("site/");
                if of_role
                    && rule.direction == deny.direction
                    && !deciding[rule.direction as usize].contains(&number)
                    && covers(deny, rule)
                {
                    closed.push(format!("`{}`", rule.id));
                }
            }
            closed.dedup();
            if !closed.is_empty() {
                let message = format!("`{}` closes {} altogether", entry.name, super::some(&closed));
                out.push(self.site.text.warning(entry.at, message));
            }
        }
    }
}

/// The rules that decide about some packet.
fn deciding(table: &Table) -> BTreeSet<usize> {
    let direct = table.services.values().filter(|entry| entry.kind() != EntryKind::Scoped);
    let entries = direct
        .chain(&table.matrix)
        .filter(|entry| matches!(entry.kind(), EntryKind::Permit | EntryKind::Deny | EntryKind::Internal));
    entries.map(|entry| usize::from(entry.number())).collect()
}

/// An earlier rule that alone takes everything from this one.
fn shadowing(rules: &[Rule], number: usize) -> Option<usize> {
    rules[..number].iter().position(|earlier| {
        earlier.direction == rules[number].direction
            && earlier.action <= rules[number].action
            && covers(earlier, &rules[number])
            && match (&earlier.prefixes, &rules[number].prefixes) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(wide), Some(narrow)) => narrow.iter().all(|net| wide.iter().any(|outer| outer.contains(net))),
            }
    })
}

/// Whether a rule matches every service that another one matches.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    use crate::policy::ruleset::Match;
    match (&wide.matches, &narrow.matches) {
        (Match::Ports { protocol: one, ports: wide }, Match::Ports { protocol: other, ports: narrow }) => {
            one == other
                && narrow
                    .iter()
                    .all(|range| wide.iter().any(|outer| outer.start() <= range.start() && outer.end() >= range.end()))
        }
        (one, other) => one == other,
    }
}
