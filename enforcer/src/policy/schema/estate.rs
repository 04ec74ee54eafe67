//! Shape of an estate.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::site::{Echo, Ephemeral, Flows, Interface, Limit, Mode, Modes, Outbound, Role, RuleDirection, Scope};
use super::{OneOrMore, Scalar};

/// Estate file of enforcer: the hosts of a contact centre, their roles and addresses, and the remote devices that they talk to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Estate file of enforcer")]
pub struct EstateFile {
    /// Name of the estate. Rendered site files and applied policies carry this name.
    #[schemars(title = "Name of the estate")]
    #[schemars(extend("examples" = ["production"]))]
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,63}$"))]
    pub estate: String,
    /// Release of the products, in quotes. `enforcer check` warns if a role is described for another release.
    #[schemars(title = "Product release")]
    #[schemars(extend("examples" = ["12.6(2)"]))]
    pub release: Option<String>,
    /// Settings for every host that does not set the same key.
    #[schemars(title = "Defaults for all hosts")]
    pub defaults: Option<Defaults>,
    /// Addresses of remote devices that are not hosts of the estate: addresses, prefixes, hosts and other names of `outside`.
    #[schemars(title = "Remote devices")]
    #[schemars(extend("examples" = [{"phones": ["10.20.0.0/16"], "domain-controllers": ["10.2.0.10"]}]))]
    #[serde(default)]
    pub outside: BTreeMap<String, Option<OneOrMore<String>>>,
    /// The hosts, by name. A host cannot have the name of a peer, a role or an entry of `outside`.
    #[schemars(title = "Hosts")]
    pub hosts: BTreeMap<String, Host>,
    /// Services that the document leaves open, narrowed on every host that has them: only the sources in `from` reach them.
    #[schemars(title = "Narrowed services")]
    #[serde(default)]
    pub limit: Vec<Limit>,
    /// Entries that permit traffic in addition to the roles, with the `hosts` that have each entry.
    #[schemars(title = "Additional permissions")]
    #[serde(default)]
    pub allow: Vec<Rule>,
    /// Entries that refuse traffic even if another rule permits it, with the `hosts` that have each entry.
    #[schemars(title = "Refusals")]
    #[serde(default)]
    pub deny: Vec<Rule>,
    /// Conversations that must pass or must be refused. `enforcer check` fails if one does not.
    #[schemars(title = "Tests")]
    #[serde(default)]
    pub tests: Vec<Test>,
}

/// Settings for every host that does not set the same key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Defaults for all hosts")]
pub struct Defaults {
    /// Release of the products, in quotes. `enforcer check` warns if a role is described for another release.
    #[schemars(title = "Product release")]
    #[schemars(extend("examples" = ["12.6(2)"]))]
    pub release: Option<String>,
    /// Interfaces to protect: names, patterns such as `eth*`, or mappings with settings. Left out: all but the loopback.
    #[schemars(title = "Protected interfaces")]
    #[schemars(extend("examples" = [["eth0"]]))]
    pub interfaces: Option<OneOrMore<Interface>>,
    /// What happens to refused packets: `audit` counts them, `enforce` drops them. A mapping sets each direction.
    #[schemars(title = "Audit or enforce")]
    pub mode: Option<Modes>,
    /// Which packets may leave: `open` permits all of them, `role` permits the connections of the roles and the entries with
    /// `direction: out`.
    #[schemars(title = "Judging outbound packets")]
    pub outbound: Option<Outbound>,
    /// For document rows that only describe the ephemeral port range of the operating system: `tracked` permits replies by flow
    /// tracking, `open` opens the range.
    #[schemars(title = "Ephemeral port range")]
    pub ephemeral: Option<Ephemeral>,
    /// Who may ping: `any`, `peers` (every address of every peer) or `none`.
    #[schemars(title = "Who may ping")]
    pub icmp_echo: Option<Echo>,
    /// Which packets are judged: `all` that arrive, or only those addressed to the `host`. A host that forwards must set it.
    #[schemars(title = "Judged packets")]
    pub scope: Option<Scope>,
    /// Size and timeouts of the flow table. Durations are seconds, or written as `180s` or `2h`.
    #[schemars(title = "Flow table")]
    pub flows: Option<Flows>,
}

