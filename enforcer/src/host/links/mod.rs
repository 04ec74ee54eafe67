//! Network interfaces and addresses of this network namespace, over rtnetlink.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use ipnet::Ipv4Net;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeader, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkXdp};
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::packet_route::tc::TcHandle;

use crate::failure::Failure;

mod children;
mod filters;
mod neighbours;
mod ports;
mod routers;
mod stack;

pub use children::{Child, children};
pub use filters::{Filter, filters};
pub use neighbours::probe_neighbours;
pub use ports::ports_of_guest;
pub use routers::routers;
pub use stack::{bridge_of, delivered_by_bridges, with_those_above};

/// Netlink did not answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask the kernel for {what}")]
pub struct LinksError {
    what: &'static str,
    #[source]
    source: anyhow::Error,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// What kind of virtual interface it is; `None`: hardware.
    pub kind: Option<InfoKind>,
    /// Whether frames begin with an Ethernet header.
    pub is_ethernet: bool,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
    /// Hardware address.
    pub mac: Option<[u8; 6]>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Index of the bridge or bond above it.
    pub master: Option<u32>,
    /// Index of the interface that carries its packets (of a VLAN, for example); `None` where that is no interface of this
    /// namespace, or where `IFLA_LINK` means something else, as on veth.
    pub lower: Option<u32>,
    /// Whether it is up.
    pub is_up: bool,
    /// Id of the XDP program on it.
    pub xdp_program: Option<u32>,
    /// Packets that it has received, as its driver counts them.
    pub received: u64,
}

#[cfg(test)]
impl Link {
    /// A hardware interface that is up, for tests.
    pub(crate) fn for_tests(index: u32, name: &str) -> Self {
        Self {
            index,
            name: name.to_owned(),
            kind: None,
            is_ethernet: true,
            is_loopback: false,
            mac: None,
            mtu: 1500,
            master: None,
            lower: None,
            is_up: true,
            xdp_program: None,
            received: 0,
        }
    }
}

/// Addresses of this namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Addresses {
    /// Unicast addresses of all interfaces, loopback's own left out, and those that another host may have as well: of which it is
    /// not known yet whether one has (tentative), and of which it is (failed).
    pub own: BTreeSet<IpAddr>,
    /// Those of which it is not known yet.
    pub tentative: BTreeSet<IpAddr>,
    /// Broadcast addresses of the networks they are in: the last of each, and those that were added as such.
    pub broadcasts: BTreeSet<Ipv4Addr>,
    /// Interfaces by the unicast addresses they have.
    pub interfaces: BTreeMap<IpAddr, BTreeSet<u32>>,
}

/// Every interface of this namespace, by index.
///
/// # Errors
/// When netlink cannot be asked.
pub fn links() -> Result<Vec<Link>, LinksError> {
    let messages =
        ask("its interfaces", |handle| async move { handle.link().get().execute().try_collect::<Vec<_>>().await })?;
    let mut links: Vec<Link> = messages
        .into_iter()
        .map(|message| {
            let mut link = Link {
                index: message.header.index,
                name: String::new(),
                kind: None,
                is_ethernet: message.header.link_layer_type == LinkLayerType::Ether,
                is_loopback: message.header.link_layer_type == LinkLayerType::Loopback,
                mac: None,
                mtu: 0,
                master: None,
                lower: None,
                is_up: message.header.flags.contains(LinkFlags::Up),
                xdp_program: None,
                received: 0,
            };
            for attribute in message.attributes {
                read_attribute(&mut link, attribute);
            }
            let is_above = matches!(
                link.kind,
                Some(
                    InfoKind::Vlan
                        | InfoKind::MacVlan
                        | InfoKind::MacVtap
                        | InfoKind::IpVlan
                        | InfoKind::IpVtap
                        | InfoKind::MacSec
                )
            );
            link.lower = link.lower.filter(|_| is_above);
            link
        })
        .collect();
    links.sort_by_key(|link| link.index);
    Ok(links)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kernel tells much more than is asked for here")]
fn read_attribute(link: &mut Link, attribute: LinkAttribute) {
    match attribute {
        LinkAttribute::IfName(name) => link.name = name,
        LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
        LinkAttribute::Mtu(mtu) => link.mtu = mtu,
        LinkAttribute::Stats64(counted) => link.received = counted.rx_packets,
        LinkAttribute::Controller(index) => link.master = Some(index),
        LinkAttribute::Link(index) => link.lower = Some(index),
        LinkAttribute::LinkInfo(infos) => {
            link.kind =
                infos.into_iter().find_map(|info| if let LinkInfo::Kind(kind) = info { Some(kind) } else { None });
        }
        LinkAttribute::Xdp(xdp) => {
            link.xdp_program = xdp.into_iter().find_map(|part| match part {
                LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id)
                    if id != 0 =>
                {
                    Some(id)
                }
                _ => None,
            });
        }
        _ => {}
    }
}

