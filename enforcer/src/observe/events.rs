//! Lines about refused packets, as text and as JSON.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

use enforcer_common::{Direction, Mode, Reason};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use crate::dataplane::{Asked, DeniedEvent, EventStream};
use crate::failure::Failure;
use crate::policy::site::protocol_name;

/// How events are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text, one line for each event.
    Text,
    /// JSON, one object in each line.
    Json,
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Line<'a> {
    /// A refused packet.
    Denied {
        time: String,
        interface: &'a str,
        direction: Direction,
        reason: Reason,
        mode: Mode,
        protocol: Option<String>,
        remote: Option<IpAddr>,
        remote_port: Option<u16>,
        local: Option<IpAddr>,
        local_port: Option<u16>,
        port: Option<u16>,
        icmp_type: Option<u16>,
        ethertype: Option<String>,
        bytes: u64,
    },
    /// How many are not told, since the command began.
    Suppressed { time: String, suppressed: u64, lost: u64 },
}

/// Waits until an event is there, a signal came, or it is time to look after the stream.
pub(crate) fn wait(stream: &EventStream) -> Result<(), Failure> {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(1000_u16)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(std::io::Error::from(errno).into()),
    }
}

pub(crate) fn write_event(format: Format, event: &DeniedEvent, out: &mut impl Write) -> Result<(), Failure> {
    let DeniedEvent { flow, remote_port, local_port } = event;
    if format == Format::Text {
        return Ok(writeln!(out, "{}", text(event))?);
    }
    let line = Line::Denied {
        time: flow.last.to_string(),
        interface: &flow.interface,
        direction: flow.direction,
        reason: flow.reason,
        mode: flow.mode,
        protocol: flow.protocol.map(protocol_name),
        remote: flow.remote,
        remote_port: *remote_port,
        local: flow.local,
        local_port: *local_port,
        port: flow.asked.port(),
        icmp_type: if let Asked::IcmpType(number) = flow.asked { Some(number) } else { None },
        ethertype: if let Asked::Ethertype(number) = flow.asked { Some(format!("{number:#06x}")) } else { None },
        bytes: flow.bytes,
    };
    write_json(&line, out)
}

pub(crate) fn write_suppressed(
    format: Format,
    (suppressed, lost): (u64, u64),
    out: &mut impl Write,
) -> Result<(), Failure> {
    let time = jiff::Timestamp::now().round(jiff::Unit::Second).map_err(anyhow::Error::from)?.to_string();
    if format == Format::Text {
        return Ok(writeln!(out, "{time} {suppressed} refused packets suppressed, {lost} events lost so far")?);
    }
    write_json(&Line::Suppressed { time, suppressed, lost }, out)
}

pub(crate) fn write_json(line: &impl Serialize, out: &mut impl Write) -> Result<(), Failure> {
    let text = serde_json::to_string(line).map_err(std::io::Error::from)?;
    match writeln!(out, "{text}") {
        // The first signal came while the reader was slow.
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        other => Ok(other?),
    }
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
