//! What judging a packet needs to know of the host, beside the policy.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::policy::claims::Claims;

/// The protected host and the interface that is judged for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// Addresses of this host, and the broadcast addresses of its networks.
    pub addresses: BTreeSet<IpAddr>,
    /// Hardware addresses by which a bridge delivers to this host: its own, and those of what is stacked on it.
    pub macs: Vec<[u8; 6]>,
    /// Whether the interface is a bridge port.
    pub bridge_port: bool,
    /// Whether the protected host is behind the interface.
    pub guest: bool,
    /// What it may then claim to be.
    pub claims: Claims,
    /// Who is known to have addresses, as the programs are told it.
    pub holders: Vec<(IpNet, u32)>,
    /// Local ports of the host's own connections (`net.ipv4.ip_local_port_range`).
    pub ephemeral: RangeInclusive<u16>,
    /// Local ports that have a listener, by IP protocol.
    pub listeners: BTreeSet<(u8, u16)>,
    /// Destinations that the kernel would forward to (scope `host`).
    pub forwards: Vec<IpNet>,
}

impl Host {
    /// The slot of a guest in memory.
    pub const SLOT_OF_GUEST: u32 = 1;

    /// A host with these addresses, the usual ephemeral range and nothing else.
    #[must_use]
    pub fn with_addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { addresses: addresses.into_iter().collect(), ..Self::default() }
    }

    /// Whether the kernel would forward a packet between these addresses. Addresses of the link stay on the link (RFC 4291,
    /// section 2.5.6): `bpf_fib_lookup` does not even look for a route.
    #[must_use]
    pub fn would_forward(&self, source: IpAddr, destination: IpAddr) -> bool {
        let stays = |address: IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast() || address.is_loopback(),
        };
        !stays(source) && !stays(destination) && self.forwards.iter().any(|net| net.contains(&destination))
    }
}

impl Default for Host {
    fn default() -> Self {
        Self {
            addresses: BTreeSet::new(),
            macs: Vec::new(),
            bridge_port: false,
            guest: false,
            claims: Claims::default(),
            holders: Vec::new(),
            ephemeral: 32768..=60999,
            listeners: BTreeSet::new(),
            forwards: Vec::new(),
        }
    }
}
