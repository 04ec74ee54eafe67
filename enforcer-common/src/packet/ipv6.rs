//! The IPv6 header and its extension headers (RFC 8200).

use core::hint::cold_path;

use super::network::{Fragment, MALFORMED, Network, blur_offset};
use crate::Reason;
use crate::frame::{Frame, Header};
use crate::outcome::Outcome;

const FIXED: usize = 40;
const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const AUTHENTICATION: u32 = 51;
const DESTINATION: u32 = 60;
const MOBILITY: u32 = 135;
const MOST_EXTENSIONS: u32 = 8;
/// Eight extension headers of 2048 bytes and what stands before them are less.
const MOST_BYTES: usize = 0x7fff;

/// Reads the IPv6 header at `at`; its extension headers are for [`extensions`].
///
/// # Errors
/// `malformed` where version or lengths are wrong.
#[inline(always)]
pub fn ipv6(frame: &impl Frame, at: usize) -> Result<Network<[u32; 4]>, Outcome> {
    let Some(header) = frame.header::<FIXED>(at) else { return Err(MALFORMED) };
    if header.u8::<0>() >> 4 != 6 {
        return Err(MALFORMED);
    }
    let available = frame.length() - at - FIXED;
    let mut payload = usize::from(header.be16::<4>());
    if payload == 0 && frame.is_super_packet() {
        // BIG TCP: 16 bits cannot hold the length (Linux 5.19).
        payload = available;
    }
    if payload > available && payload > frame.whole_length() - at - FIXED {
        return Err(MALFORMED);
    }
    Ok(Network {
        source: [header.word::<8>(), header.word::<12>(), header.word::<16>(), header.word::<20>()],
        header: at,
        protocol: header.u8::<6>(),
        at: at + FIXED,
        end: at + FIXED + payload,
        fragment: Fragment::default(),
    })
}

/// Walks the extension headers, each by its own length rule.
///
/// # Errors
/// `malformed` where lengths are wrong; `extension-headers` for the ninth; `routing-header` for type 0 (RFC 5095);
/// `tiny-fragment` where the chain does not fit into the first fragment (RFC 7112).
#[inline(always)]
pub fn extensions(frame: &impl Frame, mut network: Network<[u32; 4]>) -> Result<Network<[u32; 4]>, Outcome> {
    if !is_extension(u32::from(network.protocol)) {
        return Ok(network);
    }
    cold_path();
    network.end = blur_offset(frame, network.end, u32::MAX as usize);
    let unknown = frame.blur(0) as usize;
    let mut walked = 0;
    // A word, and the compiler does not know that it was a byte: it would cut it down to one before each comparison.
    let mut here = frame.blur(u32::from(network.protocol));
    while is_extension(here) {
        if walked == MOST_EXTENSIONS {
            cold_path();
            return Err(Outcome::new(Reason::ExtensionHeaders));
        }
        walked += 1;
        if step(frame, &mut network, &mut here, unknown)? {
            break;
        }
    }
    network.protocol = byte(here);
    if !network.fragment.is_whole() {
        network.fragment = network.fragment.blurred(frame);
    }
    Ok(network)
}

/// The protocol that such a word is.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "it was a byte")]
const fn byte(protocol: u32) -> u8 {
    protocol as u8
}

/// Whether it is an extension header that is walked.
#[must_use]
#[inline(always)]
pub const fn is_extension(protocol: u32) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY)
}

/// Steps over one extension header. Says whether the walk ends here: behind the header of a later fragment there is none.
///
/// `protocol` is that of this header, then that of what follows. `unknown` is 0, but the verifier does not know: see [`Frame::blur`].
#[inline(always)]
fn step(
    frame: &impl Frame,
    network: &mut Network<[u32; 4]>,
    protocol: &mut u32,
    unknown: usize,
) -> Result<bool, Outcome> {
    let here = *protocol;
    // Not added to the sum below: the next header waits for the length of this one, and for nothing else.
    let at = network.at + unknown;
    if network.at + 8 > network.end {
        return Err(network.fragment.does_not_fit());
    }
    let Some(extension) = frame.header::<8>(network.at) else { return Err(network.fragment.does_not_fit()) };
    let units = usize::from(extension.u8::<1>());
    // The eight bytes that every header has, and as many as it says.
    let next = at
        + 8
        + match here {
            FRAGMENT => 0,
            // RFC 4302, section 2.2: in words of four bytes, minus two.
            AUTHENTICATION => units * 4,
            _ => units * 8,
        };
    if here == ROUTING && extension.u8::<2>() == 0 {
        return Err(Outcome::new(Reason::RoutingHeader));
    }
    *protocol = u32::from(extension.u8::<0>());
    network.at = next & MOST_BYTES;
    if here == FRAGMENT {
        let word = extension.be16::<2>();
        if !network.fragment.is_whole() {
            // A fragment of a fragment is none.
            return Err(MALFORMED);
        }
        network.fragment =
            Fragment { id: extension.word::<4>(), offset: word >> 3, more: word & 1, protocol: byte(*protocol) };
        if network.fragment.is_later() {
            return Ok(true);
        }
    }
    if network.at > network.end {
        return Err(network.fragment.does_not_fit());
    }
    Ok(false)
}
