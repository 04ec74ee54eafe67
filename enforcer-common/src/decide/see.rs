//! What a packet gives away beyond what it is judged by.

use crate::Direction;
use crate::frame::Frame;
use crate::packet::{self, Address, Network, Segment};
use crate::seen::Seen;

/// Everything that a packet gives away, judged or not: for the report, the memory and the flows. The judgement itself reads the
/// headers once and keeps nothing of them, because most packets pass and nobody asks.
#[inline(always)]
pub(super) fn see<F: Frame>(frame: &F, direction: Direction) -> Seen {
    let frame = &frame.afresh();
    let mut seen = Seen::nothing(frame);
    frame.keep_in_memory(&mut seen);
    if let Ok(link) = packet::link(frame) {
        seen.asked = link.ethertype;
        if link.ethertype == packet::IPV4 {
            if let Ok(network) = packet::ipv4(frame, link.at) {
                see_network(frame, &network, direction, &mut seen);
            }
        } else if link.ethertype == packet::IPV6
            && let Ok(network) = packet::ipv6(frame, link.at)
        {
            seen = Seen::of(frame, &network, direction, Segment::default());
            if let Ok(network) = packet::extensions(frame, network) {
                see_network(frame, &network, direction, &mut seen);
            }
        }
    }
    blur(frame, &mut seen);
    seen
}

#[inline(always)]
fn see_network<A: Address, F: Frame>(frame: &F, network: &Network<A>, direction: Direction, seen: &mut Seen) {
    let segment = if network.fragment.is_later() {
        Segment { flags: Seen::LATER_FRAGMENT, ..Segment::default() }
    } else {
        packet::transport(frame, network).unwrap_or_default()
    };
    *seen = Seen::of(frame, network, direction, segment);
}

/// All paths through [`see`] meet before this. See [`Frame::blur`].
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "each number goes back to where it came from")]
fn blur(frame: &impl Frame, seen: &mut Seen) {
    seen.family = frame.blur(u32::from(seen.family)) as u8;
    seen.protocol = frame.blur(u32::from(seen.protocol)) as u8;
    seen.asked = frame.blur(u32::from(seen.asked)) as u16;
    seen.remote_port = frame.blur(u32::from(seen.remote_port)) as u16;
    seen.local_port = frame.blur(u32::from(seen.local_port)) as u16;
    seen.flags = frame.blur(seen.flags);
    // Written out: a loop over the words would not be unrolled.
    seen.remote = blur_words(frame, seen.remote);
    seen.local = blur_words(frame, seen.local);
}

#[inline(always)]
fn blur_words(frame: &impl Frame, [a, b, c, d]: [u32; 4]) -> [u32; 4] {
    [frame.blur(a), frame.blur(b), frame.blur(c), frame.blur(d)]
}
