//! Connections whose ports depend on parameters of a host of which the site does not tell.

use std::collections::{BTreeMap, BTreeSet};

use super::super::elsewhere::{Elsewhere, elsewhere};
use super::super::remote::written;
use super::{Lint, some};
use crate::policy::catalogue::{Origin, Service, Setting, format_ranges, merge_ranges};
use crate::text::diagnostic::{Diagnostic, Position};

/// Addresses that are written into a hint; of more, whoever reads it knows where they stand.
const MOST_ADDRESSES: usize = 6;

/// Hosts of which the site does not tell everything.
#[derive(Default)]
struct Unknown<'a> {
    at: Position,
    /// The role that they have.
    role: &'a str,
    /// The entry of `remote` that tells something of them.
    told: Option<usize>,
    /// Their addresses; `None`: any.
    addresses: Option<Vec<String>>,
    /// The roles of this site that connect to them.
    by: BTreeSet<String>,
    /// Parameters with the values that are taken, of which there may be none.
    guessed: BTreeMap<String, Vec<Setting>>,
}

impl Lint<'_> {
    /// Ports that are guessed, with the entry of `remote` that answers.
    pub(super) fn guesses(&self, out: &mut Vec<Diagnostic>) {
        if !self.site.outbound_judged {
            return;
        }
        let mut bound = Vec::new();
        let mut unbound = Vec::new();
        for unknown in self.unknown() {
            if unknown.addresses.is_some() { bound.push(unknown) } else { unbound.push(unknown) }
        }
        for unknown in bound {
            let by: Vec<String> = unknown.by.iter().cloned().collect();
            let verb = if by.len() == 1 { "connects" } else { "connect" };
            let message = format!(
                "{} {verb} to `{}`, and the site does not say {} of these hosts: {}",
                some(&by),
                unknown.role,
                some(&unknown.guessed.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>()),
                unknown.taken()
            );
            let each = if unknown.told.is_some() { "" } else { ", an entry for each host that differs" };
            let hint = format!("say it{each}: `remote: [{}]`", self.entry(&unknown));
            out.push(self.site.text.warning(unknown.at, message).with_hint(hint));
        }
        if let Some(first) = unbound.first() {
            let roles: Vec<String> = unbound.iter().map(|one| format!("`{}` ({})", one.role, one.taken())).collect();
            let message = format!("no address is bound for hosts to which this one connects: {}", roles.join(", "));
            let entries: Vec<String> = unbound.iter().map(|one| self.entry(one)).collect();
            let hint = format!("where there are such hosts: `remote: [{}]`", entries.join(", "));
            out.push(self.site.text.warning(first.at, message).with_hint(hint));
        }
    }

    fn unknown(&self) -> Vec<Unknown<'_>> {
        /// The role, the addresses by name, and the entry that tells of them.
        type Key<'a> = (&'a str, Option<Vec<String>>, Option<usize>);
        let mut found: BTreeMap<Key<'_>, Unknown<'_>> = BTreeMap::new();
        for by in &self.site.roles {
            let mut hosts: BTreeMap<&str, Vec<Elsewhere>> = BTreeMap::new();
            let derived = self.catalogue.derived(&by.role);
            for one in derived.into_iter().filter(|one| one.origin == Origin::Inverse) {
                let name = one.role.name.as_str();
                let hosts = hosts.entry(name).or_insert_with(|| elsewhere(self.site, self.catalogue, by, name));
                for host in hosts.iter() {
                    let matter = guessed(host, one.service);
                    if matter.is_empty() {
                        continue;
                    }
                    let entry = host.told.map(|index| &self.site.remotes[index]);
                    let role = entry.map_or(one.role.name.as_str(), |entry| &entry.role);
                    let key = (role, host.remote.names.clone(), host.told);
                    let unknown = found.entry(key).or_insert_with(|| Unknown {
                        at: entry.map_or(by.at, |entry| entry.at),
                        role,
                        told: host.told,
                        addresses: self.addresses(host),
                        ..Unknown::default()
                    });
                    unknown.by.insert(format!("`{}`", by.role));
                    for name in matter {
                        let values = host.values.get(name).cloned().unwrap_or_default();
                        let known = unknown.guessed.entry(name.to_owned()).or_default();
                        known.extend(values.into_iter().filter(|value| !known.contains(value)).collect::<Vec<_>>());
                    }
                }
            }
        }
        found.into_values().collect()
    }

    /// The addresses of hosts, where they are not any: those behind a peer, or those that are written out.
    fn addresses(&self, host: &Elsewhere) -> Option<Vec<String>> {
        let names = host.remote.names.as_ref()?;
        let is_peer = names.iter().any(|name| self.site.peers.contains_key(name));
        if !is_peer && names.len() > MOST_ADDRESSES {
            return Some(names.clone());
        }
        // Hosts that are neighbours differ in their side: each is written by itself.
        let prefixes = host.remote.prefixes.iter().flat_map(|prefixes| prefixes.iter());
        let hosts = prefixes.flat_map(|net| match net.max_prefix_len() - net.prefix_len() {
            ..=2 => net.subnets(net.max_prefix_len()).map_or_else(|_| vec![*net], Iterator::collect),
            _ => vec![*net],
        });
        Some(hosts.map(|net| written(&net)).collect())
    }

    /// The entry of `remote` that says what is not known.
    fn entry(&self, unknown: &Unknown<'_>) -> String {
        let told = unknown.told.map(|index| &self.site.remotes[index]);
        let said = told.into_iter().flat_map(|entry| &entry.settings);
        let said = said.map(|(name, setting)| format!(", {name}: {setting}"));
        let open = unknown.guessed.iter().map(|(name, values)| match values.as_slice() {
            [one] => format!(", {name}: {one}"),
            _ => format!(", {name}: …"),
        });
        let settings: String = said.chain(open).collect();
        let addresses = unknown.addresses.as_ref().filter(|list| list.len() <= MOST_ADDRESSES);
        let addresses = addresses.map_or_else(
            || "…".to_owned(),
            |list| {
                let quoted = |one: &String| if one.contains(':') { format!("\"{one}\"") } else { one.clone() };
                list.iter().map(quoted).collect::<Vec<_>>().join(", ")
            },
        );
        format!("{{role: {}{settings}, addresses: [{addresses}]}}", unknown.role)
    }
}

