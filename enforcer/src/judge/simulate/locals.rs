//! Whose capture it is: the addresses of the protected host, told or guessed.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use enforcer_common::Direction;

use super::captured::Captured;
use crate::judge::capture::{Addresses, Packet};
use crate::judge::reference::look;

/// Addresses that are counted at most; a scan of a whole network must not fill the memory.
const COUNTED: usize = 1 << 16;

/// Where the addresses come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// `--local`.
    Named,
    /// The capture says what addresses its interface has.
    Interface,
    /// The capture says which packets left the host.
    Direction,
    /// They are in most of the packets.
    Guess,
}

/// The host's addresses and how they are known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Locals {
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// How they are known.
    pub origin: Origin,
    /// Packets that carry one of them, of all with an IP header; only for a guess.
    pub share: Option<(u64, u64)>,
}

/// Looks over a capture for the addresses of its host.
#[derive(Debug, Default)]
pub struct Survey {
    sources_of_outbound: BTreeSet<IpAddr>,
    counts: HashMap<IpAddr, u64>,
    packets: [u64; 2],
}

impl Survey {
    /// Looks at a packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let Ok(captured) = Captured::of(packet) else { return };
        let Some(looked) = look(&captured.padded()) else { return };
        if captured.direction == Some(Direction::Outbound) && self.sources_of_outbound.len() < COUNTED {
            self.sources_of_outbound.insert(looked.source);
        }
        self.packets[usize::from(looked.source.is_ipv6())] += 1;
        for address in [looked.source, looked.destination] {
            if !address.is_multicast() && !address.is_unspecified() && !is_broadcast(address) {
                if let Some(count) = self.counts.get_mut(&address) {
                    *count += 1;
                } else if self.counts.len() < COUNTED {
                    self.counts.insert(address, 1);
                }
            }
        }
    }

    /// The addresses, as far as they can be known; `None` where no address is in most of the packets.
    #[must_use]
    pub fn locals(&self, interface: &Addresses) -> Option<Locals> {
        if !interface.is_empty() {
            return Some(Locals { addresses: interface.clone(), origin: Origin::Interface, share: None });
        }
        if !self.sources_of_outbound.is_empty() {
            let addresses = self.sources_of_outbound.clone();
            return Some(Locals { addresses, origin: Origin::Direction, share: None });
        }
        let mut addresses = BTreeSet::new();
        let mut share = (0, 0);
        for family in [0, 1] {
            let all = self.packets[family];
            let of_family = self.counts.iter().filter(|(address, _)| usize::from(address.is_ipv6()) == family);
            // Of equals the smaller address, so that two runs guess alike.
            let most = of_family.max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
            if let Some((address, count)) = most.filter(|(_, count)| **count * 2 > all) {
                // Between two hosts that speak only to each other nobody can tell.
                let rivals = self.counts.iter().filter(|(other, rival)| *other != address && *rival == count);
                if rivals.filter(|(other, _)| other.is_ipv6() == address.is_ipv6()).count() > 0 {
                    continue;
                }
                addresses.insert(*address);
                share = (share.0 + *count, share.1 + all);
            }
        }
        (!addresses.is_empty()).then_some(Locals { addresses, origin: Origin::Guess, share: Some(share) })
    }
}

/// The limited broadcast address.
pub(super) fn is_broadcast(address: IpAddr) -> bool {
    address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}
