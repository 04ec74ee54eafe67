//! Shape of a site file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{OneOrMore, Scalar};
use crate::policy::modes::Protects;

/// Site file of enforcer: the roles of a host, the interfaces to protect, parameters, peers, and what the operator adds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Site file of enforcer")]
pub struct SiteFile {
    /// Name of the estate that this file is rendered from. `enforcer render` writes it, together with `host`.
    #[schemars(title = "Name of the estate")]
    pub estate: Option<String>,
    /// Name of the host in the estate. `enforcer apply` refuses to replace the policy of another host.
    #[schemars(title = "Name of this host")]
    pub host: Option<String>,
    /// Interfaces to protect: names, patterns such as `eth*`, or mappings with settings. `lo` cannot be protected.
    #[schemars(title = "Protected interfaces")]
    #[schemars(extend("examples" = [["eth0"], ["eth0", "tap*"]]))]
    pub interfaces: OneOrMore<Interface>,
    /// What happens to refused packets: `audit` counts them, `enforce` drops them. A mapping sets each direction. Left out: the mode in
    /// force stays, and a new interface is in `audit`.
    #[schemars(title = "Audit or enforce")]
    pub mode: Option<Modes>,
    /// Roles of this host: names, or mappings with parameters. `enforcer roles` lists all of them.
    #[schemars(title = "Roles of this host")]
    #[schemars(extend("examples" = [["unity-connection"]]))]
    pub roles: Option<OneOrMore<Role>>,
    /// Addresses behind the names of remote devices: addresses, prefixes and names of other peers. `none` says that there is no such
    /// device. A peer without addresses counts as left out.
    #[schemars(title = "Addresses of peers")]
    #[schemars(extend("examples" = [{"cluster": ["10.1.1.10", "10.1.1.11"], "phones": ["10.20.0.0/16"]}]))]
    #[serde(default)]
    pub peers: BTreeMap<String, Option<OneOrMore<String>>>,
    /// Which packets may leave: `open` permits all of them, `role` permits the connections of the roles and the entries with
    /// `direction: out`. Left out: `open`.
    #[schemars(title = "Judging outbound packets")]
    #[schemars(extend("default" = "open"))]
    pub outbound: Option<Outbound>,
    /// For document rows that only describe the ephemeral port range of the operating system: `tracked` permits replies by flow
    /// tracking, `open` opens the range. Left out: `tracked`.
    #[schemars(title = "Ephemeral port range")]
    #[schemars(extend("default" = "tracked"))]
    pub ephemeral: Option<Ephemeral>,
    /// Who may ping this host: `any`, `peers` (every address of every peer) or `none`. Left out: `any`.
    #[schemars(title = "Who may ping")]
    #[schemars(extend("default" = "any"))]
    pub icmp_echo: Option<Echo>,
    /// Which packets are judged: `all` that arrive, or only those addressed to this `host`. A host that forwards must set it. Left
    /// out: `all`.
    #[schemars(title = "Judged packets")]
    pub scope: Option<Scope>,
    /// Size and timeouts of the flow table. Durations are seconds, or written as `180s` or `2h`.
    #[schemars(title = "Flow table")]
    pub flows: Option<Flows>,
    /// Release of the products on this host, in quotes. `enforcer check` warns if a role is described for another release.
    #[schemars(title = "Product release")]
    #[schemars(extend("examples" = ["12.6(2)"]))]
    pub release: Option<String>,
    /// Hosts that this host connects to, with the parameters of their roles. The parameters decide on which ports these hosts listen.
    #[schemars(title = "Hosts with other roles")]
    #[serde(default)]
    pub remote: Vec<RemoteHost>,
    /// Entries that permit traffic in addition to the roles.
    #[schemars(title = "Additional permissions")]
    #[serde(default)]
    pub allow: Vec<Rule>,
    /// Entries that refuse traffic even if another rule permits it. Replies to conversations that this host opened still pass.
    #[schemars(title = "Refusals")]
    #[serde(default)]
    pub deny: Vec<Rule>,
    /// Services that the document leaves open and that this site narrows: only the sources in `from` reach them.
    #[schemars(title = "Narrowed services")]
    #[serde(default)]
    pub limit: Vec<Limit>,
}

/// An interface by name, or a mapping with settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Interface {
    /// Name of the interface.
    Name(String),
    /// Name and settings of the interface.
    Settings(InterfaceSettings),
}

