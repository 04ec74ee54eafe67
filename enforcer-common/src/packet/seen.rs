//! From headers to what was seen of a packet.

use super::address::Address;
use super::network::Network;
use super::transport::Segment;
use crate::Direction;
use crate::frame::Frame;
use crate::seen::Seen;

impl Seen {
    /// From the headers.
    #[must_use]
    #[inline(always)]
    pub fn of<A: Address, F: Frame>(frame: &F, network: &Network<A>, direction: Direction, segment: Segment) -> Self {
        let Segment { source_port, destination_port, asked, flags } = segment;
        let (source, destination) = (network.source.mapped(), network.destination(frame).mapped());
        let (remote, local, remote_port, local_port) = match direction {
            Direction::Inbound => (source, destination, source_port, destination_port),
            Direction::Outbound => (destination, source, destination_port, source_port),
        };
        Self { remote, local, remote_port, local_port, asked, family: A::FAMILY, protocol: network.protocol, flags }
    }
}