/// A host of the estate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Host")]
pub struct Host {
    /// Addresses of the host. Two hosts cannot have one address, unless both list it under `shared`.
    #[schemars(title = "Addresses")]
    #[schemars(extend("examples" = [["10.1.1.10"], ["10.1.1.10", "2001:db8::10"]]))]
    pub addresses: OneOrMore<String>,
    /// Addresses of the host that another host has, too, such as the virtual address of a pair.
    #[schemars(title = "Shared addresses")]
    pub shared: Option<OneOrMore<String>>,
    /// The cluster of which the host is a node. The peer `cluster` means the other nodes.
    #[schemars(title = "Cluster")]
    #[schemars(extend("examples" = ["cuc"]))]
    pub cluster: Option<String>,
    /// The HTTPS network of the host. The peer `https-networking` means the other hosts in this network.
    #[schemars(title = "HTTPS network")]
    pub network: Option<String>,
    /// The machines on which the host runs as a guest, each with the port of the guest. The host is protected on that port.
    #[schemars(title = "Machines of a guest")]
    pub behind: Option<OneOrMore<Behind>>,
    /// What protects the host: `enforcer`, or the firewall for which `enforcer render` writes a file. Left out: `enforcer`.
    #[schemars(title = "What protects the host")]
    #[schemars(extend("default" = "enforcer"))]
    pub by: Option<By>,
    /// Roles of the host: names, or mappings with parameters. A host without roles only carries guests.
    #[schemars(title = "Roles")]
    #[schemars(extend("examples" = [["unity-connection"]]))]
    pub roles: Option<OneOrMore<Role>>,
    /// Interfaces to protect: names, patterns such as `eth*`, or mappings with settings. Left out: those of `defaults`, or all but the loopback.
    #[schemars(title = "Protected interfaces")]
    #[schemars(extend("examples" = [["eth0"]]))]
    pub interfaces: Option<OneOrMore<Interface>>,
    /// What happens to refused packets: `audit` counts them, `enforce` drops them. A mapping sets each direction.
    #[schemars(title = "Audit or enforce")]
    pub mode: Option<Modes>,
    /// Which packets may leave: `open` permits all of them, `role` permits the connections of the roles and the entries with
    /// `direction: out`.
    #[schemars(title = "Judging outbound packets")]
    pub outbound: Option<Outbound>,
    /// For document rows that only describe the ephemeral port range of the operating system: `tracked` permits replies by flow
    /// tracking, `open` opens the range.
    #[schemars(title = "Ephemeral port range")]
    pub ephemeral: Option<Ephemeral>,
    /// Who may ping: `any`, `peers` (every address of every peer) or `none`.
    #[schemars(title = "Who may ping")]
    pub icmp_echo: Option<Echo>,
    /// Which packets are judged: `all` that arrive, or only those addressed to the `host`. A host that forwards must set it.
    #[schemars(title = "Judged packets")]
    pub scope: Option<Scope>,
    /// Size and timeouts of the flow table. Durations are seconds, or written as `180s` or `2h`.
    #[schemars(title = "Flow table")]
    pub flows: Option<Flows>,
    /// Release of the products on this host, in quotes. `enforcer check` warns if a role is described for another release.
    #[schemars(title = "Product release")]
    #[schemars(extend("examples" = ["12.6(2)"]))]
    pub release: Option<String>,
}

/// A machine by name, or a mapping with the port of the guest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Behind {
    /// Name of the machine.
    Name(String),
    /// Name of the machine, and the port of the guest there.
    Port(BehindPort),
}

/// A machine, and the port of the guest there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Machine with the port of the guest")]
pub struct BehindPort {
    /// The machine on which the guest runs: a host of the estate.
    #[schemars(title = "Machine")]
    pub host: String,
    /// The port of the guest on that machine, such as `vnet3`.
    #[schemars(title = "Port of the guest")]
    #[schemars(extend("examples" = ["vnet3"]))]
    pub interface: Option<String>,
    /// The hardware address of the guest. If `interface` is left out, the machine finds the port by this address.
    #[schemars(title = "Hardware address")]
    #[schemars(extend("examples" = ["52:54:00:12:34:56"]))]
    pub mac: Option<String>,
}

/// What protects a host.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// `enforcer` on the host itself, or on the machine that carries it.
    Enforcer,
    /// Windows Firewall, by a PowerShell script.
    Windows,
    /// An access list of a router.
    Ios,
    /// nftables, by a rule set.
    Nft,
    /// iptables and ip6tables, by files for their restore commands.
    Iptables,
}

