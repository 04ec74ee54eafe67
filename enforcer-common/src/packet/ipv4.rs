//! The IPv4 header (RFC 791).

use core::hint::cold_path;

use super::network::{Fragment, MALFORMED, Network};
use crate::frame::{Frame, Header};
use crate::outcome::Outcome;

const SHORTEST: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// Reads the IPv4 header at `at`. Options are skipped by the header length; the checksum is not judged.
///
/// # Errors
/// `malformed`: version, header length or total length are wrong, or the frame ends first.
#[inline(always)]
pub fn ipv4(frame: &impl Frame, at: usize) -> Result<Network<u32>, Outcome> {
    let Some(header) = frame.header::<SHORTEST>(at) else { return Err(MALFORMED) };
    let version_and_length = header.u8::<0>();
    let header_length = usize::from(version_and_length & 0x0f) * 4;
    if version_and_length >> 4 != 4 || header_length < SHORTEST {
        cold_path();
        return Err(MALFORMED);
    }
    let available = frame.length() - at;
    let mut total = usize::from(header.be16::<2>());
    if total < header_length {
        cold_path();
        // BIG TCP: 16 bits cannot hold the length (Linux 6.3).
        if total != 0 || !frame.is_super_packet() || available < header_length {
            return Err(MALFORMED);
        }
        total = available;
    }
    if total > available && total > frame.whole_length() - at {
        return Err(MALFORMED);
    }
    let fragment_word = header.be16::<6>();
    let protocol = header.u8::<9>();
    let fragment = Fragment {
        id: u32::from(header.be16::<4>().to_be()),
        offset: fragment_word & OFFSET,
        more: fragment_word & MORE_FRAGMENTS,
        protocol,
    };
    Ok(Network { source: header.word::<12>(), header: at, protocol, at: at + header_length, end: at + total, fragment })
}
