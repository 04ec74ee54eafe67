//! What ends with the policy before: a ruleset with marks ([`Entry::ENDED`]) where it no longer lets pass what another one did.
//!
//! A mark changes no verdict. For a while after the switch, what the host sends there makes no flow, because it may be an answer to a
//! peer whose packet the policy before has let pass.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use enforcer_common::{Direction, Entry, EntryKind, ServiceIndex, SourceClass};
use ipnet::IpNet;

use super::tables::MATRIX;
use crate::policy::ranges::Ranges4;
use crate::policy::ruleset::{Lookup, Ruleset, Table};

const IN: Direction = Direction::Inbound;

/// The ruleset with marks for what `before` let pass; `None` where it lets pass all of that itself.
#[must_use]
pub fn mark_ended(ruleset: &Ruleset, before: Lookup<'_>) -> Option<Ruleset> {
    let old = Old::of(before);
    let pairs = Pairs::of(ruleset, before, &old);
    // Where that makes too many classes: by port alone, which ends a little more.
    marked(ruleset, &old, &pairs).or_else(|| marked(ruleset, &old.by_port(), &Pairs::by_port(ruleset)))?
}

/// Whether packets go on by such an entry, counted or not.
fn lets_pass(entry: Entry) -> bool {
    entry.kind() == EntryKind::Permit || entry.has(Entry::AUDIT)
}

/// What the policy before let pass of a port.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Passed {
    /// Everything.
    All,
    /// What a row of its matrix says.
    Row(usize),
}

/// What the policy before let pass.
struct Old {
    /// By port; only those that it let somebody reach.
    ports: BTreeMap<ServiceIndex, Passed>,
    /// For each class of addresses, which rows let them pass. Class 0 is the addresses that no prefix covers.
    groups: Vec<Vec<bool>>,
    /// The class of each column.
    group_of: Vec<usize>,
}

impl Old {
    fn of(before: Lookup<'_>) -> Self {
        let table = &before.tables[IN as usize];
        let columns = table.columns.max(1) as usize;
        let rows: Vec<&[Entry]> = table.matrix.chunks_exact(columns).collect();
        let passing: Vec<bool> = rows.iter().map(|row| row.iter().any(|entry| lets_pass(*entry))).collect();
        let ports = table.services.iter().filter(|(index, _)| is_port(**index)).filter_map(|(index, entry)| {
            let row = usize::from(entry.number());
            match entry.kind() {
                EntryKind::Scoped => passing.get(row).is_some_and(|any| *any).then_some((*index, Passed::Row(row))),
                EntryKind::None | EntryKind::Permit | EntryKind::Deny | EntryKind::Internal | EntryKind::Peer => {
                    lets_pass(*entry).then_some((*index, Passed::All))
                }
            }
        });
        let ports = ports.collect();
        let mut known: HashMap<Vec<bool>, usize> = HashMap::new();
        let mut groups = Vec::new();
        let group_of = (0..columns).map(|column| {
            let passed: Vec<bool> = rows.iter().map(|row| lets_pass(row[column])).collect();
            *known.entry(passed).or_insert_with_key(|passed| {
                groups.push(passed.clone());
                groups.len() - 1
            })
        });
        let group_of = group_of.collect();
        Self { ports, groups, group_of }
    }

    /// The same for all addresses: what it let anybody reach.
    fn by_port(self) -> Self {
        let rows = self.groups.first().map_or(0, Vec::len);
        let any = (0..rows).map(|row| self.groups.iter().any(|passed| passed[row])).collect();
        Self { groups: vec![any], group_of: vec![0; self.group_of.len()], ..self }
    }

    fn passed(&self, port: Passed, group: usize) -> bool {
        match port {
            Passed::All => true,
            Passed::Row(row) => self.groups.get(group).and_then(|passed| passed.get(row)).copied().unwrap_or(false),
        }
    }
}

const fn is_port(index: ServiceIndex) -> bool {
    index.0 < ServiceIndex::ethertype(0).0
}

/// The entry for a column.
fn at(table: &Table, entry: Entry, column: usize) -> Entry {
    if entry.kind() != EntryKind::Scoped {
        return entry;
    }
    table.matrix.get(usize::from(entry.number()) * table.columns as usize + column).copied().unwrap_or(Entry::NONE)
}