/// An entry of `allow` or `deny`, and the hosts that have this entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Entry of allow or deny")]
pub struct Rule {
    /// Name of the entry, unique among `allow` and `deny`. Its counter is called `site/NAME`.
    #[schemars(title = "Name of the entry")]
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,63}$"))]
    pub name: String,
    /// Hosts, roles and clusters that have this entry. A role also means the roles that include it. Left out: every host with a role.
    #[schemars(title = "Hosts with this entry")]
    #[schemars(extend("examples" = [["finesse"]]))]
    pub hosts: Option<OneOrMore<String>>,
    /// Direction of the conversation, seen from these hosts: `in` or `out`. Left out: `in`.
    #[schemars(title = "Direction")]
    #[schemars(extend("default" = "in"))]
    pub direction: Option<RuleDirection>,
    /// Name or number of an IP protocol. `tcp`, `udp` and `sctp` need `ports`; other protocols take none.
    #[schemars(title = "IP protocol")]
    #[schemars(extend("examples" = ["tcp", "udp"]))]
    pub protocol: Option<Scalar>,
    /// Port, range such as `5060-5199`, list of both, or `any`.
    #[schemars(title = "Ports")]
    #[schemars(extend("examples" = [8443, "5060-5199", "any"]))]
    pub ports: Option<OneOrMore<Scalar>>,
    /// Ethertype for frames that are not IP, such as `0x8892`; takes the place of `protocol`.
    #[schemars(title = "Ethertype")]
    #[schemars(extend("examples" = ["0x8892"]))]
    pub ethertype: Option<Scalar>,
    /// Hosts, peers, addresses and prefixes that may connect to these hosts; only for direction `in`. Left out: `any`.
    #[schemars(title = "Sources")]
    #[schemars(extend("examples" = [["10.9.0.5", "10.30.0.0/16"]]))]
    pub from: Option<OneOrMore<String>>,
    /// Hosts, peers, addresses and prefixes that these hosts may connect to; only for direction `out`. Left out: `any`.
    #[schemars(title = "Destinations")]
    #[schemars(extend("examples" = [["10.8.0.4"]]))]
    pub to: Option<OneOrMore<String>>,
    /// With `audit`, packets that this entry refuses are counted and pass while the rest of the host enforces. Left out: the mode
    /// of the host.
    #[schemars(title = "Mode of this entry")]
    pub mode: Option<Mode>,
    /// A sentence that says why the entry exists, for later readers.
    #[schemars(title = "Reason")]
    pub reason: Option<String>,
    /// The last day on which the entry applies, as YEAR-MONTH-DAY. `enforcer check` warns before and after that day.
    #[schemars(title = "Last day")]
    #[schemars(extend("examples" = ["2027-06-30"]))]
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub expires: Option<String>,
}

/// A conversation that must pass or must be refused: one protocol and port, from one end to the other.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Test")]
pub struct Test {
    /// Where the conversation starts: a host, a name of `outside`, an address or a prefix. One of `from` and `to` must be a host.
    #[schemars(title = "Source")]
    pub from: String,
    /// Where the conversation leads: a host, a name of `outside`, an address or a prefix. One of `from` and `to` must be a host.
    #[schemars(title = "Destination")]
    pub to: String,
    /// TCP port at the destination.
    #[schemars(title = "TCP port")]
    #[schemars(extend("examples" = [8443]))]
    pub tcp: Option<u16>,
    /// UDP port at the destination.
    #[schemars(title = "UDP port")]
    #[schemars(extend("examples" = [5060]))]
    pub udp: Option<u16>,
    /// SCTP port at the destination.
    #[schemars(title = "SCTP port")]
    pub sctp: Option<u16>,
    /// Name or number of a protocol without ports, instead of a port. `icmp` is ping.
    #[schemars(title = "Protocol without ports")]
    #[schemars(extend("examples" = ["icmp"]))]
    pub protocol: Option<Scalar>,
    /// `pass` if the conversation must pass at both ends, `drop` if one end must refuse it.
    #[schemars(title = "Expected verdict")]
    pub expect: Expected,
}

/// The expected verdict.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// The conversation passes at both ends.
    Pass,
    /// One end refuses the conversation.
    Drop,
}
