//! TCP, UDP, SCTP and ICMP: the ports, flags and types that a packet is judged by.

use super::address::Address;
use super::network::Network;
use crate::frame::{Frame, Header};
use crate::numbers::{ICMP, ICMPV6, IGMP, SCTP, TCP, UDP};
use crate::outcome::Outcome;
use crate::seen::Seen;

const TCP_SHORTEST: usize = 20;
const UDP_HEADER: usize = 8;
const SCTP_HEADER: usize = 12;
const ICMP_HEADER: usize = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_6: u8 = 128;
const ECHO_REPLY_6: u8 = 129;

/// What stands above IP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Segment {
    /// Port of the sender in host byte order. Echo: 0 in a request, the identifier in a reply.
    pub source_port: u16,
    /// Port of the receiver in host byte order. Echo: the identifier in a request, 0 in a reply.
    pub destination_port: u16,
    /// What is asked for: the destination port, or the ICMP type.
    pub asked: u16,
    /// As [`Seen::flags`].
    pub flags: u32,
}

/// Reads what is above IP. Other protocols have nothing that is read, and later fragments must not come here.
///
/// # Errors
/// `malformed`, or in a first fragment `tiny-fragment`, where the header does not fit or contradicts the packet's length.
#[inline(always)]
pub fn transport<A: Address>(frame: &impl Frame, network: &Network<A>) -> Result<Segment, Outcome> {
    let left = network.end - network.at;
    let mut flags = Seen::CONVERSATION;
    let (source_port, destination_port) = match network.protocol {
        TCP => {
            if left < TCP_SHORTEST {
                return Err(network.fragment.does_not_fit());
            }
            let Some(header) = frame.header::<TCP_SHORTEST>(network.at) else {
                return Err(network.fragment.does_not_fit());
            };
            let length = usize::from(header.u8::<12>() >> 4) * 4;
            if length < TCP_SHORTEST {
                return Err(super::MALFORMED);
            }
            if length > left {
                return Err(network.fragment.does_not_fit());
            }
            flags |= u32::from(header.u8::<13>());
            (header.be16::<0>(), header.be16::<2>())
        }
        UDP => {
            if left < UDP_HEADER {
                return Err(network.fragment.does_not_fit());
            }
            let Some(header) = frame.header::<UDP_HEADER>(network.at) else {
                return Err(network.fragment.does_not_fit());
            };
            let length = usize::from(header.be16::<4>());
            // The length covers the whole datagram, of which a fragment holds a part; segments of a super-packet share one header.
            // Asked only where the length is odd: for most datagrams there is nothing to excuse.
            if length < UDP_HEADER || length > left {
                let exempt = frame.is_super_packet() || !network.fragment.is_whole();
                if !exempt || length != 0 && length < UDP_HEADER {
                    return Err(super::MALFORMED);
                }
            }
            (header.be16::<0>(), header.be16::<2>())
        }
        SCTP => {
            if left < SCTP_HEADER {
                return Err(network.fragment.does_not_fit());
            }
            let Some(header) = frame.header::<SCTP_HEADER>(network.at) else {
                return Err(network.fragment.does_not_fit());
            };
            (header.be16::<0>(), header.be16::<2>())
        }
        ICMP | ICMPV6 => return icmp(frame, network),
        // RFC 3376, section 4: eight bytes at least.
        IGMP if A::FAMILY == 4 => {
            if left < ICMP_HEADER {
                return Err(network.fragment.does_not_fit());
            }
            return if frame.header::<ICMP_HEADER>(network.at).is_some() {
                Ok(Segment::default())
            } else {
                Err(network.fragment.does_not_fit())
            };
        }
        _ => return Ok(Segment::default()),
    };
    Ok(Segment { source_port, destination_port, asked: destination_port, flags })
}

#[inline(always)]
fn icmp<A: Address>(frame: &impl Frame, network: &Network<A>) -> Result<Segment, Outcome> {
    if (network.protocol == ICMP) != (A::FAMILY == 4) {
        // ICMP of the other family means nothing here; it is judged as a protocol.
        return Ok(Segment::default());
    }
    if network.end - network.at < ICMP_HEADER {
        return Err(network.fragment.does_not_fit());
    }
    let Some(header) = frame.header::<ICMP_HEADER>(network.at) else { return Err(network.fragment.does_not_fit()) };
    let kind = header.u8::<0>();
    let mut segment = Segment { asked: u16::from(kind), ..Segment::default() };
    let (request, reply) = if A::FAMILY == 4 { (ECHO_REQUEST, ECHO_REPLY) } else { (ECHO_REQUEST_6, ECHO_REPLY_6) };
    if kind == request {
        // The identifier stands for the port of the one who asks.
        segment.source_port = header.be16::<4>();
        segment.flags = Seen::CONVERSATION | Seen::ECHO_REQUEST;
    } else if kind == reply {
        segment.destination_port = header.be16::<4>();
        segment.flags = Seen::CONVERSATION;
    }
    Ok(segment)
}
