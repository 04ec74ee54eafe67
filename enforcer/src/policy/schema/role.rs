//! Shape of a role file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Scalar;

/// Role file of enforcer: the ports on which a host of this kind listens, its connections, and the document rows that print them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Role file of enforcer")]
pub struct RoleFile {
    /// Name of the role, equal to the file name without `.yaml`.
    #[schemars(title = "Name of the role")]
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub role: String,
    /// Name of the product, as operators know it.
    #[schemars(title = "Product")]
    pub product: String,
    /// Release of the product, in quotes.
    #[schemars(title = "Product release")]
    #[schemars(extend("examples" = ["12.6(2)"]))]
    pub release: String,
    /// Key of the document in `documents.yaml`, for every source that names no other document.
    #[schemars(title = "Document")]
    pub document: String,
    /// A sentence that says what a host with this role does.
    #[schemars(title = "Summary")]
    pub summary: String,
    /// Other roles that are always part of this role.
    #[schemars(title = "Included roles")]
    #[serde(default)]
    pub includes: Vec<String>,
    /// Values that an operator sets, by name. A role also has the parameters of the roles that it includes.
    #[schemars(title = "Parameters")]
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Services that the role offers: its listening ports.
    #[schemars(title = "Services")]
    #[serde(default)]
    pub services: Vec<Service>,
    /// Connections that the role opens to remote devices.
    #[schemars(title = "Connections")]
    #[serde(default)]
    pub connections: Vec<Connection>,
}

/// A value that an operator sets. It has a default or is required.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Parameter")]
pub struct Parameter {
    /// Type of the values: a number, a word, a port, or ports.
    #[schemars(title = "Type")]
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// A sentence that says what the parameter means.
    #[schemars(title = "Summary")]
    pub summary: String,
    /// Smallest value of an integer.
    #[schemars(title = "Smallest value")]
    pub minimum: Option<i64>,
    /// Largest value of an integer.
    #[schemars(title = "Largest value")]
    pub maximum: Option<i64>,
    /// Words that a choice can have.
    #[schemars(title = "Words of a choice")]
    pub values: Option<Vec<Scalar>>,
    /// Value if the operator sets none: the value that the document prints.
    #[schemars(title = "Default")]
    pub default: Option<Scalar>,
    /// `true` if the document prints no default, so that the operator must set the parameter.
    #[schemars(title = "Required")]
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

/// A service of the role: listening ports, and who may connect.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Service")]
pub struct Service {
    /// Name, unique among the services and connections of the role.
    #[schemars(title = "Name of the service")]
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub name: String,
    /// A sentence that says what the service is for, in your own words.
    #[schemars(title = "Summary")]
    pub summary: String,
    /// Names of remote devices, from `peers.yaml`.
    #[schemars(title = "Remote devices")]
    #[serde(default)]
    pub peers: Vec<String>,
    /// Who may connect to the service. Left out: `internal` for direction `local`, otherwise `open`.
    #[schemars(title = "Who may connect")]
    pub exposure: Option<Exposure>,
    /// Direction, as the document prints it.
    #[schemars(title = "Printed direction")]
    pub direction: Direction,
    /// Row of the document that prints this service.
    #[schemars(title = "Document row")]
    #[schemars(extend("examples" = [{"table": "20", "row": 1}]))]
    pub source: Source,
    /// The entry exists only if these parameters have these values.
    #[schemars(title = "Condition")]
    #[serde(default)]
    pub when: BTreeMap<String, Scalar>,
    /// Program, if the document prints one.
    #[schemars(title = "Program")]
    pub executable: Option<String>,
    /// Account, if the document prints one.
    #[schemars(title = "Account")]
    pub account: Option<String>,
    /// Ports of this host on which the service listens.
    #[schemars(title = "Listening ports")]
    pub ports: Vec<Port>,
    /// Remote ports that the same row prints. A word such as `random` is the source port of the client and permits nothing.
    #[schemars(title = "Printed remote ports")]
    #[serde(default)]
    pub remote: Vec<Port>,
    /// A sentence that says what is unclear in the source.
    #[schemars(title = "Doubt")]
    pub doubt: Option<String>,
    /// A sentence about further ports that the service negotiates and the document does not print.
    #[schemars(title = "Negotiated ports")]
    pub dynamic: Option<String>,
    /// `true` if the row only describes the ephemeral port range of the operating system.
    #[schemars(title = "Ephemeral range only")]
    #[serde(default)]
    pub ephemeral: bool,
}

/// A connection of the role: remote ports, and where they are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Connection")]
pub struct Connection {
    /// Name, unique among the services and connections of the role.
    #[schemars(title = "Name of the connection")]
    #[schemars(regex(pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub name: String,
    /// A sentence that says what the connection is for, in your own words.
    #[schemars(title = "Summary")]
    pub summary: String,
    /// Names of remote devices, from `peers.yaml`.
    #[schemars(title = "Remote devices")]
    #[serde(default)]
    pub peers: Vec<String>,
    /// Where the connection leads. Left out: `internal` for direction `local`, otherwise `open`.
    #[schemars(title = "Where it leads")]
    pub exposure: Option<Exposure>,
    /// Direction, as the document prints it.
    #[schemars(title = "Printed direction")]
    pub direction: Direction,
    /// Row of the document that prints this connection.
    #[schemars(title = "Document row")]
    #[schemars(extend("examples" = [{"table": "20", "row": 1}]))]
    pub source: Source,
    /// The entry exists only if these parameters have these values.
    #[schemars(title = "Condition")]
    #[serde(default)]
    pub when: BTreeMap<String, Scalar>,
    /// Program, if the document prints one.
    #[schemars(title = "Program")]
    pub executable: Option<String>,
    /// Account, if the document prints one.
    #[schemars(title = "Account")]
    pub account: Option<String>,
    /// Ports of the remote device.
    #[schemars(title = "Remote ports")]
    pub ports: Vec<Port>,
    /// A sentence that says what is unclear in the source.
    #[schemars(title = "Doubt")]
    pub doubt: Option<String>,
    /// A sentence about further ports that the connection negotiates and the document does not print.
    #[schemars(title = "Negotiated ports")]
    pub dynamic: Option<String>,
    /// `any` if the server answers from another port, as TFTP servers do.
    #[schemars(title = "Port of replies")]
    pub answer_port: Option<AnswerPort>,
}

/// Who may reach a service.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exposure {
    /// Every bound peer, or every source if no peer is bound.
    Open,
    /// Only members of the host's own cluster.
    Cluster,
    /// Only HTTPS-networking servers.
    HttpsNetworking,
    /// Only the host itself, never the network.
    Internal,
}

