//! The link header: Ethernet II, 802.3, and up to two VLAN tags (IEEE 802.1Q, 802.1ad).

use core::hint::cold_path;

use super::network::{MALFORMED, blur_offset};
use crate::Reason;
use crate::frame::{Frame, Header};
use crate::numbers::{ARP, EAPOL, FIRST_ETHERTYPE, IPV4, LLDP, PROVIDER_VLAN, PTP, SLOW_PROTOCOLS, VLAN};
use crate::outcome::Outcome;

const ETHERNET: usize = 14;
const TAG: usize = 4;
const MOST_TAGS: u32 = 2;

/// What the link header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    /// Destination hardware address, the six bytes in the low 48 bits as they stand in the frame.
    pub destination: u64,
    /// Ethertype behind all tags; below 0x600 a length.
    pub ethertype: u16,
    /// Where the payload begins.
    pub at: usize,
}

/// Reads the link header and steps over VLAN tags.
///
/// # Errors
/// `malformed` where the frame is shorter than its headers, `vlan-depth` for a third tag.
#[inline(always)]
pub fn link(frame: &impl Frame) -> Result<Link, Outcome> {
    let Some(header) = frame.header::<ETHERNET>(0) else { return Err(MALFORMED) };
    let destination = u64::from(header.word::<0>()) | (u64::from(header.be16::<4>().to_be()) << 32);
    let mut ethertype = header.be16::<12>();
    let mut at = ETHERNET;
    let mut tags = u32::from(frame.tag_taken_out());
    // Most frames are this, and the rest is calculated with a constant. (For IPv6 as well it would be twice as much for the verifier.)
    if ethertype == IPV4 {
        return Ok(Link { destination, ethertype, at: ETHERNET });
    }
    while ethertype == VLAN || ethertype == PROVIDER_VLAN {
        cold_path();
        if tags == MOST_TAGS {
            return Err(Outcome::new(Reason::VlanDepth));
        }
        // Blurred, because what the verifier learns of the frame here it would carry through all of the judgement, for each number of
        // tags.
        let Some(tag) = frame.header::<TAG>(blur_offset(frame, at, 0x1f)) else { return Err(MALFORMED) };
        ethertype = tag.be16::<2>();
        at += TAG;
        tags += 1;
    }
    // 14, 18 or 22.
    Ok(Link { destination, ethertype, at: blur_offset(frame, at, 0x1f) })
}

/// Judges what is neither IPv4 nor IPv6 and needs no rule: `link-control`, or `None` where the ethertype tables decide.
#[inline(always)]
pub fn link_control(frame: &impl Frame, link: &Link) -> Option<Outcome> {
    const PASS: Outcome = Outcome::new(Reason::LinkControl);
    match link.ethertype {
        // RFC 826: 28 bytes for Ethernet and IPv4.
        ARP => Some(if frame.header::<28>(link.at).is_some() { PASS } else { MALFORMED }),
        LLDP | SLOW_PROTOCOLS | EAPOL | PTP => Some(PASS),
        length if length < FIRST_ETHERTYPE => Some(logical_link_control(frame, link)),
        _ => None,
    }
}

/// STP, CDP and the like. SNAP with an all-zero organisation carries an ethertype (RFC 1042): that would be a way around the
/// policy for IP, so it is judged as an ethertype that is not listed.
#[inline(always)]
fn logical_link_control(frame: &impl Frame, link: &Link) -> Outcome {
    const SNAP: u16 = 0xaaaa;
    let Some(header) = frame.header::<3>(link.at) else { return MALFORMED };
    if link.at + usize::from(link.ethertype) > frame.whole_length() {
        return MALFORMED;
    }
    if header.be16::<0>() != SNAP {
        return Outcome::new(Reason::LinkControl);
    }
    let Some(snap) = frame.header::<8>(link.at) else { return MALFORMED };
    if snap.be16::<3>() == 0 && snap.u8::<5>() == 0 {
        Outcome::new(Reason::Ethertype)
    } else {
        Outcome::new(Reason::LinkControl)
    }
}
