//! What a guest may claim to be: a frame that leaves its port names no address, and plays no part in the network, that is somebody
//! else's.
//!
//! This reads the frame by itself, before it is judged, so that nothing of it stands in the way of a machine without guests: where
//! there are none, the verifier removes the call. What cannot be read is refused, whether or not what leaves is judged.

use crate::Reason;
use crate::frame::{Frame, Header};
use crate::layout::{Config, claim, load};
use crate::numbers::{ARP, DHCP_CLIENT, DHCP_SERVER, DHCPV6_CLIENT, DHCPV6_SERVER, FIRST_ETHERTYPE, SLOW_PROTOCOLS};
use crate::outcome::Outcome;
use crate::packet::{self, Address, ICMP, ICMPV6, Link, MALFORMED, Network, UDP};
use crate::tables::Tables;

const SPOOFED: Outcome = Outcome::new(Reason::Spoofed);

const ROUTER_SOLICITATION: u16 = 133;
const ROUTER_ADVERTISEMENT: u16 = 134;
const NEIGHBOUR_SOLICITATION: u16 = 135;
const NEIGHBOUR_ADVERTISEMENT: u16 = 136;
const REDIRECT: u16 = 137;

/// Options of neighbour discovery that are read at most.
const MOST_OPTIONS: u32 = 16;
/// Offsets of them are not above this: what is behind it is nothing that the verifier lets a program read.
const MOST_BYTES: usize = 0x7fff;

/// Checks a frame that leaves a guest's port.
///
/// # Errors
/// `spoofed`; and where it cannot be read, the reason.
#[inline(always)]
pub(super) fn check<F: Frame, T: Tables>(frame: &F, tables: &T) -> Result<(), Outcome> {
    let Some(header) = frame.header::<14>(0) else { return Err(MALFORMED) };
    check_mac(tables, header.word::<6>(), header.be16::<10>())?;
    let link = packet::link(frame)?;
    match link.ethertype {
        packet::IPV4 => {
            let network = packet::ipv4(frame, link.at)?;
            check_address(tables, network.source)?;
            check_packet(frame, tables, &network)
        }
        packet::IPV6 => {
            let network = packet::ipv6(frame, link.at)?;
            check_address(tables, network.source)?;
            let network = packet::extensions(frame, network)?;
            check_packet(frame, tables, &network)
        }
        ARP => check_arp(frame, tables, &link),
        SLOW_PROTOCOLS if !tables.has(Config::ROUTER) => Err(SPOOFED),
        length if length < FIRST_ETHERTYPE => check_llc(frame, tables, &link),
        _ => Ok(()),
    }
}

/// Whether a packet towards a guest comes from the guest itself, by its source: nobody else has that address.
#[inline(always)]
pub(super) fn is_returned<F: Frame, T: Tables>(frame: &F, tables: &T) -> bool {
    let Ok(link) = packet::link(frame) else { return false };
    match link.ethertype {
        packet::IPV4 => packet::ipv4(frame, link.at).is_ok_and(|network| is_its_own(tables, network.source)),
        packet::IPV6 => packet::ipv6(frame, link.at)
            .is_ok_and(|network| is_its_own(tables, network.source) && !defends_an_address(frame, &network)),
        _ => false,
    }
}

/// Whether a packet is a neighbour advertisement from the link itself: who defends an address that this host also has answers from
/// that address (RFC 4862, section 5.4.4; RFC 4861, section 7.1.2).
#[inline(always)]
pub(super) fn defends_an_address<A: Address, F: Frame>(frame: &F, network: &Network<A>) -> bool {
    A::FAMILY == 6
        && network.end > network.header + 40
        && frame.header::<41>(network.header).is_some_and(|header| {
            header.u8::<6>() == ICMPV6
                && header.u8::<7>() == 255
                && u16::from(header.u8::<40>()) == NEIGHBOUR_ADVERTISEMENT
        })
}

