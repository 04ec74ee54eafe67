//! One packet in words: `in tcp 10.0.0.5:40000 -> :8443`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::Direction;
use enforcer_common::numbers::{ICMP, ICMPV6, SCTP, TCP, UDP};

use crate::judge::frame::{self, IPV4, IPV6, OUR_MAC, V4};
use crate::policy::site::{parse_protocol, protocol_name};
use crate::text::decimal;
use crate::text::diagnostic::Diagnostic;
use crate::text::line::Line;
use crate::text::nearest::did_you_mean;

/// Where a port is left out: one that a client may have.
pub(crate) const CLIENT_PORT: u16 = 50_000;

/// A packet that starts a conversation: a SYN, a datagram, a ping, or any packet of another protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tuple {
    /// Which way it goes.
    pub direction: Direction,
    /// IP protocol.
    pub protocol: u8,
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Source and destination port, of protocols that have them.
    pub ports: Option<(u16, u16)>,
}

impl Tuple {
    /// Reads a tuple.
    ///
    /// # Errors
    ///
    /// What is wrong, pointing at the part of it that is.
    pub fn parse(text: &str) -> Result<Self, Box<Diagnostic>> {
        let line = Line::new("tuple", text);
        let (head, tail) = text.split_once("->").ok_or_else(|| {
            let message = "`->` is missing between where the packet comes from and where it goes";
            line.error(text, message).with_hint(EXAMPLE)
        })?;
        let mut words = head.split_whitespace();
        let end = &head[head.trim_end().len()..head.trim_end().len()];
        let direction = match words.next() {
            Some("in") => Direction::Inbound,
            Some("out") => Direction::Outbound,
            Some(other) => {
                let message = format!("expected `in` or `out`, seen from the protected host, found `{other}`");
                return Err(line.error(other, message).with_hint_if(did_you_mean(other, ["in", "out"])).into());
            }
            None => return Err(line.error(end, "expected `in` or `out` and a protocol").with_hint(EXAMPLE).into()),
        };
        let protocol_word = words.next().ok_or_else(|| line.error(end, "a protocol is missing").with_hint(EXAMPLE))?;
        let protocol = parse_protocol(protocol_word).ok_or_else(|| {
            let known = (0..=u8::MAX).map(protocol_name).collect::<Vec<_>>();
            let hint = did_you_mean(protocol_word, known.iter().map(String::as_str));
            let hint =
                hint.unwrap_or_else(|| "a name such as `tcp`, `udp`, `icmp`, `esp`, or a number from 0 to 255".into());
            line.error(protocol_word, format!("`{protocol_word}` is no IP protocol")).with_hint(hint)
        })?;
        let source = words.next();
        if let Some(more) = words.next() {
            return Err(line.error(more, format!("`{more}` is too much before `->`")).with_hint(EXAMPLE).into());
        }
        let mut words = tail.split_whitespace();
        let destination = words.next();
        if let Some(more) = words.next() {
            return Err(line.error(more, format!("`{more}` is too much after `->`")).with_hint(EXAMPLE).into());
        }
        let source = End::parse(&line, source)?;
        let destination = End::parse(&line, destination)?;
        let after = &tail[tail.trim_end().len()..tail.trim_end().len()];
        let has_ports = matches!(protocol, TCP | UDP | SCTP);
        let ports = match (has_ports, destination.port) {
            (true, Some((port, _))) => Some((source.port.map_or(CLIENT_PORT, |(port, _)| port), port)),
            (true, None) => {
                let message = format!("{} needs the port that it goes to", protocol_name(protocol));
                let at = destination.word.unwrap_or(after);
                return Err(line.error(at, message).with_hint("write `-> :443` or `-> 10.0.0.1:443`").into());
            }
            (false, _) => None,
        };
        if let (false, Some((_, port))) = (has_ports, source.port.or(destination.port)) {
            let message = format!("{} has no ports", protocol_name(protocol));
            return Err(line.error(port, message).with_hint("leave the port out").into());
        }
        // The remote side decides; the host's own address is only asked for where it is known.
        let (remote, end_of_remote) = match direction {
            Direction::Inbound => (source.address, end),
            Direction::Outbound => (destination.address, after),
        };
        let Some(remote) = remote else {
            let message = match direction {
                Direction::Inbound => "an inbound packet needs the address that it comes from",
                Direction::Outbound => "an outbound packet needs the address that it goes to",
            };
            return Err(line.error(end_of_remote, message).with_hint(EXAMPLE).into());
        };
        let fitting: IpAddr =
            if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let (source_address, destination_address) =
            (source.address.unwrap_or(fitting), destination.address.unwrap_or(fitting));
        if source_address.is_ipv4() != destination_address.is_ipv4() {
            let at = destination.word.unwrap_or(after);
            return Err(line.error(at, "one address is IPv4 and the other is IPv6").into());
        }
        if protocol == ICMPV6 && remote.is_ipv4() || protocol == ICMP && remote.is_ipv6() {
            let other = protocol_name(if protocol == ICMP { ICMPV6 } else { ICMP });
            let hint = format!("over {} it is `{other}`", if remote.is_ipv4() { "IPv4" } else { "IPv6" });
            return Err(line.error(protocol_word, "this protocol belongs to the other family").with_hint(hint).into());
        }
        Ok(Self { direction, protocol, source: source_address, destination: destination_address, ports })
    }

