//! What is said of a refused packet in one line, and where events are told.

use std::net::{IpAddr, SocketAddr};

use enforcer_common::{Direction, Mode};

use crate::dataplane::{Asked, DeniedEvent};
use crate::failure::Failure;
use crate::policy::site::protocol_name;

/// Where events are told.
pub(crate) trait Sink {
    /// Tells of a refused packet.
    fn event(&mut self, event: &DeniedEvent) -> Result<(), Failure>;
    /// Tells how many packets were suppressed and how many events were lost.
    fn suppressed(&mut self, numbers: (u64, u64)) -> Result<(), Failure>;
    /// Sees to it that what was told is on its way.
    fn flush(&mut self) -> Result<(), Failure>;
}

/// `2026-11-22T17:29:20Z eth0 in tcp 198.18.0.2:40000 -> 198.18.0.1:23 no-rule, dropped (54 bytes)`.
pub(crate) fn text(event: &DeniedEvent) -> String {
    let DeniedEvent { flow, remote_port, local_port } = event;
    let end = |address: Option<IpAddr>, port: Option<u16>| match (address, port) {
        (Some(address), Some(port)) => SocketAddr::new(address, port).to_string(),
        (Some(address), None) => address.to_string(),
        (None, _) => "?".to_owned(),
    };
    let (remote, local) = (end(flow.remote, *remote_port), end(flow.local, *local_port));
    let (way, from, to) = match flow.direction {
        Direction::Inbound => ("in", remote, local),
        Direction::Outbound => ("out", local, remote),
    };
    let fate = match flow.mode {
        Mode::Enforce => "dropped",
        Mode::Audit => "would be dropped",
    };
    let protocol = flow.protocol.map(protocol_name).unwrap_or_default();
    let what = match flow.asked {
        Asked::Ethertype(number) => format!("ethertype {number:#06x}"),
        Asked::IcmpType(number) => format!("{protocol} type {number} {from} -> {to}"),
        Asked::Port(_) | Asked::Nothing => format!("{protocol} {from} -> {to}"),
    };
    format!("{} {} {way} {what} {}, {fate} ({} bytes)", flow.last, flow.interface, flow.reason.name(), flow.bytes)
}