/// Whether an address is the guest's and nobody else's.
#[inline(always)]
fn is_its_own<A: Address, T: Tables>(tables: &T, address: A) -> bool {
    if address.is_unspecified() {
        return false;
    }
    if address.is_known_by_heart(tables.config()) {
        return true;
    }
    let found = tables.claim(address.mapped());
    found == claim::OWN || found == claim::WITHIN && !is_somebody_elses(tables, address)
}

#[inline(always)]
fn is_somebody_elses<A: Address, T: Tables>(tables: &T, address: A) -> bool {
    if !tables.has(Config::CLAIMS_OF_OTHERS) {
        return false;
    }
    let holder = tables.holder(address.mapped());
    holder != 0 && holder != load(&tables.config().slot)
}

/// Checks an address that a guest says is its own.
#[inline(always)]
fn check_address<A: Address, T: Tables>(tables: &T, address: A) -> Result<(), Outcome> {
    // Who has no address yet asks for one; addresses of the link are made without asking.
    if address.is_unspecified() || address.is_link_local() {
        return Ok(());
    }
    if tables.has(Config::CLAIMS) {
        if address.is_known_by_heart(tables.config()) {
            return Ok(());
        }
        let found = tables.claim(address.mapped());
        if found == claim::OWN || found == claim::SHARED {
            return Ok(());
        }
        if found == 0 && tables.has(Config::CLAIMS_COMPLETE) {
            return Err(SPOOFED);
        }
    }
    if address.may_be_special() && (address.is_loopback() || address.is_multicast()) {
        return Err(SPOOFED);
    }
    if is_somebody_elses(tables, address) { Err(SPOOFED) } else { Ok(()) }
}

/// Checks a hardware address that a guest says is its own.
#[inline(always)]
fn check_mac<T: Tables>(tables: &T, start: u32, end: u16) -> Result<(), Outcome> {
    if !tables.has(Config::CLAIMS_MAC) {
        return Ok(());
    }
    let config = tables.config();
    let differs = (start ^ load(&config.mac_start)) | (u32::from(end.to_be()) ^ load(&config.mac_end));
    if differs == 0 { Ok(()) } else { Err(SPOOFED) }
}

/// RFC 826, and RFC 5227 for probes: who asks whether an address is free, and goes on to take it, has no address yet.
#[inline(always)]
fn check_arp<F: Frame, T: Tables>(frame: &F, tables: &T, link: &Link) -> Result<(), Outcome> {
    /// Ethernet, and IPv4; the lengths of their addresses.
    const KIND: [u32; 2] = [u32::from_be_bytes([0, 1, 8, 0]).to_be(), 0x0604];
    let Some(arp) = frame.header::<28>(link.at) else { return Err(MALFORMED) };
    if [arp.word::<0>(), u32::from(arp.be16::<4>())] != KIND {
        return Err(MALFORMED);
    }
    check_mac(tables, arp.word::<8>(), arp.be16::<12>())?;
    let (sender, target) = (arp.word::<14>(), arp.word::<24>());
    check_address(tables, if sender == 0 { target } else { sender })
}

/// Bridges speak to bridges in LLC: spanning trees, and Cisco's for each VLAN.
#[inline(always)]
fn check_llc<F: Frame, T: Tables>(frame: &F, tables: &T, link: &Link) -> Result<(), Outcome> {
    const BRIDGE_PROTOCOL: u16 = 0x4242;
    /// `01:80:c2:00:00:00`, as it stands in the frame.
    const ALL_BRIDGES: u64 = u64::from_ne_bytes([1, 0x80, 0xc2, 0, 0, 0, 0, 0]);
    /// `01:00:0c:cc:cc:cd`.
    const ALL_BRIDGES_OF_CISCO: u64 = u64::from_ne_bytes([1, 0, 0x0c, 0xcc, 0xcc, 0xcd, 0, 0]);
    if let Some(outcome) = packet::link_control(frame, link)
        && !outcome.passes()
    {
        return Err(outcome);
    }
    let Some(llc) = frame.header::<3>(link.at) else { return Err(MALFORMED) };
    let to_bridges = link.destination == ALL_BRIDGES || link.destination == ALL_BRIDGES_OF_CISCO;
    if (to_bridges || llc.be16::<0>() == BRIDGE_PROTOCOL) && !tables.has(Config::ROUTER) {
        return Err(SPOOFED);
    }
    Ok(())
}