/// Direction, as the document prints it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The document prints "bidirectional".
    Both,
    /// The document prints an incoming connection.
    In,
    /// The document prints an outgoing connection.
    Out,
    /// The document prints a local connection.
    Local,
    /// The document prints no direction.
    None,
}

/// A row of a vendor's document.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Document row")]
pub struct Source {
    /// Key of the document in `documents.yaml`. Left out: the document of the role.
    #[schemars(title = "Document")]
    pub document: Option<String>,
    /// Number of the table as printed, in quotes.
    #[schemars(title = "Table")]
    pub table: String,
    /// Logical row of the table, numbered from 1 in print order.
    #[schemars(title = "Row")]
    pub row: u32,
}

/// A port or range, as the document prints it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Printed port")]
pub struct Port {
    /// Protocol, as the document prints it.
    #[schemars(title = "Printed protocol")]
    pub protocol: Protocol,
    /// Port `N`, range `A-B`, formula such as `N + K * instance`, or the printed word `random`, `any`, `dynamic` or `ephemeral`. A
    /// parameter can stand in the place of `N`.
    #[schemars(title = "Printed port")]
    #[schemars(extend("examples" = [8443, "5060-5061", "41004 + 40 * instance"]))]
    pub port: Scalar,
    /// For a range that starts with a formula: the last port is this many ports after the first.
    #[schemars(title = "Length of a range")]
    pub length: Option<u16>,
    /// The parameter that replaces the printed port.
    #[schemars(title = "Replacing parameter")]
    pub parameter: Option<String>,
    /// Document row of this port, if it is not the row of the service.
    #[schemars(title = "Document row")]
    pub source: Option<Source>,
    /// The port exists only if these parameters have these values.
    #[schemars(title = "Condition")]
    #[serde(default)]
    pub when: BTreeMap<String, Scalar>,
    /// A sentence that says what is unclear about this port.
    #[schemars(title = "Doubt")]
    pub doubt: Option<String>,
}

/// Protocol, as the document prints it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The document prints TCP.
    Tcp,
    /// The document prints UDP.
    Udp,
    /// The document prints no protocol. Compiles to TCP, and needs a `doubt`.
    Unspecified,
}

/// The port from which a server answers.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnswerPort {
    /// From any port.
    Any,
}