/// Addresses by what both policies say of them.
struct Pairs {
    /// The column of the new policy and the class of the one before; the first is that of addresses that no prefix covers.
    columns: Vec<(usize, usize)>,
    prefixes: BTreeMap<IpNet, SourceClass>,
}

impl Pairs {
    fn of(ruleset: &Ruleset, before: Lookup<'_>, old: &Old) -> Self {
        let group = |class: SourceClass| old.group_of.get(class.column(IN) as usize).copied().unwrap_or(0);
        let mut columns = vec![(0, group(SourceClass::default()))];
        let mut known: HashMap<(usize, usize), usize> = HashMap::from([(columns[0], 0)]);
        let mut prefixes = BTreeMap::new();
        let nets: BTreeSet<IpNet> = ruleset.prefixes.keys().chain(before.prefixes.keys()).copied().collect();
        // Prefixes come in the order of their first address, the shorter first: what covers one is on the stack.
        let mut covering: Vec<(IpNet, SourceClass, SourceClass)> = Vec::new();
        for net in nets {
            while covering.last().is_some_and(|(outer, ..)| !outer.contains(&net)) {
                covering.pop();
            }
            let outer = covering.last().map_or_else(Default::default, |(_, new, old)| (*new, *old));
            let new = ruleset.prefixes.get(&net).copied().unwrap_or(outer.0);
            let was = before.prefixes.get(&net).copied().unwrap_or(outer.1);
            let pair = (new.column(IN) as usize, group(was));
            let column = *known.entry(pair).or_insert_with(|| {
                columns.push(pair);
                columns.len() - 1
            });
            let [inbound, outbound] = [column, new.column(Direction::Outbound) as usize]
                .map(|column| u16::try_from(column).unwrap_or(u16::MAX));
            prefixes.insert(net, SourceClass::new(inbound, outbound));
            covering.push((net, new, was));
        }
        Self { columns, prefixes }
    }

    fn by_port(ruleset: &Ruleset) -> Self {
        let columns = (0..ruleset.table(IN).columns.max(1) as usize).map(|column| (column, 0)).collect();
        Self { columns, prefixes: ruleset.prefixes.clone() }
    }
}

/// The outer `None`: the tables would be too large; the inner one: nothing ends.
#[expect(clippy::option_option, reason = "two ways of having no ruleset, told apart once")]
fn marked(ruleset: &Ruleset, old: &Old, pairs: &Pairs) -> Option<Option<Ruleset>> {
    let table = ruleset.table(IN);
    let mut matrix: Vec<Entry> = Vec::new();
    let rows = table.matrix.len() / table.columns.max(1) as usize;
    if pairs.columns.len() > usize::from(u16::MAX) || rows.saturating_mul(pairs.columns.len()) > MATRIX {
        return None;
    }
    for row in 0..rows {
        let scoped = Entry::new(EntryKind::Scoped, u16::try_from(row).ok()?);
        matrix.extend(pairs.columns.iter().map(|(column, _)| at(table, scoped, *column)));
    }
    let mut services = table.services.clone();
    // Ports with equal entries before and now are marked alike.
    let mut known: HashMap<(u32, Passed), Option<Entry>> = HashMap::new();
    let mut next = rows;
    let mut ends = false;
    for (index, passed) in &old.ports {
        let entry = table.services.get(index).copied().unwrap_or(Entry::NONE);
        let mark = match known.get(&(entry.0, *passed)) {
            Some(mark) => *mark,
            None => {
                let now = |column: usize| at(table, entry, column);
                let has_ended = |column, group| old.passed(*passed, group) && !lets_pass(now(column));
                let row: Vec<Entry> = pairs
                    .columns
                    .iter()
                    .map(|(column, group)| {
                        let now = now(*column);
                        if has_ended(*column, *group) { now.with(Entry::ENDED) } else { now }
                    })
                    .collect();
                let mark = if !row.iter().any(|entry| entry.has(Entry::ENDED)) {
                    None
                } else if row.iter().all(|entry| *entry == row[0]) {
                    Some(row[0])
                } else {
                    let number = u16::try_from(next).ok()?;
                    if (next + 1).saturating_mul(row.len()) > MATRIX {
                        return None;
                    }
                    matrix.extend(&row);
                    next += 1;
                    Some(Entry::new(EntryKind::Scoped, number))
                };
                known.insert((entry.0, *passed), mark);
                mark
            }
        };
        if let Some(mark) = mark {
            ends = true;
            services.insert(*index, mark);
        }
    }
    if !ends {
        return Some(None);
    }
    let columns = u32::try_from(pairs.columns.len()).ok()?;
    let inbound = Table { services, matrix, columns };
    let tables = [inbound, ruleset.table(Direction::Outbound).clone()];
    let (prefixes, ranges) = (pairs.prefixes.clone(), Ranges4::of(&pairs.prefixes));
    Some(Some(Ruleset { tables, prefixes, ranges, ..ruleset.clone() }))
}

