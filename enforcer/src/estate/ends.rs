//! Every host of an estate with its compiled rules, and what they let out and in between two of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::thread;

use enforcer_common::Direction;
use ipnet::IpNet;
use jiff::civil::Date;

use super::ports::{Ports, without};
use crate::policy::catalogue::{Catalogue, merge_ranges};
use crate::policy::compile::{Error, compile};
use crate::policy::estate::{Estate, Host, site};
use crate::policy::ruleset::{Action, Match, Rule};
use crate::policy::site::Site;
use crate::text::diagnostic::Diagnostic;

/// A host with what its policy compiles to.
#[derive(Debug)]
pub struct End<'e> {
    /// The host.
    pub host: &'e Host,
    /// Its site.
    pub site: Site,
    /// Every rule, in the documented order.
    pub rules: Vec<Rule>,
    /// What the operator should know of this host alone.
    pub warnings: Vec<Diagnostic>,
    /// Hash of the policy.
    pub policy_hash: String,
}

/// All hosts of an estate that have a policy.
#[derive(Debug)]
pub struct Ends<'e> {
    /// The estate.
    pub estate: &'e Estate,
    /// The catalogue.
    pub catalogue: &'e Catalogue,
    /// The hosts, by name.
    pub hosts: BTreeMap<&'e str, End<'e>>,
    owners: BTreeMap<IpAddr, Vec<&'e str>>,
}

/// A host cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {cause}")]
pub struct HostError {
    /// Its name.
    pub host: String,
    /// Why.
    pub cause: Error,
}

impl<'e> Ends<'e> {
    /// Compiles every host. `today` decides which rules have expired.
    ///
    /// # Errors
    ///
    /// A host with more rules than tables can name.
    pub fn new(estate: &'e Estate, catalogue: &'e Catalogue, today: Date) -> Result<Self, HostError> {
        let hosts: Vec<&Host> = estate.hosts.values().filter(|host| estate.has_policy(host)).collect();
        let workers = thread::available_parallelism().map_or(1, usize::from).min(8);
        let share = hosts.len().div_ceil(workers).max(1);
        let compiled = thread::scope(|scope| {
            let running: Vec<_> = hosts
                .chunks(share)
                .map(|some| {
                    scope.spawn(move || {
                        some.iter().map(|host| End::new(estate, catalogue, host, today)).collect::<Vec<_>>()
                    })
                })
                .collect();
            running
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<Vec<_>>()
        });
        let mut ends = Self { estate, catalogue, hosts: BTreeMap::new(), owners: BTreeMap::new() };
        for end in compiled {
            let end = end?;
            for address in &end.host.addresses {
                ends.owners.entry(*address).or_default().push(&end.host.name);
            }
            ends.hosts.insert(&end.host.name, end);
        }
        Ok(ends)
    }

    /// The hosts with an address that one of these prefixes covers, but for this host.
    pub(super) fn within(&self, prefixes: &[IpNet], but: &str) -> Vec<&End<'e>> {
        let mut names: Vec<&str> = Vec::new();
        for net in prefixes {
            let owners = self.owners.range(net.network()..=net.broadcast());
            names.extend(owners.flat_map(|(_, owners)| owners).filter(|name| **name != but));
        }
        names.sort_unstable();
        names.dedup();
        names.into_iter().filter_map(|name| self.hosts.get(name)).collect()
    }
}

impl<'e> End<'e> {
    fn new(estate: &'e Estate, catalogue: &Catalogue, host: &'e Host, today: Date) -> Result<Self, HostError> {
        let site = site(estate, catalogue, host);
        let compiled =
            compile(&site, catalogue, today).map_err(|cause| HostError { host: host.name.clone(), cause })?;
        let (ruleset, warnings) = (compiled.ruleset, compiled.warnings);
        // The tables of hundreds of hosts are large, and what two hosts let pass is asked of the rules.
        Ok(Self { host, site, rules: ruleset.rules, warnings, policy_hash: ruleset.hash })
    }

    /// The pairs of addresses by which this host reaches another one.
    pub(super) fn ways(&self, to: &End<'_>) -> Vec<(IpAddr, IpAddr)> {
        let mut ways: Vec<(IpAddr, IpAddr)> = Vec::new();
        for to in &to.host.addresses {
            let fitting = self.host.addresses.iter().filter(|from| from.is_ipv4() == to.is_ipv4() && *from != to);
            ways.extend(fitting.map(|from| (*from, *to)));
        }
        ways
    }

    /// The ports of a protocol that the policy permits between this host and an address.
    pub(super) fn permits(&self, direction: Direction, protocol: u8, remote: IpAddr) -> Ports {
        let mut permitted = Vec::new();
        let mut denied = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.direction == direction && covers(rule, remote)) {
            let Match::Ports { protocol: of, ports } = &rule.matches else { continue };
            if *of != protocol {
                continue;
            }
            match rule.action {
                Action::Permit => permitted.extend(ports.iter().cloned()),
                Action::Deny => denied.extend(ports.iter().cloned()),
                Action::Internal => {}
            }
        }
        without(&merge_ranges(permitted), &merge_ranges(denied))
    }
}

/// Whether a rule is for an address.
pub(super) fn covers(rule: &Rule, remote: IpAddr) -> bool {
    rule.prefixes.as_ref().is_none_or(|prefixes| holds(prefixes, remote))
}

/// Whether sorted prefixes, none inside another, cover an address.
pub(super) fn holds(prefixes: &[IpNet], address: IpAddr) -> bool {
    let net = IpNet::from(address);
    let after = prefixes.partition_point(|prefix| *prefix <= net);
    prefixes[..after].last().is_some_and(|prefix| prefix.contains(&address))
}
