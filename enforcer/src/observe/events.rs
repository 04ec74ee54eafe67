//! Lines about refused packets, as text, as JSON and as syslog.

use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::os::fd::AsFd as _;

use enforcer_common::{Direction, Mode, Reason};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::syslog::{Message, host_name};
use super::told::{Sink, text};
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
    /// Messages of syslog (RFC 5424) with structured data, one in each line.
    Syslog,
}

/// Lines of a format.
#[derive(Debug)]
pub(crate) struct Lines<W> {
    pub(crate) format: Format,
    pub(crate) out: W,
}

impl<W: Write> Sink for Lines<W> {
    fn event(&mut self, event: &DeniedEvent) -> Result<(), Failure> {
        write_event(self.format, event, &mut self.out)
    }

    fn suppressed(&mut self, numbers: (u64, u64)) -> Result<(), Failure> {
        write_suppressed(self.format, numbers, &mut self.out)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
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
    match format {
        Format::Text => return Ok(writeln!(out, "{}", text(event))?),
        Format::Syslog => return Ok(writeln!(out, "{}", Message::denied(event).syslog(host_name()))?),
        Format::Json => {}
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
    let now = jiff::Timestamp::now();
    let time = now.round(jiff::Unit::Second).map_err(anyhow::Error::from)?.to_string();
    match format {
        Format::Text => {
            return Ok(writeln!(out, "{time} {suppressed} refused packets suppressed, {lost} events lost so far")?);
        }
        Format::Syslog => {
            let message = Message::suppressed((suppressed, lost), now);
            return Ok(writeln!(out, "{}", message.syslog(host_name()))?);
        }
        Format::Json => {}
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
