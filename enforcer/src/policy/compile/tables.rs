//! Port tables: for each service and each class of remote addresses the one entry that decides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use enforcer_common::{Direction, Entry, EntryKind, Mode, ServiceIndex};

use super::Error;
use super::sources::Sources;
use crate::policy::ruleset::{Action, Match, Rule, Table};

/// Entries of a class matrix at most: 16 MiB.
pub(super) const MATRIX: usize = 1 << 22;
const PORT_PROTOCOLS: [u8; 3] = [6, 17, 132];

/// Builds the tables of both directions, and for each the column of every atom.
pub(super) fn build(rules: &[Rule], sources: &Sources) -> Result<([Table; 2], [Vec<u16>; 2]), Error> {
    let (inbound, inbound_columns) = build_one(rules, sources, Direction::Inbound)?;
    let (outbound, outbound_columns) = build_one(rules, sources, Direction::Outbound)?;
    Ok(([inbound, outbound], [inbound_columns, outbound_columns]))
}

fn build_one(rules: &[Rule], sources: &Sources, direction: Direction) -> Result<(Table, Vec<u16>), Error> {
    let mut rows = Rows { rules, sources, known: HashMap::new(), rows: Vec::new() };
    let mut found: Vec<(RangeInclusive<u32>, Decision)> = Vec::new();
    for protocol in PORT_PROTOCOLS {
        let Some(first) = ServiceIndex::port(protocol, 0) else { continue };
        segments(rules, direction, protocol, |ports, active| {
            found.push((first.0 + ports.start()..=first.0 + ports.end(), rows.decide(active)));
        });
    }
    let mut single: BTreeMap<ServiceIndex, Vec<usize>> = BTreeMap::new();
    for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.direction == direction) {
        let index = match rule.matches {
            Match::Ports { .. } => continue,
            Match::Protocol(protocol) => ServiceIndex::protocol(protocol),
            Match::Ethertype(ethertype) => ServiceIndex::ethertype(ethertype),
            Match::Echo => ServiceIndex::ECHO,
        };
        single.entry(index).or_default().push(number);
    }
    for (index, active) in single {
        found.push((index.0..=index.0, rows.decide(&active)));
    }
    rows.finish(found)
}

/// What stands in the service table: an entry for every source, or a row.
#[derive(Clone, Copy)]
enum Decision {
    Direct(Entry),
    Row(usize),
}

struct Rows<'a> {
    rules: &'a [Rule],
    sources: &'a Sources,
    /// Numbers of rows by their digest; equal digests are told apart by looking.
    known: HashMap<u64, Vec<usize>>,
    rows: Vec<Vec<Entry>>,
}

