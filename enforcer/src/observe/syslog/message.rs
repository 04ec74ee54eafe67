//! Refused packets as messages of syslog (RFC 5424) with structured data, and as entries of the journal.
//!
//! Names of interfaces and hosts are chosen by others. In a message nothing of theirs can end a value, a message or a line: control
//! characters are written out first, then what RFC 5424 section 6.3.3 reserves is escaped.

use std::fmt::Write as _;
use std::sync::OnceLock;

use enforcer_common::Mode;
use jiff::Timestamp;

use crate::dataplane::{Asked, DeniedEvent};
use crate::observe::told::text;
use crate::policy::site::protocol_name;
use crate::text::escape::line;

/// `local4`, which firewalls use by custom (RFC 5424 section 6.2.1).
const FACILITY: u8 = 20;
/// The number for documentation (RFC 5612): this project has none of its own at IANA.
const ENTERPRISE: u32 = 32473;
const APPLICATION: &str = "enforcer";
/// The longest name of a host in a message.
const LONGEST_HOST: usize = 255;

/// What syslog knows of an event, before it has a format.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    severity: u8,
    time: Timestamp,
    /// The kind: `denied` or `suppressed`.
    kind: &'static str,
    /// Names of parameters as in the JSON lines, and values of others.
    parameters: Vec<(&'static str, String)>,
    text: String,
}

impl Message {
    /// A refused packet.
    pub(crate) fn denied(event: &DeniedEvent) -> Self {
        let DeniedEvent { flow, remote_port, local_port } = event;
        let [icmp_type, ethertype] = match flow.asked {
            Asked::IcmpType(number) => [Some(number.to_string()), None],
            Asked::Ethertype(number) => [None, Some(format!("{number:#06x}"))],
            Asked::Port(_) | Asked::Nothing => [None, None],
        };
        let parameters = [
            ("interface", Some(flow.interface.clone())),
            ("direction", Some(flow.direction.to_string())),
            ("reason", Some(flow.reason.name().to_owned())),
            ("mode", Some(flow.mode.name().to_owned())),
            ("protocol", flow.protocol.map(protocol_name)),
            ("remote", flow.remote.map(|address| address.to_string())),
            ("remote_port", remote_port.map(|port| port.to_string())),
            ("local", flow.local.map(|address| address.to_string())),
            ("local_port", local_port.map(|port| port.to_string())),
            ("port", flow.asked.port().map(|port| port.to_string())),
            ("icmp_type", icmp_type),
            ("ethertype", ethertype),
            ("bytes", Some(flow.bytes.to_string())),
        ];
        Self {
            // Warning and notice.
            severity: if flow.mode == Mode::Enforce { 4 } else { 5 },
            time: flow.last,
            kind: "denied",
            parameters: parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            text: text(event),
        }
    }

    /// How many events are not told.
    pub(crate) fn suppressed((suppressed, lost): (u64, u64), time: Timestamp) -> Self {
        Self {
            severity: 6,
            time,
            kind: "suppressed",
            parameters: vec![("suppressed", suppressed.to_string()), ("lost", lost.to_string())],
            text: format!("{suppressed} refused packets suppressed, {lost} events lost so far"),
        }
    }

    /// As RFC 5424 has it, without framing.
    pub(crate) fn syslog(&self, host: &str) -> String {
        let Self { severity, time, kind, parameters, text } = self;
        let priority = FACILITY * 8 + severity;
        let process = std::process::id();
        let mut message = format!("<{priority}>1 {time:.6} {host} {APPLICATION} {process} {kind} [{kind}@{ENTERPRISE}");
        for (name, value) in parameters {
            // Writing to a String does not fail.
            let _ = write!(message, " {name}=\"{}\"", parameter(value));
        }
        let _ = write!(message, "] {}", line(text));
        message
    }

    /// As the native protocol of systemd-journald has it: a field in each line.
    pub(crate) fn journal(&self) -> String {
        let Self { severity, kind, parameters, text, .. } = self;
        let mut entry = format!(
            "MESSAGE={}\nPRIORITY={severity}\nSYSLOG_FACILITY={FACILITY}\nSYSLOG_IDENTIFIER={APPLICATION}\nENFORCER_EVENT={kind}\n",
            line(text)
        );
        for (name, value) in parameters {
            let _ = writeln!(entry, "ENFORCER_{}={}", name.to_uppercase(), line(value));
        }
        entry
    }
}

/// The value of a parameter (RFC 5424 section 6.3.3).
fn parameter(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in line(value).chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The name of this host as syslog takes it: printable ASCII without blanks, `-` where there is none.
pub(crate) fn host_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = nix::sys::utsname::uname().map(|uname| uname.nodename().to_string_lossy().into_owned());
        plain_host(&name.unwrap_or_default())
    })
}

fn plain_host(name: &str) -> String {
    let plain: String = name.chars().filter(char::is_ascii_graphic).take(LONGEST_HOST).collect();
    if plain.is_empty() { "-".to_owned() } else { plain }
}

#[cfg(test)]
pub(super) mod tests;
