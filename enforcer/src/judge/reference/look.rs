//! Who speaks to whom in a frame, for a person.

use std::net::IpAddr;

use super::packet::{self, Fragment, Upper};

/// What can be seen of an IP packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Looked {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol behind all extension headers; `None` where they cannot be read.
    pub protocol: Option<u8>,
    /// Source and destination port.
    pub ports: Option<(u16, u16)>,
    /// ICMP type.
    pub icmp: Option<u8>,
}

/// Looks at a frame; `None` where there is no IP header that can be read.
#[must_use]
pub fn look(frame: &[u8]) -> Option<Looked> {
    let link = packet::link(frame, false).ok()?;
    let ip = match link.ethertype {
        0x0800 => packet::ipv4(link.payload, true).ok()?,
        0x86dd => packet::ipv6(link.payload, true).ok()?,
        _ => return None,
    };
    let mut looked = Looked { source: ip.source, destination: ip.destination, protocol: None, ports: None, icmp: None };
    if let Ok(rest) = ip.rest {
        looked.protocol = Some(rest.protocol);
        let is_later = matches!(rest.fragment, Fragment::Later { .. });
        match packet::upper(&rest, ip.source.is_ipv6(), true) {
            Ok(Upper::Ports { source, destination, .. }) if !is_later => looked.ports = Some((source, destination)),
            Ok(Upper::Icmp { kind, .. }) if !is_later => looked.icmp = Some(kind),
            Ok(Upper::Ports { .. } | Upper::Icmp { .. } | Upper::Igmp | Upper::Other) | Err(_) => {}
        }
    }
    Some(looked)
}

/// The ethertype of a frame behind its tags.
#[must_use]
pub fn ethertype(frame: &[u8]) -> Option<u16> {
    packet::link(frame, false).ok().map(|link| link.ethertype)
}