impl Rows<'_> {
    /// The decision where these rules, in their order, match.
    fn decide(&mut self, active: &[usize]) -> Decision {
        // Where no rule asks for the source, one column stands for all.
        let scoped = active.iter().any(|rule| self.sources.atoms_of(*rule).is_some());
        let row = self.row(active, if scoped { self.sources.atoms } else { 1 });
        if row.iter().all(|entry| *entry == row[0]) {
            return Decision::Direct(row[0]);
        }
        let digest = row.iter().fold(0, |digest, entry| mix(digest, *entry));
        let alike = self.known.entry(digest).or_default();
        let known = alike.iter().copied().find(|known| self.rows[*known] == row);
        Decision::Row(known.unwrap_or_else(|| {
            alike.push(self.rows.len());
            self.rows.push(row);
            self.rows.len() - 1
        }))
    }

    /// Each class of addresses gets the first entry that applies to it, in the order that [`super`] documents.
    fn row(&self, active: &[usize], atoms: usize) -> Vec<Entry> {
        let of = |action: Action| active.iter().copied().filter(move |rule| self.rules[*rule].action == action);
        let audit = |rule: &usize| self.rules[*rule].mode == Some(Mode::Audit);
        let mut row = Row { entries: vec![Entry::NONE; atoms], open: atoms };
        for rule in of(Action::Deny).filter(|rule| !audit(rule)) {
            row.paint(self.sources.atoms_of(rule), Entry::new(EntryKind::Deny, number(rule)));
        }
        for rule in of(Action::Deny).filter(audit) {
            row.paint(self.sources.atoms_of(rule), Entry::new(EntryKind::Deny, number(rule)).with(Entry::AUDIT));
        }
        for rule in of(Action::Permit) {
            row.paint(self.sources.atoms_of(rule), Entry::new(EntryKind::Permit, number(rule)));
        }
        for rule in of(Action::Permit).filter(|rule| self.rules[*rule].answer_any) {
            row.mark_permits(self.sources.atoms_of(rule), Entry::ANSWER_ANY);
        }
        let refusing = |action| {
            let kind = if action == Action::Permit { EntryKind::Peer } else { EntryKind::Internal };
            of(action).next().map(|rule| Entry::new(kind, number(rule)))
        };
        // Every rule that names the port refuses those that none permits.
        let all_audit = of(Action::Permit).chain(of(Action::Internal)).all(|rule| audit(&rule));
        if let Some(entry) = refusing(Action::Permit).or_else(|| refusing(Action::Internal)) {
            row.paint(None, if all_audit { entry.with(Entry::AUDIT) } else { entry });
        }
        row.entries
    }

    /// Merges columns with equal decisions everywhere and lays the table out.
    fn finish(self, found: Vec<(RangeInclusive<u32>, Decision)>) -> Result<(Table, Vec<u16>), Error> {
        let mut digests = vec![0; self.sources.atoms];
        for row in &self.rows {
            digests.iter_mut().zip(row).for_each(|(digest, entry)| *digest = mix(*digest, *entry));
        }
        let equal = |one: usize, other: usize| self.rows.iter().all(|row| row[one] == row[other]);
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut first: Vec<usize> = Vec::new();
        let mut columns: Vec<usize> = Vec::with_capacity(self.sources.atoms);
        for (atom, digest) in digests.into_iter().enumerate() {
            let alike = known.entry(digest).or_default();
            let column = alike.iter().copied().find(|column| equal(first[*column], atom)).unwrap_or_else(|| {
                alike.push(first.len());
                first.push(atom);
                first.len() - 1
            });
            columns.push(column);
        }
        let (sources, services) = (first.len(), self.rows.len());
        let too_many = || Error::TooManyClasses { sources, services, limit: MATRIX };
        if sources * services > MATRIX {
            return Err(too_many());
        }
        let column_numbers: Result<Vec<u16>, _> = columns.into_iter().map(u16::try_from).collect();
        let matrix = self.rows.iter().flat_map(|row| first.iter().map(|atom| row[*atom])).collect();
        let mut services = Vec::new();
        for (range, decision) in found {
            let entry = match decision {
                Decision::Direct(entry) => entry,
                Decision::Row(row) => Entry::new(EntryKind::Scoped, u16::try_from(row).map_err(|_| too_many())?),
            };
            services.extend(range.map(|index| (ServiceIndex(index), entry)));
        }
        let columns = u32::try_from(sources).map_err(|_| too_many())?;
        let table = Table { services: services.into_iter().collect(), matrix, columns };
        Ok((table, column_numbers.map_err(|_| too_many())?))
    }
}

/// A row while it is decided.
struct Row {
    entries: Vec<Entry>,
    /// Entries that nothing has decided.
    open: usize,
}

impl Row {
    /// Decides what is still open among these atoms.
    fn paint(&mut self, atoms: Option<&[u32]>, with: Entry) {
        if self.open == 0 {
            return;
        }
        let mut decide = |entry: &mut Entry| {
            if *entry == Entry::NONE {
                *entry = with;
                self.open -= 1;
            }
        };
        match atoms {
            None => self.entries.iter_mut().for_each(decide),
            Some(atoms) => atoms.iter().for_each(|atom| decide(&mut self.entries[*atom as usize])),
        }
    }

    /// Sets flags on what is permitted among these atoms.
    fn mark_permits(&mut self, atoms: Option<&[u32]>, flags: u32) {
        let mark = |entry: &mut Entry| {
            if entry.kind() == EntryKind::Permit {
                *entry = entry.with(flags);
            }
        };
        match atoms {
            None => self.entries.iter_mut().for_each(mark),
            Some(atoms) => atoms.iter().for_each(|atom| mark(&mut self.entries[*atom as usize])),
        }
    }
}

/// Goes through the ranges of ports on which the same rules match, with those rules in their order.
fn segments(rules: &[Rule], direction: Direction, protocol: u8, mut each: impl FnMut(RangeInclusive<u32>, &[usize])) {
    let mut changes: BTreeMap<u32, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.direction == direction) {
        if let Match::Ports { protocol: of, ports } = &rule.matches
            && *of == protocol
        {
            for range in ports {
                changes.entry(u32::from(*range.start())).or_default().0.push(number);
                changes.entry(u32::from(*range.end()) + 1).or_default().1.push(number);
            }
        }
    }
    let mut active = BTreeSet::new();
    let mut previous = 0;
    for (port, (begin, end)) in changes {
        if !active.is_empty() {
            let list: Vec<usize> = active.iter().copied().collect();
            each(previous..=port - 1, &list);
        }
        for rule in end {
            active.remove(&rule);
        }
        active.extend(begin);
        previous = port;
    }
}

/// Mixes an entry into the digest of a row or column (the multiplier is that of FxHash).
fn mix(digest: u64, entry: Entry) -> u64 {
    (digest.rotate_left(5) ^ u64::from(entry.0)).wrapping_mul(0x517c_c1b7_2722_0a95)
}

/// The number of a rule in an entry; [`super::compile`] has seen to it that there are not more.
fn number(rule: usize) -> u16 {
    u16::try_from(rule).unwrap_or(u16::MAX)
}