/// An interface with settings of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Interface with settings")]
pub struct InterfaceSettings {
    /// Name of the interface in the kernel, or a pattern such as `tap*`.
    #[schemars(title = "Interface name")]
    #[schemars(extend("examples" = ["eth0"]))]
    pub name: String,
    /// Where the roles run: on this `host`, or on the `guest` behind this tap, veth or bridge port. Left out: `host`.
    #[schemars(title = "Host or guest")]
    #[schemars(extend("default" = "host"))]
    pub protects: Option<Protects>,
    /// Mode of this interface: `audit`, `enforce`, or a mapping for each direction. Left out: the mode of the site.
    #[schemars(title = "Mode of this interface")]
    pub mode: Option<Modes>,
    /// Which packets are judged on this interface: `all`, or only those addressed to this `host`. Left out: the scope of the site.
    #[schemars(title = "Judged packets")]
    pub scope: Option<Scope>,
    /// Addresses and prefixes of the guest behind this port: no others may leave it. Left out: they are not known.
    #[schemars(title = "Addresses of the guest")]
    pub addresses: Option<OneOrMore<String>>,
    /// Addresses that the guest may claim and other guests as well, such as that of a cluster. Left out: none.
    #[schemars(title = "Shared addresses")]
    pub shared: Option<OneOrMore<String>>,
    /// Hardware address of the guest: its frames must carry it. Left out: it is not checked.
    #[schemars(title = "Hardware address of the guest")]
    pub mac: Option<String>,
    /// Whether the guest may send what only routers and switches send. Left out: `false`.
    #[schemars(title = "Router or switch")]
    pub router: Option<bool>,
    /// Whether the guest may answer as a DHCP server. Left out: `false`.
    #[schemars(title = "DHCP server")]
    #[serde(rename = "dhcp-server")]
    pub dhcp_server: Option<bool>,
}

/// One mode for both directions, or a mapping with a mode for each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Modes {
    /// One mode for both directions.
    Both(Mode),
    /// A mode for each direction.
    Each(ModeByDirection),
}

/// A mode for each direction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Mode by direction")]
pub struct ModeByDirection {
    /// Mode for packets to the host. Left out: the mode in force, or `audit` on a new interface.
    #[schemars(title = "Inbound mode")]
    pub inbound: Option<Mode>,
    /// Mode for packets from the host. Left out: the mode in force, or `audit` on a new interface.
    #[schemars(title = "Outbound mode")]
    pub outbound: Option<Mode>,
}

/// What happens to refused packets.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Refused packets are counted and pass.
    Audit,
    /// Refused packets are dropped.
    Enforce,
}

/// A role by name, or a mapping with parameters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Role {
    /// Name of the role.
    Name(RoleName),
    /// Name, mode and parameters of the role.
    Settings(RoleSettings),
}

/// A role with parameters. `enforcer role show ROLE` lists the parameters of a role.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "Role with parameters")]
pub struct RoleSettings {
    /// Name of the role. `enforcer roles` lists all of them.
    #[schemars(title = "Role")]
    pub role: RoleName,
    /// With `audit`, packets that this role refuses are counted and pass while the rest of the host enforces. Left out: the mode of
    /// the host.
    #[schemars(title = "Mode of this role")]
    pub mode: Option<Mode>,
    /// Services of this role on other ports than the document prints: from `ROLE/SERVICE` to ports.
    #[schemars(title = "Moved services")]
    #[schemars(extend("examples" = [{"cce-pg/mds-private-1": [44004, 44005]}]))]
    #[serde(default)]
    pub moved: BTreeMap<String, OneOrMore<Scalar>>,
    /// Its parameters.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, OneOrMore<Scalar>>,
}

/// The name of a role: editors offer those of the built-in catalogue, and take any other.
#[derive(Clone, Debug, Deserialize)]
pub struct RoleName(pub String);

impl JsonSchema for RoleName {
    fn schema_name() -> Cow<'static, str> {
        "RoleName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&String> =
            crate::policy::catalogue::embedded().map(|c| c.roles.keys().collect()).unwrap_or_default();
        json_schema!({
            "description": "Name of a role. `enforcer roles` lists all of them.",
            "anyOf": [{"enum": names}, {"type": "string"}],
        })
    }
}

/// Whether outbound packets are judged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outbound {
    /// Every packet may leave; conversations are tracked, so that replies pass.
    Open,
    /// Only connections of the roles and entries with `direction: out` may leave.
    Role,
}

/// What happens with document rows that only describe the ephemeral port range of the operating system.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ephemeral {
    /// Flow tracking lets replies pass; the range stays closed.
    Tracked,
    /// The range is open as the document prints it.
    Open,
}

