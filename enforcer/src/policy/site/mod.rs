//! The site: which roles a host has, on which interfaces, with which parameters and peers, and what its operator adds.
//!
//! A [`Site`] is made from a YAML file or from the command line, by the same code and with the same errors. It is bound to a
//! catalogue: its roles exist, their parameters are complete and within range, its peers are addresses.

mod binding;
mod claims;
mod limit;
mod load;
mod moved;
mod peers;
mod read;
mod remote;
mod rules;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use enforcer_common::{Direction, Mode};
use ipnet::IpNet;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

pub(in crate::policy) use binding::role as read_role;
pub(in crate::policy) use claims::mac as read_mac;
pub(in crate::policy) use limit::{Known as KnownForLimits, limits as read_limits};
pub use load::{Error, load, read};
pub(in crate::policy) use load::{decode, named_bytes};
pub(crate) use peers::aggregated;
pub(in crate::policy) use peers::{Definition, Peers, cycles};
pub use read::HostKeys;
pub(crate) use read::from_tree;
pub(in crate::policy) use read::{host_keys, interfaces as read_interfaces};
pub(in crate::policy) use rules::rule as read_rule;
pub(in crate::policy) use values::{Written, name as read_name, written as read_written};
pub use values::{parse_ethertype, parse_protocol, protocol_name};

use crate::policy::catalogue::Settings;
use crate::policy::claims::Claims;
use crate::policy::modes::{Protects, SaidModes};
use crate::policy::ruleset::{FlowSettings, Match, Scope};
use crate::text::diagnostic::{Position, Text};

/// A site, bound to a catalogue.
#[derive(Clone, Debug)]
pub struct Site {
    /// The text it was read from, for messages.
    pub text: Arc<Text>,
    /// The estate that it belongs to, and its host there.
    pub estate: Option<OfEstate>,
    /// Protected interfaces; empty where the command line named none.
    pub interfaces: Vec<Interface>,
    /// Where the site names them.
    pub interface_places: BTreeMap<String, Position>,
    /// Modes of the whole host, where the site says something.
    pub mode: SaidModes,
    /// Roles, in the order of the file.
    pub roles: Vec<RoleUse>,
    /// Peers that have addresses: sorted prefixes, none inside another.
    pub peers: BTreeMap<String, Arc<[IpNet]>>,
    /// Peers of which the site says that there are none (`none`): what is only for them is for nobody.
    pub nobody: BTreeSet<String>,
    /// Where the site defines each of its peers, those without addresses included.
    pub peer_places: BTreeMap<String, Position>,
    /// Peers of which others are made.
    pub peer_names: BTreeSet<String>,
    /// `outbound: role` judges what leaves by the roles' connections; `open` does not judge it.
    pub outbound_judged: bool,
    /// `ephemeral: open` opens the ranges that describe the operating system's own clients.
    pub ephemeral_open: bool,
    /// Who may ping.
    pub icmp_echo: Echo,
    /// Whose packets are judged; `None` where the site does not say.
    pub scope: Option<Scope>,
    /// Flow table.
    pub flows: FlowSettings,
    /// Release of the products on this host, and where the site names it.
    pub release: Option<(String, Position)>,
    /// What the operator allows and denies beside the roles.
    pub rules: Vec<SiteRule>,
    /// Open services of the roles that the operator narrows, by `role/service`.
    pub limits: BTreeMap<String, Limit>,
    /// Hosts with other roles, of which the site knows the parameters.
    pub remotes: Vec<RemoteHost>,
}

/// The host of an estate that a site is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OfEstate {
    /// Name of the estate.
    pub estate: String,
    /// Name of the host.
    pub host: String,
}

/// Services on other ports than the document's, by `role/service`.
pub type Moved = BTreeMap<String, Vec<RangeInclusive<u16>>>;

/// An open service that is narrowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Who may still use it, if the service permits them.
    pub remotes: Vec<Remote>,
    /// Why it is there.
    pub reason: Option<String>,
    /// Where it stands.
    pub at: Position,
}

