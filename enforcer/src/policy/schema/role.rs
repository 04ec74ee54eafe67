//! Shape of a role file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Scalar;

/// A role: what a host of this kind listens on and connects to, with the rows of the vendor's documents that say so.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleFile {
    /// Name of the role, equal to the file name without `.yaml`.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub role: String,
    /// Product that an operator knows.
    pub product: String,
    /// Release of the product.
    pub release: String,
    /// Key of `documents.yaml`: default document of every source.
    pub document: String,
    /// What a host with this role does.
    pub summary: String,
    /// Roles that always come with this one.
    #[serde(default)]
    pub includes: Vec<String>,
    /// What an operator sets. A role also has the parameters of the roles it includes.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// What the role listens on.
    #[serde(default)]
    pub services: Vec<Service>,
    /// What the role connects to.
    #[serde(default)]
    pub connections: Vec<Connection>,
}

/// A parameter. It has a default or is required.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What may be set.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// What it means.
    pub summary: String,
    /// Least number.
    pub minimum: Option<i64>,
    /// Greatest number.
    pub maximum: Option<i64>,
    /// Words of a choice.
    pub values: Option<Vec<Scalar>>,
    /// What holds if nothing is set: what the document prints.
    pub default: Option<Scalar>,
    /// The document gives no default.
    #[serde(default)]
    pub required: bool,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// A number from `minimum` to `maximum`.
    Integer,
    /// One of `values`.
    Choice,
    /// One port.
    Port,
    /// Ports and ranges.
    Ports,
}

/// Ports that the role listens on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Unique among services and connections of the role.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub name: String,
    /// What it is for, in a sentence of our own.
    pub summary: String,
    /// Remote devices, as named in `peers.yaml`.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Who may connect. Left out: `internal` for direction `local`, else `open`.
    pub exposure: Option<Exposure>,
    /// Direction as printed.
    pub direction: Direction,
    /// The row.
    pub source: Source,
    /// Only where these parameters have these values.
    #[serde(default)]
    pub when: BTreeMap<String, Scalar>,
    /// Program, where the document prints one.
    pub executable: Option<String>,
    /// Account, where the document prints one.
    pub account: Option<String>,
    /// Listening ports.
    pub ports: Vec<Port>,
    /// Remote ports printed beside them. A word is the client's source port and permits nothing.
    #[serde(default)]
    pub remote: Vec<Port>,
    /// What is doubtful in the source.
    pub doubt: Option<String>,
    /// What further ports the service negotiates.
    pub dynamic: Option<String>,
    /// The row only describes the operating system's ephemeral range.
    #[serde(default)]
    pub ephemeral: bool,
}

/// Ports that the role connects to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Unique among services and connections of the role.
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub name: String,
    /// What it is for, in a sentence of our own.
    pub summary: String,
    /// Remote devices, as named in `peers.yaml`.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Who is connected to. Left out: `internal` for direction `local`, else `open`.
    pub exposure: Option<Exposure>,
    /// Direction as printed.
    pub direction: Direction,
    /// The row.
    pub source: Source,
    /// Only where these parameters have these values.
    #[serde(default)]
    pub when: BTreeMap<String, Scalar>,
    /// Program, where the document prints one.
    pub executable: Option<String>,
    /// Account, where the document prints one.
    pub account: Option<String>,
    /// Remote ports.
    pub ports: Vec<Port>,
    /// What is doubtful in the source.
    pub doubt: Option<String>,
    /// What further ports the connection negotiates.
    pub dynamic: Option<String>,
    /// The server answers from another port, as TFTP does.
    pub answer_port: Option<AnswerPort>,
}

/// Who may reach a service.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// Any bound peer.
    Open,
    /// Cluster members only.
    Cluster,
    /// HTTPS-networking servers only.
    HttpsNetworking,
    /// The host itself: never from the wire.
    Internal,
}

/// Direction as printed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Bidirectional.
    Both,
    /// Incoming.
    In,
    /// Outgoing.
    Out,
    /// Local.
    Local,
    /// Nothing is printed.
    None,
}

/// A row of a vendor's document.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Another document than the file's.
    pub document: Option<String>,
    /// Table as numbered in print.
    pub table: String,
    /// Logical row, from 1.
    pub row: u32,
}

/// A printed port.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Protocol as printed.
    pub protocol: Protocol,
    /// `N`, `A-B`, `N + K * instance`, `N + instance`, `parameter + instance`, `parameter + K * instance`, or the printed
    /// word `random`, `any`, `dynamic`, `ephemeral`.
    pub port: Scalar,
    /// A range whose start is a formula ends so many ports further.
    pub length: Option<u16>,
    /// The parameter that replaces what is printed.
    pub parameter: Option<String>,
    /// Another row than the service's.
    pub source: Option<Source>,
    /// Only where these parameters have these values.
    #[serde(default)]
    pub when: BTreeMap<String, Scalar>,
    /// What is doubtful in the source.
    pub doubt: Option<String>,
}

/// Protocol as printed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// None is printed: compiles to TCP, and needs a doubt.
    Unspecified,
}

/// From which port a server answers.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnswerPort {
    /// Any.
    Any,
}