/// Who may ping this host.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Echo {
    /// Every source.
    Any,
    /// Every address of every peer.
    Peers,
    /// No source.
    None,
}

/// Which packets are judged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every packet that arrives at the interface.
    All,
    /// Only packets addressed to this host, for machines that forward or bridge.
    Host,
}

/// Size and timeouts of the flow table. Durations are seconds, or written as `180s` or `2h`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Flow table")]
pub struct Flows {
    /// Maximum number of flows, for IPv4 and for IPv6 each. Left out: 131072, and 4096 and 1024 on the port of a guest.
    #[schemars(title = "Maximum number of flows")]
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub entries: Option<u32>,
    /// Time after which an idle TCP flow expires.
    #[schemars(title = "Idle TCP timeout")]
    #[schemars(extend("default" = "7500s"))]
    pub tcp: Option<Scalar>,
    /// Time after which a TCP flow expires that both sides have closed.
    #[schemars(title = "Closing TCP timeout")]
    #[schemars(extend("default" = "30s"))]
    pub tcp_closing: Option<Scalar>,
    /// Time after which an idle UDP or SCTP flow expires.
    #[schemars(title = "Idle UDP and SCTP timeout")]
    #[schemars(extend("default" = "180s"))]
    pub udp: Option<Scalar>,
    /// Time after the last outbound packet of a UDP or SCTP flow during which inbound packets prolong the flow.
    #[schemars(title = "One-way UDP and SCTP timeout")]
    #[schemars(extend("default" = "1h"))]
    pub one_way: Option<Scalar>,
    /// Time within which a ping of this host may be answered.
    #[schemars(title = "Ping timeout")]
    #[schemars(extend("default" = "30s"))]
    pub icmp: Option<Scalar>,
}

/// An entry of `allow` or `deny`: a protocol with its ports, or an ethertype, and a remote side.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Entry of allow or deny")]
pub struct Rule {
    /// Name of the entry, unique among `allow` and `deny`. Its counter is called `site/NAME`.
    #[schemars(title = "Name of the entry")]
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,63}$"))]
    pub name: String,
    /// Direction of the conversation, seen from this host: `in` or `out`. Left out: `in`.
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
    /// Peers, addresses and prefixes that may connect to this host; only for direction `in`. Left out: `any`.
    #[schemars(title = "Sources")]
    #[schemars(extend("examples" = [["10.9.0.5", "10.30.0.0/16"]]))]
    pub from: Option<OneOrMore<String>>,
    /// Peers, addresses and prefixes that this host may connect to; only for direction `out`. Left out: `any`.
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

/// Hosts with another role, and its parameters there. `enforcer role show ROLE` lists the parameters of a role.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "Hosts with another role")]
pub struct RemoteHost {
    /// Role of these hosts. `enforcer roles` lists all of them.
    #[schemars(title = "Role of these hosts")]
    pub role: RoleName,
    /// Addresses of these hosts: addresses, prefixes and names of peers.
    #[schemars(title = "Addresses of these hosts")]
    #[schemars(extend("examples" = [["10.5.1.10"]]))]
    pub addresses: OneOrMore<String>,
    /// Services of these hosts on other ports than the document prints: from `ROLE/SERVICE` to ports.
    #[schemars(title = "Moved services")]
    #[schemars(extend("examples" = [{"cce-pg/mds-private-1": [44004, 44005]}]))]
    #[serde(default)]
    pub moved: BTreeMap<String, OneOrMore<Scalar>>,
    /// Parameters of the role on these hosts.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, OneOrMore<Scalar>>,
}

/// A service that the document leaves open, and who may use it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Narrowed service")]
pub struct Limit {
    /// The service as `ROLE/SERVICE`. `enforcer role show ROLE` lists the services of a role.
    #[schemars(title = "Service")]
    #[schemars(extend("examples" = ["finesse/https"]))]
    #[schemars(regex(pattern = "^[a-z0-9-]+/[a-z0-9-]+$"))]
    pub service: String,
    /// Peers, addresses and prefixes that may use the service, if the service permits them.
    #[schemars(title = "Sources")]
    #[schemars(extend("examples" = [["10.30.0.0/16"]]))]
    pub from: OneOrMore<String>,
    /// A sentence that says why the entry exists, for later readers.
    #[schemars(title = "Reason")]
    pub reason: Option<String>,
}

/// Direction of an entry, seen from this host.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleDirection {
    /// Connections to the host.
    In,
    /// Connections from the host.
    Out,
}
