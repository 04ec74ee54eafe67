//! The estate: one file that says who is who, and a site for each of its hosts.
//!
//! Reading, deriving and rendering are pure: equal input gives equal output. Everything that is wrong with an estate is found when
//! it is read ([`read`]), so that a [`Site`](crate::policy::site::Site) of a host can always be made.

mod behind;
mod bound;
mod csv;
mod derive;
mod host;
mod load;
mod names;
mod outside;
mod read;
mod render;
mod rules;
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use csv::{Error as CsvError, from_csv};
pub use derive::site;
pub use load::{Input, is_estate, load, read};
pub use render::render;

use crate::policy::claims::Mac;
use crate::policy::site::{HostKeys, Interface, Limit, RoleUse, SiteRule};
use crate::text::diagnostic::{Position, Text};

/// An estate, bound to a catalogue.
#[derive(Clone, Debug)]
pub struct Estate {
    /// The text it was read from, for messages.
    pub text: Arc<Text>,
    /// Its name.
    pub name: String,
    /// Where it is named.
    pub at: Position,
    /// What holds for hosts that say nothing else.
    pub defaults: Defaults,
    /// Remote devices that are no hosts of the estate, by name.
    pub outside: BTreeMap<String, Outside>,
    /// The hosts by name.
    pub hosts: BTreeMap<String, Host>,
    /// Open services that are narrowed, by `role/service`.
    pub limits: BTreeMap<String, Limit>,
    /// What is allowed and denied beside the roles.
    pub rules: Vec<EstateRule>,
    /// What must hold.
    pub tests: Vec<Test>,
}

/// What a host may say, and `defaults:` for all that do not.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Mode, scope, flows and the like.
    pub keys: HostKeys,
    /// Protected interfaces.
    pub interfaces: Vec<Interface>,
}

/// Remote devices under a name.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Their addresses, in the order of addresses, each with the name of `outside:` or the host that it comes through.
    pub nets: BTreeMap<IpNet, Option<String>>,
    /// Where the name stands.
    pub at: Position,
}

/// A host of the estate.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Where it is named.
    pub at: Position,
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Those that another host has, too.
    pub shared: BTreeSet<IpAddr>,
    /// The cluster that it is a node of.
    pub cluster: Option<String>,
    /// The HTTPS network that it is in.
    pub network: Option<String>,
    /// The machines on which it runs as a guest.
    pub behind: Vec<Behind>,
    /// What protects it.
    pub by: By,
    /// Its roles.
    pub roles: Vec<RoleUse>,
    /// What it says of itself.
    pub own: Defaults,
}

/// A machine on which a host runs as a guest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Behind {
    /// The machine, which is a host of the estate.
    pub host: String,
    /// The port of the guest there.
    pub interface: Option<String>,
    /// The hardware address of the guest.
    pub mac: Option<Mac>,
    /// Where the entry stands.
    pub at: Position,
}

/// What protects a host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum By {
    /// This program, on the host or in front of it.
    #[default]
    Enforcer,
    /// Windows Firewall.
    Windows,
    /// An access list of a router.
    Ios,
    /// nftables.
    Nft,
    /// iptables.
    Iptables,
}

impl By {
    /// All of them with the words used in files.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("enforcer", Self::Enforcer),
        ("windows", Self::Windows),
        ("ios", Self::Ios),
        ("nft", Self::Nft),
        ("iptables", Self::Iptables),
    ];

    /// The word used in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforcer => "enforcer",
            Self::Windows => "windows",
            Self::Ios => "ios",
            Self::Nft => "nft",
            Self::Iptables => "iptables",
        }
    }
}

/// An entry of `allow` or `deny`, and the hosts that have it.
#[derive(Clone, Debug)]
pub struct EstateRule {
    /// The entry.
    pub rule: SiteRule,
    /// What `hosts:` lists; none: every host.
    pub selectors: Vec<String>,
    /// The hosts.
    pub hosts: BTreeSet<String>,
    /// The entry without `hosts:`, on one line, as a site file has it.
    pub written: String,
}

/// An entry of `tests:`.
#[derive(Clone, Debug)]
pub struct Test {
    /// Who connects: a host, a peer or a name of `outside:`, or addresses.
    pub from: String,
    /// Their addresses.
    pub sources: Vec<IpNet>,
    /// Where to.
    pub to: String,
    /// The addresses.
    pub destinations: Vec<IpNet>,
    /// IP protocol.
    pub protocol: u8,
    /// Port, of protocols that have one.
    pub port: Option<u16>,
    /// Whether it must pass.
    pub passes: bool,
    /// Where the entry stands.
    pub at: Position,
}

impl Estate {
    /// The hosts with one of these addresses.
    #[must_use]
    pub fn hosts_with(&self, addresses: &BTreeSet<IpAddr>) -> Vec<&Host> {
        self.hosts.values().filter(|host| !host.addresses.is_disjoint(addresses)).collect()
    }

    /// Whether there is anything to enforce for a host: a machine that only carries guests has no policy.
    #[must_use]
    pub fn has_policy(&self, host: &Host) -> bool {
        !host.roles.is_empty() || self.rules.iter().any(|rule| rule.hosts.contains(&host.name))
    }

    /// The guests that run on a machine.
    #[must_use]
    pub fn guests_of(&self, host: &str) -> Vec<&Host> {
        self.hosts.values().filter(|guest| guest.behind.iter().any(|behind| behind.host == host)).collect()
    }
}
