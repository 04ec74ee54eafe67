//! How interfaces stand on each other: ports under their bridge, VLANs and macvlans on what carries them.

use std::collections::BTreeSet;

use rtnetlink::packet_route::link::InfoKind;

use super::Link;

/// The bridge that an interface is a port of.
#[must_use]
pub fn bridge_of<'a>(link: &Link, links: &'a [Link]) -> Option<&'a Link> {
    links.iter().find(|master| Some(master.index) == link.master && master.kind == Some(InfoKind::Bridge))
}

/// These interfaces, and all that stand above them.
#[must_use]
pub fn with_those_above(links: &[Link], mut found: BTreeSet<u32>) -> BTreeSet<u32> {
    loop {
        let is_below = |link: &Link, index: u32| link.master == Some(index);
        let above = links.iter().filter(|link| {
            link.lower.is_some_and(|lower| found.contains(&lower))
                || links.iter().any(|port| is_below(port, link.index) && found.contains(&port.index))
        });
        let new: Vec<u32> = above.map(|link| link.index).filter(|index| !found.contains(index)).collect();
        if new.is_empty() {
            return found;
        }
        found.extend(new);
    }
}

/// Hardware addresses by which bridges deliver to this machine: of the bridges, of their ports, and of what stands on either. A
/// macvtap is somebody else's: a guest is behind it.
#[must_use]
pub fn delivered_by_bridges(links: &[Link]) -> BTreeSet<[u8; 6]> {
    let is_bridge = |index: u32| links.iter().any(|one| one.index == index && one.kind == Some(InfoKind::Bridge));
    let stations = links.iter().filter(|link| is_bridge(link.index) || link.master.is_some_and(is_bridge));
    let all = with_those_above(links, stations.map(|link| link.index).collect());
    let ours = links.iter().filter(|link| all.contains(&link.index) && link.kind != Some(InfoKind::MacVtap));
    ours.filter_map(|link| link.mac).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: Option<InfoKind>, master: Option<u32>, lower: Option<u32>) -> Link {
        let mac = Some([2, 0, 0, 0, 0, u8::try_from(index).unwrap()]);
        Link { kind, mac, master, lower, ..Link::for_tests(index, &format!("if{index}")) }
    }

    fn stack() -> Vec<Link> {
        vec![
            link(1, None, Some(2), None),
            link(2, Some(InfoKind::Bridge), None, None),
            link(3, Some(InfoKind::Vlan), None, Some(2)),
            link(4, Some(InfoKind::MacVlan), None, Some(3)),
            link(5, Some(InfoKind::MacVtap), None, Some(2)),
            link(6, None, None, None),
        ]
    }

    #[test]
    fn what_stands_above_a_port_is_its_bridge_and_what_stands_on_that() {
        let links = stack();
        assert_eq!(with_those_above(&links, [1].into()), [1, 2, 3, 4, 5].into());
        assert_eq!(with_those_above(&links, [6].into()), [6].into());
        assert_eq!(bridge_of(&links[0], &links).map(|bridge| bridge.index), Some(2));
        assert_eq!(bridge_of(&links[2], &links), None);
    }

    #[test]
    fn a_bridge_delivers_to_what_stands_on_it_and_not_to_a_guest() {
        let last: Vec<u8> = delivered_by_bridges(&stack()).into_iter().map(|mac| mac[5]).collect();
        assert_eq!(last, [1, 2, 3, 4]);
    }
}