/// Hosts with a role that connections of this host lead to.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteHost {
    /// Name of the role in the catalogue.
    pub role: String,
    /// Parameters that the site says, and no others.
    pub settings: Settings,
    /// Services that these hosts have on other ports.
    pub moved: Moved,
    /// Addresses of these hosts: sorted prefixes, none inside another.
    pub addresses: Arc<[IpNet]>,
    /// Where the site names the role.
    pub at: Position,
}

/// A protected interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Name, as the kernel has it, or a pattern: `*` stands for any characters, `?` for one.
    pub name: String,
    /// On which side of it the role runs.
    pub protects: Protects,
    /// Modes of this interface, over those of the host.
    pub mode: SaidModes,
    /// Scope of this interface, over that of the host.
    pub scope: Option<Scope>,
    /// What a guest behind it may claim to be.
    pub claims: Claims,
}

/// Who may ping this host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Echo {
    /// Anybody.
    Any,
    /// Every address of every bound peer.
    Peers,
    /// Nobody.
    Nobody,
}

/// A role of this host.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleUse {
    /// Its name in the catalogue.
    pub role: String,
    /// Every parameter of it and of the roles it includes.
    pub settings: Settings,
    /// Services that this host has on other ports.
    pub moved: Moved,
    /// Mode of its own.
    pub mode: Option<Mode>,
    /// Where the site names it.
    pub at: Position,
}

/// An entry of `allow` or `deny`.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteRule {
    /// Name; the rule is `site/NAME`.
    pub name: String,
    /// An entry of `deny`.
    pub deny: bool,
    /// Direction.
    pub direction: Direction,
    /// What it matches.
    pub matches: Match,
    /// The remote side; `None`: any.
    pub remotes: Option<Vec<Remote>>,
    /// Mode of its own.
    pub mode: Option<Mode>,
    /// Why it is there.
    pub reason: Option<String>,
    /// The last day on which it holds.
    pub expires: Option<Date>,
    /// Where it stands.
    pub at: Position,
}

/// A remote side that an entry of `allow` or `deny` names.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Remote {
    /// A peer.
    Peer(String),
    /// Addresses.
    Net(IpNet),
}

/// As a site file has it: a single address without a length.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(name) => f.write_str(name),
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Net(net) => write!(f, "{net}"),
        }
    }
}

impl Remote {
    /// The name of a peer.
    #[must_use]
    pub fn peer(&self) -> Option<&str> {
        match self {
            Self::Peer(name) => Some(name),
            Self::Net(_) => None,
        }
    }
}

impl Interface {
    /// Whether the name is a pattern.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.name.contains(['*', '?'])
    }

    /// Whether it speaks of the interface with this name. No pattern speaks of the loopback interface.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        if self.is_pattern() { name != "lo" && WildMatch::new(&self.name).matches(name) } else { self.name == name }
    }
}

impl Site {
    /// What the site says of the interface with this name: by name, else by the first pattern that fits.
    #[must_use]
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        let exact = self.interfaces.iter().find(|one| one.name == name && !one.is_pattern());
        exact.or_else(|| self.interfaces.iter().find(|one| one.covers(name)))
    }

    /// What the site says of an interface's modes: its own, else the host's.
    #[must_use]
    pub fn modes_of(&self, interface: &Interface) -> SaidModes {
        SaidModes {
            inbound: interface.mode.inbound.or(self.mode.inbound),
            outbound: interface.mode.outbound.or(self.mode.outbound),
        }
    }

    /// What the site says of an interface's scope: its own, else the host's.
    #[must_use]
    pub fn scope_of(&self, interface: &Interface) -> Option<Scope> {
        interface.scope.or(self.scope)
    }
}

/// A single address as the prefix that holds only it; an IPv4 address inside IPv6 (RFC 4291, 2.5.5.2) as IPv4.
pub(crate) fn host(address: IpAddr) -> IpNet {
    IpNet::from(address.to_canonical())
}

/// Name of the text that flags make.
pub(crate) const COMMAND_LINE: &str = "<command line>";

/// Every port.
pub(crate) const ALL_PORTS: RangeInclusive<u16> = 0..=u16::MAX;