/// Every address of this namespace.
///
/// # Errors
/// When netlink cannot be asked.
pub fn addresses() -> Result<Addresses, LinksError> {
    let messages =
        ask("its addresses", |handle| async move { handle.address().get().execute().try_collect::<Vec<_>>().await })?;
    Ok(gathered(messages))
}

fn gathered(messages: Vec<AddressMessage>) -> Addresses {
    let mut addresses = Addresses::default();
    for message in messages {
        let AddressHeader { index, prefix_len, flags, .. } = message.header;
        let mut ours = |address| {
            // RFC 4862, section 5.4: it is not the host's before detection of duplicates has ended well.
            if flags.contains(AddressHeaderFlags::Dadfailed) {
                return;
            }
            if flags.contains(AddressHeaderFlags::Tentative) {
                addresses.tentative.insert(address);
                return;
            }
            addresses.own.insert(address);
            addresses.interfaces.entry(address).or_default().insert(index);
        };
        for attribute in message.attributes {
            // IFA_LOCAL is ours on point-to-point links, where IFA_ADDRESS is the peer; IPv6 has IFA_ADDRESS alone.
            #[expect(clippy::wildcard_enum_match_arm, reason = "the kernel tells much more than is asked for here")]
            match attribute {
                AddressAttribute::Local(address) | AddressAttribute::Address(address @ IpAddr::V6(_)) => ours(address),
                // The network is the peer's where there is one: so the kernel has it.
                AddressAttribute::Address(IpAddr::V4(address)) => {
                    addresses.broadcasts.extend(directed_broadcast(address, prefix_len));
                }
                AddressAttribute::Broadcast(address) => {
                    addresses.broadcasts.insert(address);
                }
                _ => {}
            }
        }
    }
    addresses.own.retain(|address| !address.is_loopback());
    addresses
}

/// The last address of a network is its broadcast address to the kernel, whether or not the address was added with one
/// (`fib_add_ifaddr`). Networks of two addresses and of one have none (RFC 3021).
fn directed_broadcast(address: Ipv4Addr, prefix_len: u8) -> Option<Ipv4Addr> {
    let network = Ipv4Net::new(address, prefix_len).ok().filter(|_| (1..=30).contains(&prefix_len))?;
    Some(network.broadcast()).filter(|_| !address.is_loopback())
}

/// By which interfaces packets to these addresses would leave. An address without a route is left out.
///
/// # Errors
/// When netlink cannot be asked.
pub fn outgoing_interfaces(remotes: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, u32>, LinksError> {
    if remotes.is_empty() {
        return Ok(BTreeMap::new());
    }
    ask("its routes", |handle| async move {
        let mut found = BTreeMap::new();
        for remote in remotes {
            let question = match remote {
                IpAddr::V4(remote) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(*remote, 32).build(),
                IpAddr::V6(remote) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(*remote, 128).build(),
            };
            // "Network is unreachable" is an answer.
            let Ok(Some(route)) = handle.route().get(question).execute().try_next().await else { continue };
            let index = route
                .attributes
                .iter()
                .find_map(|one| if let RouteAttribute::Oif(index) = one { Some(*index) } else { None });
            found.extend(index.map(|index| (*remote, index)));
        }
        Ok(found)
    })
}

/// Removes the clsact qdisc of an interface if no filter is on it. Says whether it was removed.
///
/// # Errors
/// When netlink cannot be asked, or refuses.
pub fn remove_clsact_if_unused(index: u32) -> Result<bool, LinksError> {
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    ask("the filters of an interface", |handle| async move {
        let ingress = handle.traffic_filter(index).get().ingress().execute().try_collect::<Vec<_>>().await?;
        let egress = handle.traffic_filter(index).get().egress().execute().try_collect::<Vec<_>>().await?;
        if !ingress.is_empty() || !egress.is_empty() {
            return Ok(false);
        }
        let mut request = handle.qdisc().del(index);
        let header = &mut request.message_mut().header;
        (header.parent, header.handle) = (TcHandle::CLSACT, TcHandle { major: 0xffff, minor: 0 });
        request.execute().await.map(|()| true)
    })
}

/// Whether a filter with this handle is on the clsact qdisc of an interface.
///
/// # Errors
/// When netlink cannot be asked, or there is no such interface.
pub fn has_clsact_filter(index: u32, is_egress: bool, handle: u16) -> Result<bool, LinksError> {
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    let handle = TcHandle { major: 0, minor: handle };
    ask("the filters of an interface", |client| async move {
        let request = client.traffic_filter(index).get();
        let request = if is_egress { request.egress() } else { request.ingress() };
        let filters = request.execute().try_collect::<Vec<_>>().await?;
        Ok(filters.iter().any(|filter| filter.header.handle == handle))
    })
}

fn ask<T, F, Fut>(what: &'static str, question: F) -> Result<T, LinksError>
where
    F: FnOnce(rtnetlink::Handle) -> Fut,
    Fut: Future<Output = Result<T, rtnetlink::Error>>,
{
    let answer = || -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            let task = tokio::spawn(connection);
            let answer = question(handle).await;
            task.abort();
            Ok(answer?)
        })
    };
    answer().map_err(|source| LinksError { what, source })
}

