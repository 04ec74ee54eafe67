//! What a guest may claim to be, read plainly: whose addresses are whose, and who may speak as a router.

use std::net::IpAddr;

use enforcer_common::frame::Bytes;
use enforcer_common::{Reason, Verdict};
use ipnet::IpNet;

use super::packet::{Fragment, Ip, Rest, Upper, upper};
use super::read::{is_multicast, logical_link_control, read};
use crate::judge::host::Host;

/// Why a frame that a guest sends is refused before it is judged, if it is.
pub(super) fn refusal(host: &Host, frame: Bytes<'_>) -> Option<Reason> {
    if host.guest { of_frame(host, frame).err() } else { None }
}

/// Whether a packet towards a guest is from the guest, by its source.
pub(super) fn is_returned(host: &Host, ip: &Ip<'_>) -> bool {
    host.guest && !ip.source.is_unspecified() && is_its_own(host, ip.source) && !ip.is_advertisement
}

/// Whether an address is the guest's and nobody else's.
fn is_its_own(host: &Host, address: IpAddr) -> bool {
    match whose(host, address) {
        Whose::Its => true,
        Whose::InItsPrefix => !is_somebody_elses(host, address),
        Whose::Shared | Whose::Nobodys => false,
    }
}

enum Whose {
    Its,
    InItsPrefix,
    Shared,
    Nobodys,
}

/// What the site says of an address: the longest prefix says it, and a shared one rather than an own one.
fn whose(host: &Host, address: IpAddr) -> Whose {
    let address = address.to_canonical();
    let longest = |nets: &[IpNet]| nets.iter().filter(|net| net.contains(&address)).map(IpNet::prefix_len).max();
    match (longest(&host.claims.addresses), longest(&host.claims.shared)) {
        (own, Some(shared)) if own.is_none_or(|own| own <= shared) => Whose::Shared,
        (Some(own), _) if own == IpNet::from(address).prefix_len() => Whose::Its,
        (Some(_), _) => Whose::InItsPrefix,
        (None, _) => Whose::Nobodys,
    }
}

fn is_somebody_elses(host: &Host, address: IpAddr) -> bool {
    let address = address.to_canonical();
    let known = host.holders.iter().filter(|(net, _)| net.contains(&address));
    known.max_by_key(|(net, _)| net.prefix_len()).is_some_and(|(_, holder)| *holder != Host::SLOT_OF_GUEST)
}

fn address(host: &Host, address: IpAddr) -> Result<(), Reason> {
    let of_link = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    if address.is_unspecified() || of_link {
        return Ok(());
    }
    let may = match whose(host, address) {
        Whose::Its | Whose::Shared => true,
        Whose::Nobodys if !host.claims.addresses.is_empty() => false,
        Whose::InItsPrefix | Whose::Nobodys => {
            !address.is_loopback() && !is_multicast(address) && !is_somebody_elses(host, address)
        }
    };
    if may { Ok(()) } else { Err(Reason::Spoofed) }
}

fn mac(host: &Host, claimed: &[u8]) -> Result<(), Reason> {
    match host.claims.mac {
        Some(own) if own.0 != claimed => Err(Reason::Spoofed),
        _ => Ok(()),
    }
}

fn of_frame(host: &Host, frame: Bytes<'_>) -> Result<(), Reason> {
    let sender = frame.bytes.get(..14).ok_or(Reason::Malformed)?;
    mac(host, &sender[6..12])?;
    let (link, ip) = read(frame)?;
    if let Some(ip) = ip {
        address(host, ip.source)?;
        let rest = ip.rest?;
        return of_packet(host, &ip, &rest, frame.is_super_packet);
    }
    match (link.ethertype, link.payload) {
        (0x0806, [0, 1, 8, 0, 6, 4, _, _, arp @ ..]) if arp.len() >= 20 => {
            mac(host, &arp[..6])?;
            let v4 = |at: usize| IpAddr::from([arp[at], arp[at + 1], arp[at + 2], arp[at + 3]]);
            let (sender, target) = (v4(6), v4(16));
            address(host, if sender.is_unspecified() { target } else { sender })
        }
        (0x0806, _) => Err(Reason::Malformed),
        (0x8809, _) if !host.claims.router => Err(Reason::Spoofed),
        (length, payload) if length < 0x600 => {
            let reason = logical_link_control(&link, frame.bytes.len());
            if reason.verdict() == Verdict::Drop {
                return Err(reason);
            }
            let to_bridges = matches!(frame.bytes, [1, 0x80, 0xc2, 0, 0, 0, ..] | [1, 0, 0x0c, 0xcc, 0xcc, 0xcd, ..]);
            let is_switch = to_bridges || payload.starts_with(&[0x42, 0x42]);
            if is_switch && !host.claims.router { Err(Reason::Spoofed) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

fn of_packet(host: &Host, ip: &Ip<'_>, rest: &Rest<'_>, is_super_packet: bool) -> Result<(), Reason> {
    if matches!(rest.fragment, Fragment::Later { .. }) {
        return Ok(());
    }
    let is_ipv6 = ip.source.is_ipv6();
    let (router, dhcp_server) = (host.claims.router, host.claims.dhcp_server);
    let may = match upper(rest, is_ipv6, is_super_packet)? {
        Upper::Ports { source, destination, .. } if rest.protocol == 17 && is_ipv6 => {
            dhcp_server || source != 547 && destination != 546
        }
        Upper::Ports { source, destination, .. } if rest.protocol == 17 => {
            dhcp_server || source != 67 && destination != 68
        }
        Upper::Icmp { kind: 5 | 9, .. } if !is_ipv6 => router,
        Upper::Icmp { kind: 134 | 137, .. } if is_ipv6 && !router => false,
        Upper::Icmp { kind: kind @ 133..=137, .. } if is_ipv6 => {
            if rest.fragment != Fragment::Whole {
                return Err(Reason::Spoofed);
            }
            return of_neighbour(host, ip.source, kind, rest.body);
        }
        Upper::Ports { .. } | Upper::Icmp { .. } | Upper::Igmp | Upper::Other => true,
    };
    if may { Ok(()) } else { Err(Reason::Spoofed) }
}

/// The target of solicitations and advertisements, and the options behind it.
fn of_neighbour(host: &Host, source: IpAddr, kind: u8, message: &[u8]) -> Result<(), Reason> {
    let options = match kind {
        133 => 8,
        134 => 16,
        137 => return Ok(()),
        _ => {
            let target: [u8; 16] = message.get(8..24).and_then(|it| it.try_into().ok()).ok_or(Reason::Malformed)?;
            if kind == 136 || source.is_unspecified() {
                address(host, IpAddr::from(target))?;
            }
            24
        }
    };
    if host.claims.mac.is_none() {
        return Ok(());
    }
    let mut left = message.get(options..).ok_or(Reason::Malformed)?;
    let mut read = 0;
    while let [kind, units, value @ ..] = left {
        read += 1;
        let length = usize::from(*units) * 8;
        if length == 0 || left.len() < 8 || read > 16 {
            return Err(Reason::Malformed);
        }
        if matches!(kind, 1 | 2) {
            mac(host, &value[..6])?;
        }
        left = left.get(length..).ok_or(Reason::Malformed)?;
    }
    if left.is_empty() { Ok(()) } else { Err(Reason::Malformed) }
}