    /// The side that is not the protected host.
    #[must_use]
    pub const fn remote(&self) -> IpAddr {
        match self.direction {
            Direction::Inbound => self.source,
            Direction::Outbound => self.destination,
        }
    }

    /// The packet as a frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let (source, destination) = self.ports.unwrap_or_default();
        let body = match self.protocol {
            TCP => frame::tcp(source, destination, 0x02),
            UDP => frame::udp(source, destination, &[]),
            SCTP => frame::sctp(source, destination),
            ICMP => frame::icmp(8, 1),
            ICMPV6 => frame::icmp(128, 1),
            _ => vec![0; 8],
        };
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame::ethernet(OUR_MAC, &[], IPV4, &V4::new(source, destination, self.protocol).build(&body))
            }
            (source, destination) => {
                let (source, destination) = (mapped(source), mapped(destination));
                let packet = frame::ipv6(source, destination, 64, &[], self.protocol, &body);
                frame::ethernet(OUR_MAC, &[], IPV6, &packet)
            }
        }
    }
}

/// The tuple in its own grammar.
impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |address: IpAddr, port: Option<u16>| {
            let address = match address {
                address if address.is_unspecified() => String::new(),
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            };
            port.map_or_else(|| address.clone(), |port| format!("{address}:{port}"))
        };
        let direction = match self.direction {
            Direction::Inbound => "in",
            Direction::Outbound => "out",
        };
        let source = side(self.source, self.ports.map(|(source, _)| source));
        let destination = side(self.destination, self.ports.map(|(_, destination)| destination));
        write!(f, "{direction} {} {source} -> {destination}", protocol_name(self.protocol))
    }
}

const EXAMPLE: &str = "for example `in tcp 10.0.0.5:40000 -> :8443` or `out udp -> [2001:db8::5]:161`";

/// One end of the tuple.
#[derive(Clone, Copy, Default)]
struct End<'t> {
    word: Option<&'t str>,
    address: Option<IpAddr>,
    port: Option<(u16, &'t str)>,
}

impl<'t> End<'t> {
    fn parse(line: &Line<'_>, word: Option<&'t str>) -> Result<Self, Box<Diagnostic>> {
        let Some(word) = word else { return Ok(Self::default()) };
        let (address, port) = if let Some(rest) = word.strip_prefix('[') {
            let Some((address, behind)) = rest.split_once(']') else {
                return Err(line.error(word, "`]` is missing").into());
            };
            let parsed: Ipv6Addr =
                address.parse().map_err(|_| line.error(address, format!("`{address}` is no IPv6 address")))?;
            let port = match behind.strip_prefix(':') {
                None if behind.is_empty() => None,
                None => return Err(line.error(behind, format!("expected `:` and a port, found `{behind}`")).into()),
                Some(port) => Some(port),
            };
            (Some(IpAddr::V6(parsed)), port)
        } else if word.parse::<Ipv6Addr>().is_ok() {
            let hint = format!("write `[{word}]`, so that a port can follow");
            return Err(line.error(word, "an IPv6 address stands in brackets").with_hint(hint).into());
        } else {
            let (address, port) = match word.split_once(':') {
                Some((address, port)) => (address, Some(port)),
                None => (word, None),
            };
            let parsed = match address {
                "" => None,
                address => Some(address.parse::<Ipv4Addr>().map_err(|_| {
                    let hint = if port.is_none() && address.bytes().all(|byte| byte.is_ascii_digit()) {
                        format!("a port stands behind a colon: `:{address}`")
                    } else {
                        "an address such as `10.0.0.5`, or IPv6 in brackets: `[2001:db8::5]`".into()
                    };
                    line.error(address, format!("`{address}` is no address")).with_hint(hint)
                })?),
            };
            (parsed.map(IpAddr::V4), port)
        };
        let port = match port {
            None => None,
            Some(port) => match decimal::parse(port) {
                Some(number) => Some((number, port)),
                None => {
                    let message = format!("`{port}` is no port");
                    let at = if port.is_empty() { word } else { port };
                    let hint = decimal::leading_zero(port).unwrap_or_else(|| "a number from 0 to 65535".to_owned());
                    return Err(line.error(at, message).with_hint(hint).into());
                }
            },
        };
        Ok(Self { word: Some(word), address, port })
    }
}

const fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests;