impl Unknown<'_> {
    /// "ports for instance 1, side a and b are a guess".
    fn taken(&self) -> String {
        let (missing, guessed): (Vec<_>, Vec<_>) = self.guessed.iter().partition(|(_, values)| values.is_empty());
        let guessed: Vec<String> =
            guessed.into_iter().map(|(name, values)| format!("{name} {}", listed(values))).collect();
        let missing: Vec<String> = missing.into_iter().map(|(name, _)| format!("`{name}`")).collect();
        let mut words = Vec::new();
        if !guessed.is_empty() {
            words.push(format!("ports for {} are permitted, which is a guess", guessed.join("; ")));
        }
        if !missing.is_empty() {
            words.push(format!("ports that depend on {} are not permitted", some(&missing)));
        }
        words.join("; ")
    }
}

/// The parameters that decide on which ports a service is, and that nobody has said.
fn guessed<'s>(host: &Elsewhere, service: &'s Service) -> Vec<&'s str> {
    service.parameters().into_iter().filter(|name| host.guessed.contains(*name)).collect()
}

/// Values as a person writes them: numbers without a gap as a range.
fn listed(values: &[Setting]) -> String {
    let number = |value: &Setting| match value {
        Setting::Integer(number) => u16::try_from(*number).ok().map(|number| number..=number),
        Setting::Choice(_) | Setting::Ports(_) => None,
    };
    match values.iter().map(number).collect::<Option<Vec<_>>>() {
        Some(numbers) => format_ranges(&merge_ranges(numbers)),
        None => some(&values.iter().map(ToString::to_string).collect::<Vec<_>>()),
    }
}
