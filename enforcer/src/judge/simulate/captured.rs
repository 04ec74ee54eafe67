//! A captured packet as an Ethernet frame, and which way it went.

use std::borrow::Cow;

use enforcer_common::Direction;
use enforcer_common::frame::{Frame, Outer};

use crate::judge::capture::{LinkType, Packet};

const ETHERNET: usize = 14;
/// Longer packets are not padded: no length field of IP says so much.
const LONGEST: usize = 70_000;
/// The longest IP packet with the link header and two tags.
const LONGEST_ON_THE_WIRE: usize = 65_535 + ETHERNET + 8;

/// A frame of which perhaps only the beginning was captured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Captured {
    bytes: Vec<u8>,
    /// How long the frame was.
    pub(super) length: usize,
    /// Which way it went, where that was captured.
    pub(super) direction: Option<Direction>,
}

impl Captured {
    /// Makes a frame of a packet; `Err` is the number of a link type that is not understood.
    pub(super) fn of(packet: &Packet<'_>) -> Result<Self, i32> {
        let told = packet.direction;
        let with_header = |ethertype: u16, payload: &[u8], direction: Option<Direction>| {
            let mut bytes = vec![0; 12];
            bytes.extend(ethertype.to_be_bytes());
            bytes.extend(payload);
            let cut = packet.length - packet.data.len();
            Self { length: bytes.len() + cut, bytes, direction }
        };
        // Too short for its own link header: an empty frame, which is malformed.
        let nothing = || Self { bytes: Vec::new(), length: 0, direction: told };
        Ok(match packet.link {
            LinkType::Ethernet => Self { bytes: packet.data.to_vec(), length: packet.length, direction: told },
            LinkType::Raw => match packet.data.first().map(|byte| byte >> 4) {
                Some(4) => with_header(0x0800, packet.data, told),
                Some(6) => with_header(0x86dd, packet.data, told),
                _ => nothing(),
            },
            LinkType::Cooked => match packet.data {
                [_, kind, _, _, _, _, _, _, _, _, _, _, _, _, high, low, payload @ ..] => {
                    with_header(protocol([*high, *low], payload), payload, told.or(cooked(*kind)))
                }
                _ => nothing(),
            },
            LinkType::Cooked2 => match packet.data {
                [high, low, _, _, _, _, _, _, _, _, kind, _, _, _, _, _, _, _, _, _, payload @ ..] => {
                    with_header(protocol([*high, *low], payload), payload, told.or(cooked(*kind)))
                }
                _ => nothing(),
            },
            LinkType::Other(number) => return Err(number),
        })
    }

    /// Whether something of it is missing.
    pub(super) fn is_cut(&self) -> bool {
        self.bytes.len() < self.length
    }

    /// The bytes, with zeros for what was not captured: for looking at headers, not for judging.
    pub(super) fn padded(&self) -> Cow<'_, [u8]> {
        let length = self.length.min(LONGEST);
        if length <= self.bytes.len() {
            return Cow::Borrowed(&self.bytes);
        }
        let mut bytes = self.bytes.clone();
        bytes.resize(length, 0);
        Cow::Owned(bytes)
    }

    /// Whether there is at least an Ethernet header.
    pub(super) fn has_header(&self) -> bool {
        self.bytes.len() >= ETHERNET
    }
}

/// What stands in a cooked header where the ethertype would.
fn protocol(field: [u8; 2], payload: &[u8]) -> u16 {
    match u16::from_be_bytes(field) {
        // 802.2 behind it: in a frame, a length.
        1 | 4 => u16::try_from(payload.len()).unwrap_or(0x05ff).min(0x05ff),
        ethertype => ethertype,
    }
}

/// The packet type of a cooked header: to us, broadcast, multicast, to somebody else, from us.
const fn cooked(kind: u8) -> Option<Direction> {
    match kind {
        0..=2 => Some(Direction::Inbound),
        4 => Some(Direction::Outbound),
        _ => None,
    }
}

/// What the decision code sees: headers that were not captured cannot be read, but the frame is as long as it was.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a>(pub(super) &'a Captured);

impl<'a> Frame for Seen<'a> {
    type Header<const N: usize> = &'a [u8; N];

    fn header<const N: usize>(&self, at: usize) -> Option<&'a [u8; N]> {
        self.0.bytes.get(at..)?.first_chunk()
    }

    fn length(&self) -> usize {
        self.0.length
    }

    fn tag_taken_out(&self) -> bool {
        false
    }

    fn is_super_packet(&self) -> bool {
        // Captured where segments were still one packet; its length field has no room for it.
        self.0.length > LONGEST_ON_THE_WIRE
    }

    fn is_forwarded(&self) -> bool {
        false
    }

    fn is_bridged(&self) -> bool {
        false
    }

    fn is_looped(&self) -> bool {
        false
    }

    fn decrypted_from(&self) -> Option<Outer> {
        None
    }

    fn afresh(&self) -> Self {
        *self
    }
}