impl From<LinksError> for Failure {
    fn from(error: LinksError) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(prefix_len: u8, attributes: Vec<AddressAttribute>) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header = AddressHeader { prefix_len, index: 2, ..message.header };
        message.attributes = attributes;
        message
    }

    fn broadcasts(address: &str, prefix_len: u8) -> Vec<String> {
        let address: IpAddr = address.parse().unwrap();
        let attributes = vec![AddressAttribute::Address(address), AddressAttribute::Local(address)];
        gathered(vec![message(prefix_len, attributes)]).broadcasts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_network_has_a_broadcast_address_whether_or_not_it_was_added_with_one() {
        assert_eq!(broadcasts("198.18.0.1", 24), ["198.18.0.255"]);
        assert_eq!(broadcasts("10.1.2.3", 8), ["10.255.255.255"]);
        assert_eq!(broadcasts("10.7.0.1", 30), ["10.7.0.3"]);
        assert_eq!(broadcasts("10.7.0.4", 31), Vec::<String>::new(), "both are hosts");
        assert_eq!(broadcasts("10.7.0.6", 32), Vec::<String>::new());
        assert_eq!(broadcasts("127.0.0.1", 8), Vec::<String>::new(), "it is not of the wire");
        assert_eq!(broadcasts("2001:db8::1", 24), Vec::<String>::new(), "IPv6 has none");
    }

    #[test]
    fn one_that_was_added_as_such_counts_as_well() {
        let address = Ipv4Addr::new(198, 18, 0, 1);
        let old = AddressAttribute::Broadcast(Ipv4Addr::new(198, 18, 0, 0));
        let found = gathered(vec![message(24, vec![AddressAttribute::Address(address.into()), old])]);
        assert_eq!(found.broadcasts, [[198, 18, 0, 0], [198, 18, 0, 255]].map(Ipv4Addr::from).into());
    }

    #[test]
    fn an_address_is_ours_once_nobody_else_has_it() {
        let address: IpAddr = "2001:db8::50".parse().unwrap();
        let found = |flags| {
            let mut message = message(64, vec![AddressAttribute::Address(address)]);
            message.header.flags = flags;
            let Addresses { own, tentative, .. } = gathered(vec![message]);
            (own.contains(&address), tentative.contains(&address))
        };
        assert_eq!(found(AddressHeaderFlags::Permanent), (true, false));
        assert_eq!(found(AddressHeaderFlags::Tentative), (false, true));
        assert_eq!(found(AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed), (false, false));
    }

    #[test]
    fn on_a_point_to_point_link_the_network_is_that_of_the_peer() {
        let (own, peer) = (IpAddr::from([10, 9, 0, 1]), IpAddr::from([10, 8, 0, 1]));
        let attributes = vec![AddressAttribute::Address(peer), AddressAttribute::Local(own)];
        let found = gathered(vec![message(24, attributes)]);
        assert_eq!(found.own, [own].into());
        assert_eq!(found.broadcasts, [Ipv4Addr::new(10, 8, 0, 255)].into());
    }
}