#[cfg(test)]
mod tests {
    use enforcer_common::layout::Config;

    use super::*;
    use crate::policy::compile::assemble;
    use crate::policy::ruleset::{Action, FlowSettings, Match, Rule, Settings};

    fn rule(port: u16, from: Option<&[&str]>, action: Action) -> Rule {
        Rule {
            id: format!("site/{port}"),
            direction: IN,
            action,
            matches: Match::Ports { protocol: 17, ports: vec![port..=port] },
            peers: None,
            prefixes: from.map(|from| from.iter().map(|net| net.parse().unwrap()).collect()),
            exposure: "open".to_owned(),
            mode: None,
            answer_any: false,
            sources: Vec::new(),
        }
    }

    fn ruleset(rules: &[Rule]) -> Ruleset {
        let settings = Settings { outbound_judged: false, scope: None, flows: FlowSettings::default() };
        assemble(rules.to_vec(), settings).unwrap()
    }

    fn mark(ruleset: &Ruleset, port: u16, remote: &str) -> bool {
        ruleset.entry(IN, ServiceIndex::udp(port), remote.parse().unwrap()).has(Entry::ENDED)
    }

    #[test]
    fn a_policy_that_permits_as_much_as_before_is_not_marked() {
        let before = ruleset(&[rule(161, Some(&["10.0.0.0/8"]), Action::Permit), rule(53, None, Action::Permit)]);
        assert_eq!(mark_ended(&before, before.lookup()), None);
        let more = ruleset(&[rule(161, None, Action::Permit), rule(53, None, Action::Permit)]);
        assert_eq!(mark_ended(&more, before.lookup()), None);
    }

    #[test]
    fn a_port_that_is_no_longer_permitted_is_marked_for_those_who_could_reach_it() {
        let before = ruleset(&[rule(161, Some(&["10.0.0.0/8", "2001:db8::/32"]), Action::Permit)]);
        let after = mark_ended(&ruleset(&[]), before.lookup()).unwrap();
        for (remote, expected) in
            [("10.9.9.9", true), ("192.0.2.1", false), ("2001:db8::1", true), ("2001:db9::1", false)]
        {
            assert_eq!(mark(&after, 161, remote), expected, "{remote}");
        }
        assert!(!mark(&after, 162, "10.9.9.9"));
        assert_ne!(after.features() & Config::SCOPED_IN, 0, "the programs have to look the source up");
        let open = ruleset(&[rule(161, None, Action::Permit)]);
        assert!(mark(&mark_ended(&ruleset(&[]), open.lookup()).unwrap(), 161, "192.0.2.1"));
    }

    #[test]
    fn a_new_deny_rule_and_fewer_sources_are_marked_and_verdicts_stay() {
        let before = ruleset(&[rule(161, Some(&["10.0.0.0/8"]), Action::Permit)]);
        let fewer = ruleset(&[rule(161, Some(&["10.1.0.0/16"]), Action::Permit)]);
        let after = mark_ended(&fewer, before.lookup()).unwrap();
        assert!(mark(&after, 161, "10.2.0.1") && !mark(&after, 161, "10.1.0.1"));
        let denied = ruleset(&[
            rule(161, Some(&["10.1.0.0/16"]), Action::Deny),
            rule(161, Some(&["10.0.0.0/8"]), Action::Permit),
        ]);
        let after = mark_ended(&denied, before.lookup()).unwrap();
        assert!(mark(&after, 161, "10.1.0.1") && !mark(&after, 161, "10.2.0.1") && !mark(&after, 161, "192.0.2.1"));
        for remote in ["10.1.0.1", "10.2.0.1", "192.0.2.1", "2001:db8::1"] {
            let entry = |ruleset: &Ruleset| ruleset.entry(IN, ServiceIndex::udp(161), remote.parse().unwrap());
            assert_eq!(Entry(entry(&after).0 & !Entry::ENDED), entry(&denied), "{remote}");
        }
    }
}
