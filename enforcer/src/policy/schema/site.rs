//! Shape of a site file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{OneOrMore, Scalar};
use crate::policy::modes::Protects;

/// A site: which roles a host has, on which interfaces, with which parameters and peers, and what its operator adds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// The estate that this file is rendered from.
    pub estate: Option<String>,
    /// The host of the estate that this file is for.
    pub host: Option<String>,
    /// Interfaces to protect, by name or by patterns such as `eth*`.
    pub interfaces: OneOrMore<Interface>,
    /// Whether what is refused is dropped (`enforce`) or counted (`audit`).
    pub mode: Option<Modes>,
    /// Roles of this host.
    pub roles: Option<OneOrMore<Role>>,
    /// Addresses behind the names of remote devices: addresses, prefixes and names of other peers; `none` where there are none.
    #[serde(default)]
    pub peers: BTreeMap<String, Option<OneOrMore<String>>>,
    /// Whether what leaves is judged by the roles' connections (`role`) or not at all (`open`, the default).
    pub outbound: Option<Outbound>,
    /// Whether the operating system's ephemeral range is met by flow tracking (`tracked`, the default) or opened.
    pub ephemeral: Option<Ephemeral>,
    /// Who may ping: `any` (the default), every address of every peer, or nobody.
    pub icmp_echo: Option<Echo>,
    /// Whose packets are judged: `all` (the default), or only those addressed to this `host`, on machines that forward.
    pub scope: Option<Scope>,
    /// Flow table: size and timeouts.
    pub flows: Option<Flows>,
    /// Release of the products on this host; `check` warns when a role is described for another.
    pub release: Option<String>,
    /// Hosts with other roles that this host connects to, with the parameters that decide on which ports they listen.
    #[serde(default)]
    pub remote: Vec<RemoteHost>,
    /// What the operator permits beside the roles.
    #[serde(default)]
    pub allow: Vec<Rule>,
    /// What the operator refuses, whatever permits it.
    #[serde(default)]
    pub deny: Vec<Rule>,
    /// Services that the document leaves open, narrowed: nobody else reaches them.
    #[serde(default)]
    pub limit: Vec<Limit>,
}

/// An interface by name, or with settings of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Interface {
    /// Its name.
    Name(String),
    /// Its name and settings.
    Settings(InterfaceSettings),
}

/// An interface with settings of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InterfaceSettings {
    /// Name, as the kernel has it, or a pattern such as `tap*`.
    pub name: String,
    /// `guest` when the role runs behind this port.
    pub protects: Option<Protects>,
    /// Mode, over that of the host.
    pub mode: Option<Modes>,
    /// Scope, over that of the host.
    pub scope: Option<Scope>,
}

/// One mode for both directions, or one for each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Modes {
    /// For both.
    Both(Mode),
    /// For each.
    Each(ModeByDirection),
}

/// A mode for each direction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeByDirection {
    /// Towards the host.
    pub inbound: Option<Mode>,
    /// From the host.
    pub outbound: Option<Mode>,
}

/// What happens to what is refused.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is counted and passes.
    Audit,
    /// It is dropped.
    Enforce,
}

/// A role by name, or with parameters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Role {
    /// Its name.
    Name(RoleName),
    /// Its name, mode and parameters.
    Settings(RoleSettings),
}

/// A role with parameters; `enforcer role show ROLE` lists them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct RoleSettings {
    /// Its name.
    pub role: RoleName,
    /// In audit, what this role would refuse is counted, while the rest of the host enforces.
    pub mode: Option<Mode>,
    /// Services that this host has on other ports than the document's, by `ROLE/SERVICE`.
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
            "description": "Name of a role; `enforcer roles` lists them.",
            "anyOf": [{"enum": names}, {"type": "string"}],
        })
    }
}

/// Whether what leaves is judged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outbound {
    /// Not judged.
    Open,
    /// By the roles' connections.
    Role,
}

/// What is done about rows that only describe the operating system's ephemeral range.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ephemeral {
    /// Flow tracking lets the answers in.
    Tracked,
    /// The range is opened.
    Open,
}

/// Who may ping.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Echo {
    /// Anybody.
    Any,
    /// Every address of every peer.
    Peers,
    /// Nobody.
    None,
}

/// Whose packets are judged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All that pass.
    All,
    /// Only those addressed to this host.
    Host,
}

/// Size and timeouts of the flow table. Durations are seconds, or written as `180s` or `2h`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flows {
    /// Conversations at most, for each of IPv4 and IPv6 (131072; of a guest 4096 and 1024).
    #[schemars(range(min = 1024, max = 16_777_216))]
    pub entries: Option<u32>,
    /// Idle TCP conversations (7500s).
    pub tcp: Option<Scalar>,
    /// TCP conversations that are closing (30s).
    pub tcp_closing: Option<Scalar>,
    /// UDP and SCTP (180s).
    pub udp: Option<Scalar>,
    /// UDP and SCTP: for how long after the last packet from this host, packets to it prolong a flow (1h).
    pub one_way: Option<Scalar>,
    /// Ping (30s).
    pub icmp: Option<Scalar>,
}

/// An entry of `allow` or `deny`: a protocol (with ports, where it has them) or an ethertype, and a remote side.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique among `allow` and `deny`: the rule is `site/NAME`.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,63}$"))]
    pub name: String,
    /// `in` (the default) or `out`, seen from this host.
    pub direction: Option<RuleDirection>,
    /// Name or number of an IP protocol.
    pub protocol: Option<Scalar>,
    /// Ports and ranges, or `any`.
    pub ports: Option<OneOrMore<Scalar>>,
    /// Instead of a protocol: what is not IP, such as `0x8892`.
    pub ethertype: Option<Scalar>,
    /// Who connects: peers, addresses, prefixes; `any` is the default.
    pub from: Option<OneOrMore<String>>,
    /// Where this host connects (`direction: out`).
    pub to: Option<OneOrMore<String>>,
    /// In audit, what this entry refuses is counted, while the rest of the host enforces.
    pub mode: Option<Mode>,
    /// Why it is there.
    pub reason: Option<String>,
    /// The last day on which it holds.
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub expires: Option<String>,
}

/// Hosts with another role; `enforcer role show ROLE` lists its parameters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct RemoteHost {
    /// The role that these hosts have.
    pub role: RoleName,
    /// Their addresses: addresses, prefixes and names of peers.
    pub addresses: OneOrMore<String>,
    /// Services that these hosts have on other ports than the document's, by `ROLE/SERVICE`.
    #[serde(default)]
    pub moved: BTreeMap<String, OneOrMore<Scalar>>,
    /// Parameters of the role on these hosts.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, OneOrMore<Scalar>>,
}

/// A service that the document leaves open, and who may use it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The service as `ROLE/SERVICE`; `enforcer role show ROLE` lists them.
    #[schemars(regex(pattern = "^[a-z0-9-]+/[a-z0-9-]+$"))]
    pub service: String,
    /// Who may use it, of those that the service permits: peers, addresses, prefixes.
    pub from: OneOrMore<String>,
    /// Why it is there.
    pub reason: Option<String>,
}

/// Direction of an entry.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleDirection {
    /// Towards the host.
    In,
    /// From the host.
    Out,
}
