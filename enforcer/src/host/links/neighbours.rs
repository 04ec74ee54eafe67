//! Neighbours of an interface, which can be made to answer.

use std::net::IpAddr;

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};

use super::{LinksError, ask};

/// Has the kernel ask the neighbours that it knows on an interface whether they are there still, as it does by itself from time to
/// time: one frame leaves for each, and one comes back. Says how many were asked.
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
            // One that has gone meanwhile cannot answer.
            asked += usize::from(request.link_layer_address(link_layer).replace().execute().await.is_ok());
        }
        Ok(asked)
    })
}

/// A neighbour on this interface that was heard of and may be asked again.
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
