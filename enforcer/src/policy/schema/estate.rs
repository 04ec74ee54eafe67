//! Shape of an estate.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::site::{Echo, Ephemeral, Flows, Interface, Limit, Mode, Modes, Outbound, Role, RuleDirection, Scope};
use super::{OneOrMore, Scalar};

/// An estate: the hosts of a contact centre, their roles and addresses, and the remote devices that they talk to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EstateFile {
    /// Its name.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,63}$"))]
    pub estate: String,
    /// Release of the products; `check` warns when a role is described for another.
    pub release: Option<String>,
    /// What holds for hosts that say nothing else.
    pub defaults: Option<Defaults>,
    /// Remote devices that are no hosts of the estate: addresses, prefixes, hosts and other names.
    #[serde(default)]
    pub outside: BTreeMap<String, Option<OneOrMore<String>>>,
    /// The hosts by name.
    pub hosts: BTreeMap<String, Host>,
    /// Services that the document leaves open, narrowed on every host that has them.
    #[serde(default)]
    pub limit: Vec<Limit>,
    /// What is permitted beside the roles.
    #[serde(default)]
    pub allow: Vec<Rule>,
    /// What is refused, whatever permits it.
    #[serde(default)]
    pub deny: Vec<Rule>,
    /// What must hold; `check` fails where it does not.
    #[serde(default)]
    pub tests: Vec<Test>,
}

/// What a host may say of itself, for all hosts that do not.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Release of the products.
    pub release: Option<String>,
    /// Interfaces to protect. Default: all but the loopback.
    pub interfaces: Option<OneOrMore<Interface>>,
    /// Whether what is refused is dropped (`enforce`) or counted (`audit`).
    pub mode: Option<Modes>,
    /// Whether what leaves is judged by the roles' connections (`role`) or not at all (`open`).
    pub outbound: Option<Outbound>,
    /// Whether the operating system's ephemeral range is met by flow tracking (`tracked`) or opened.
    pub ephemeral: Option<Ephemeral>,
    /// Who may ping.
    pub icmp_echo: Option<Echo>,
    /// Whose packets are judged.
    pub scope: Option<Scope>,
    /// Flow table: size and timeouts.
    pub flows: Option<Flows>,
}

/// A host.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its addresses.
    pub addresses: OneOrMore<String>,
    /// Those of its addresses that another host has, too.
    pub shared: Option<OneOrMore<String>>,
    /// The cluster that it is a node of.
    pub cluster: Option<String>,
    /// The HTTPS network that it is in.
    pub network: Option<String>,
    /// The machines on which it runs as a guest: it is protected there.
    pub behind: Option<OneOrMore<Behind>>,
    /// What protects it.
    pub by: Option<By>,
    /// Its roles.
    pub roles: Option<OneOrMore<Role>>,
    /// Interfaces to protect. Default: all but the loopback.
    pub interfaces: Option<OneOrMore<Interface>>,
    /// Mode of this host.
    pub mode: Option<Modes>,
    /// Whether what leaves is judged.
    pub outbound: Option<Outbound>,
    /// The operating system's ephemeral range.
    pub ephemeral: Option<Ephemeral>,
    /// Who may ping.
    pub icmp_echo: Option<Echo>,
    /// Whose packets are judged.
    pub scope: Option<Scope>,
    /// Flow table: size and timeouts.
    pub flows: Option<Flows>,
    /// Release of the products on this host.
    pub release: Option<String>,
}

/// A machine by name, or with the port of the guest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Behind {
    /// Its name.
    Name(String),
    /// Its name, and how the guest is found there.
    Port(BehindPort),
}

/// A machine, and how the guest is found there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BehindPort {
    /// The machine, which is a host of the estate.
    pub host: String,
    /// The port of the guest, such as `vnet3`.
    pub interface: Option<String>,
    /// The link address of the guest.
    pub mac: Option<String>,
}

/// What protects a host.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// This program.
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

/// An entry of `allow` or `deny`, and the hosts that have it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique among `allow` and `deny`: the rule is `site/NAME`.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,63}$"))]
    pub name: String,
    /// Hosts, roles and clusters. Default: every host with a role.
    pub hosts: Option<OneOrMore<String>>,
    /// `in` (the default) or `out`, seen from these hosts.
    pub direction: Option<RuleDirection>,
    /// Name or number of an IP protocol.
    pub protocol: Option<Scalar>,
    /// Ports and ranges, or `any`.
    pub ports: Option<OneOrMore<Scalar>>,
    /// Instead of a protocol: what is not IP, such as `0x8892`.
    pub ethertype: Option<Scalar>,
    /// Who connects: hosts, peers, addresses, prefixes; `any` is the default.
    pub from: Option<OneOrMore<String>>,
    /// Where these hosts connect (`direction: out`).
    pub to: Option<OneOrMore<String>>,
    /// In audit, what this entry refuses is counted, while the rest of the host enforces.
    pub mode: Option<Mode>,
    /// Why it is there.
    pub reason: Option<String>,
    /// The last day on which it holds.
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub expires: Option<String>,
}

/// What must hold: one protocol and port, from one end to the other.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// A host, a name of `outside`, an address or a prefix.
    pub from: String,
    /// The same. One of both is a host.
    pub to: String,
    /// TCP port.
    pub tcp: Option<u16>,
    /// UDP port.
    pub udp: Option<u16>,
    /// SCTP port.
    pub sctp: Option<u16>,
    /// A protocol without ports; `icmp` is ping.
    pub protocol: Option<Scalar>,
    /// Whether it passes both ends, or is refused at one.
    pub expect: Expected,
}

/// The verdict that is expected.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// It passes.
    Pass,
    /// It is refused.
    Drop,
}
