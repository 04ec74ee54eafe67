//! Denied flows as `enforcer denied` has them, from the kernel or from its JSON.

use std::net::IpAddr;

use enforcer_common::{Direction, Mode, Reason, Verdict};
use serde::Deserialize;

use super::kinds::{Denied, Tried};
use crate::dataplane::{Asked, DeniedFlow};
use crate::policy::site::parse_protocol;

/// An element of the list; what is not needed here is passed over.
#[derive(Deserialize)]
struct Listed {
    direction: Direction,
    reason: String,
    protocol: Option<String>,
    remote: Option<IpAddr>,
    local: Option<IpAddr>,
    port: Option<u16>,
    #[serde(default)]
    icmp_type: Option<u16>,
    #[serde(default)]
    ethertype: Option<String>,
    packets: u64,
    bytes: u64,
    #[serde(default)]
    mode: Option<Mode>,
}

impl Denied {
    /// What is needed of a denied flow; `None` for a frame of which nothing is known that a policy could name.
    #[must_use]
    pub fn of(flow: &DeniedFlow) -> Option<Self> {
        let DeniedFlow { direction, reason, mode, protocol, remote, local, asked, packets, bytes, .. } = *flow;
        let tried = match (protocol, asked) {
            (Some(protocol), Asked::Port(port)) => Tried::Port { protocol, port },
            (Some(protocol), Asked::IcmpType(kind)) => Tried::Icmp { protocol, kind },
            (Some(protocol), Asked::Nothing | Asked::Ethertype(_)) => Tried::Protocol(protocol),
            (None, Asked::Ethertype(ethertype)) => Tried::Ethertype(ethertype),
            (None, Asked::Port(_) | Asked::IcmpType(_) | Asked::Nothing) => return None,
        };
        let dropped = if mode == Mode::Enforce { packets } else { 0 };
        Some(Self { direction, reason, tried, remote, local, packets, dropped, bytes })
    }

    /// The flows of `enforcer denied --format json`.
    ///
    /// # Errors
    /// What is wrong with the text, or which word of it is not known.
    pub fn from_json(text: &str) -> Result<Vec<Self>, String> {
        let listed: Vec<Listed> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        listed.into_iter().filter_map(|one| one.read().transpose()).collect()
    }
}

impl Listed {
    /// `None` for a frame of which nothing is known that a policy could name.
    fn read(self) -> Result<Option<Denied>, String> {
        let drops = || Reason::ALL.iter().filter(|reason| reason.verdict() == Verdict::Drop);
        let reason = drops().find(|one| one.name() == self.reason);
        let reason = *reason.ok_or_else(|| format!("`{}` is no reason for a drop", self.reason))?;
        let protocol = match &self.protocol {
            None => None,
            Some(text) => Some(parse_protocol(text).ok_or_else(|| format!("`{text}` is no protocol"))?),
        };
        let tried = match (protocol, self.port, self.icmp_type, &self.ethertype) {
            (Some(protocol), Some(port), _, _) => Tried::Port { protocol, port },
            (Some(protocol), None, Some(kind), _) => Tried::Icmp { protocol, kind },
            (Some(protocol), None, None, _) => Tried::Protocol(protocol),
            (None, _, _, Some(text)) => {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                Tried::Ethertype(u16::from_str_radix(digits, 16).map_err(|_| format!("`{text}` is no ethertype"))?)
            }
            (None, _, _, None) => return Ok(None),
        };
        let Self { direction, remote, local, packets, bytes, mode, .. } = self;
        let dropped = if mode == Some(Mode::Enforce) { packets } else { 0 };
        Ok(Some(Denied { direction, reason, tried, remote, local, packets, dropped, bytes }))
    }
}
