//! Probing the neighbours of an interface.

use std::net::IpAddr;

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};

use super::{LinksError, ask};

/// Makes the kernel probe the known neighbours of an interface (ARP, neighbour discovery), as it does by itself from time to time. One
/// frame is sent to each, and each answers with one. Returns how many were probed.
///
/// # Errors
/// When netlink cannot be asked.
pub fn probe_neighbours(index: u32) -> Result<usize, LinksError> {
    /// An interface may have thousands.
    const MOST: usize = 8;
    ask("the neighbours of an interface", |handle| async move {
        let all = handle.neighbours().get().execute().try_collect::<Vec<_>>().await?;
        let mut asked = 0;
        for (address, link_layer) in all.iter().filter_map(|one| on(one, index)).take(MOST) {
            let request = handle.neighbours().add(index, address).state(NeighbourState::Probe);
            // A neighbour that was removed meanwhile is not an error.
            asked += usize::from(request.link_layer_address(link_layer).replace().execute().await.is_ok());
        }
        Ok(asked)
    })
}

/// Addresses of a neighbour on this interface that can be probed.
fn on(message: &NeighbourMessage, index: u32) -> Option<(IpAddr, &[u8])> {
    let is_known = matches!(
        message.header.state,
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe
    );
    if message.header.ifindex != index || !is_known {
        return None;
    }
    let (mut address, mut link_layer) = (None, None);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kernel tells much more than is asked for here")]
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::V4(*v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::V6(*v6)),
            NeighbourAttribute::LinkLayerAddress(bytes) => link_layer = Some(bytes.as_slice()),
            _ => {}
        }
    }
    Some((address?, link_layer?))
}