/// Checks what a packet from an address that the guest may have says beyond that.
#[inline(always)]
fn check_packet<A: Address, F: Frame, T: Tables>(frame: &F, tables: &T, network: &Network<A>) -> Result<(), Outcome> {
    if network.fragment.is_later() {
        // Without the first fragment it is nothing.
        return Ok(());
    }
    let segment = packet::transport(frame, network)?;
    let is_spoofed = match network.protocol {
        UDP => {
            let (server, client) =
                if A::FAMILY == 4 { (DHCP_SERVER, DHCP_CLIENT) } else { (DHCPV6_SERVER, DHCPV6_CLIENT) };
            (segment.source_port == server || segment.destination_port == client) && !tables.has(Config::DHCP_SERVER)
        }
        // Router advertisements of IPv4 are RFC 1256's.
        ICMP if A::FAMILY == 4 => matches!(segment.asked, 5 | 9) && !tables.has(Config::ROUTER),
        ICMPV6 if A::FAMILY == 6 && matches!(segment.asked, ROUTER_SOLICITATION..=REDIRECT) => {
            return check_neighbour(frame, tables, network, segment.asked);
        }
        _ => false,
    };
    if is_spoofed { Err(SPOOFED) } else { Ok(()) }
}

/// RFC 4861: addresses and link-layer addresses in neighbour discovery.
#[inline(always)]
fn check_neighbour<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    kind: u16,
) -> Result<(), Outcome> {
    // RFC 6980: it is never fragmented, but to hide its options.
    if !network.fragment.is_whole() || matches!(kind, ROUTER_ADVERTISEMENT | REDIRECT) && !tables.has(Config::ROUTER) {
        return Err(SPOOFED);
    }
    let mut options = 8;
    if matches!(kind, NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT) {
        options = 24;
        if network.at + 24 > network.end {
            return Err(MALFORMED);
        }
        let Some(target) = frame.header::<24>(network.at) else { return Err(MALFORMED) };
        // Who has no address asks whether the target is free, and goes on to take it (RFC 4862).
        if kind == NEIGHBOUR_ADVERTISEMENT || network.source.is_unspecified() {
            check_address(tables, [target.word::<8>(), target.word::<12>(), target.word::<16>(), target.word::<20>()])?;
        }
    } else if kind == ROUTER_ADVERTISEMENT {
        options = 16;
    } else if kind == REDIRECT {
        // The link-layer address in it is somebody else's.
        return Ok(());
    }
    if tables.has(Config::CLAIMS_MAC) { check_options(frame, tables, network, options) } else { Ok(()) }
}

/// The link-layer addresses, of the source and of the target, are the guest's.
#[inline(always)]
fn check_options<A: Address, F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    network: &Network<A>,
    first: usize,
) -> Result<(), Outcome> {
    let mut at = blurred(frame, network.at + first);
    let end = network.end;
    let mut left = MOST_OPTIONS;
    while at != end {
        if left == 0 || at + 8 > end {
            return Err(MALFORMED);
        }
        left -= 1;
        let Some(option) = frame.header::<8>(at) else { return Err(MALFORMED) };
        let units = usize::from(option.u8::<1>());
        if units == 0 {
            return Err(MALFORMED);
        }
        if matches!(option.u8::<0>(), 1 | 2) {
            check_mac(tables, option.word::<2>(), option.be16::<6>())?;
        }
        at = blurred(frame, at + units * 8);
    }
    Ok(())
}

/// The same offset, of which the verifier knows no more than that it is small.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "offsets are below 2^16")]
fn blurred(frame: &impl Frame, offset: usize) -> usize {
    frame.blur(offset as u32) as usize & MOST_BYTES
}
