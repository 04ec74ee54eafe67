//! The routers that this machine sends packets through.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteVia};

use super::{LinksError, ask};

/// Addresses of the next hops of this namespace's routes.
///
/// # Errors
/// When netlink cannot be asked.
pub fn routers() -> Result<BTreeSet<IpAddr>, LinksError> {
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    ask("its routes", |handle| async move {
        let mut found = BTreeSet::new();
        for question in [v4, v6] {
            let mut routes = handle.route().get(question).execute();
            while let Some(route) = routes.try_next().await? {
                add(&route.attributes, &mut found);
            }
        }
        Ok(found)
    })
}

fn add(attributes: &[RouteAttribute], found: &mut BTreeSet<IpAddr>) {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kernel tells much more than is asked for here")]
    for attribute in attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(v4)) | RouteAttribute::Via(RouteVia::Inet(v4)) => {
                found.insert(IpAddr::V4(*v4));
            }
            RouteAttribute::Gateway(RouteAddress::Inet6(v6)) | RouteAttribute::Via(RouteVia::Inet6(v6)) => {
                found.insert(IpAddr::V6(*v6));
            }
            RouteAttribute::MultiPath(hops) => hops.iter().for_each(|hop| add(&hop.attributes, found)),
            _ => {}
        }
    }
}
