//! The ports of this machine behind which a guest is, by its hardware address.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::InfoKind;
use rtnetlink::packet_route::neighbour::NeighbourAttribute;

use super::{Link, LinksError, ask, links};

/// First byte of the hardware address that libvirt gives the port of a guest; the other bytes are those of the guest's own.
const LIBVIRT: u8 = 0xfe;

/// The interfaces that lead to a guest with this hardware address, by name: ports that are made for one guest, by their own address or because a
/// bridge has learned the guest's there. A bridge also learns where guests of other machines are, but behind a card.
///
/// # Errors
/// When netlink cannot be asked.
pub fn ports_of_guest(mac: [u8; 6]) -> Result<BTreeSet<String>, LinksError> {
    let learned = ask("the addresses that its bridges have learned", |handle| async move {
        let request = handle.neighbours().get().set_address_family(AddressFamily::Bridge);
        request.execute().try_collect::<Vec<_>>().await
    })?;
    let is_it = |attribute: &NeighbourAttribute| matches!(attribute, NeighbourAttribute::LinkLayerAddress(bytes) if bytes.as_slice() == mac);
    let behind: BTreeSet<u32> = learned
        .iter()
        .filter(|message| message.attributes.iter().any(is_it))
        .map(|message| message.header.ifindex)
        .collect();
    let leads = |link: &&Link| is_port_of_one(link) && (is_named_after(link, mac) || behind.contains(&link.index));
    Ok(links()?.iter().filter(leads).map(|link| link.name.clone()).collect())
}

fn is_port_of_one(link: &Link) -> bool {
    matches!(link.kind, Some(InfoKind::Tun | InfoKind::Veth | InfoKind::MacVtap))
}

fn is_named_after(link: &Link, mac: [u8; 6]) -> bool {
    let is_macvtap = matches!(link.kind, Some(InfoKind::MacVtap));
    link.mac.is_some_and(|own| own[1..] == mac[1..] && (own[0] == LIBVIRT || is_macvtap && own[0] == mac[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_told_by_the_address_that_it_has_after_its_guest() {
        let guest = [0x52, 0x54, 0, 0x0a, 0, 1];
        let link = |kind, mac| Link { kind, mac: Some(mac), ..Link::for_tests(3, "vnet3") };
        let port = link(Some(InfoKind::Tun), [0xfe, 0x54, 0, 0x0a, 0, 1]);
        assert!(is_port_of_one(&port) && is_named_after(&port, guest));
        assert!(!is_named_after(&link(Some(InfoKind::Tun), [0xfe, 0x54, 0, 0x0a, 0, 2]), guest));
        assert!(is_named_after(&link(Some(InfoKind::MacVtap), guest), guest));
        assert!(!is_named_after(&link(Some(InfoKind::Veth), guest), guest));
        assert!(!is_port_of_one(&link(None, guest)) && !is_port_of_one(&link(Some(InfoKind::Bridge), guest)));
    }
}
