//! The IP headers of a frame in the making, and the IPv6 extension headers.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

#[derive(Clone, Debug, Default)]
pub(super) enum Network {
    #[default]
    None,
    V4(V4),
    V6(V6),
}

#[derive(Clone, Debug)]
pub(super) struct V4 {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) version: u8,
    /// Whole words.
    pub(super) options: Vec<u8>,
    pub(super) ihl: Option<u8>,
    pub(super) total_length: Option<u16>,
    pub(super) id: u16,
    /// Flags and offset as they stand in the header.
    pub(super) fragment: u16,
    pub(super) ttl: u8,
    pub(super) protocol: Option<u8>,
    pub(super) checksum: Option<u16>,
}

#[derive(Clone, Debug)]
pub(super) struct V6 {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) version: u8,
    pub(super) extensions: Vec<Extension>,
    pub(super) payload_length: Option<u16>,
    pub(super) hop_limit: u8,
    pub(super) protocol: Option<u8>,
}

/// An IPv6 extension header; `words` is the length beyond the first eight bytes, in units of eight bytes.
#[derive(Clone, Debug)]
pub enum Extension {
    /// Hop-by-hop options, filled with padding.
    HopByHop {
        /// Length beyond the first eight bytes, in units of eight.
        words: u8,
    },
    /// Destination options, filled with padding.
    Destination {
        /// Length beyond the first eight bytes, in units of eight.
        words: u8,
    },
    /// A routing header.
    Routing {
        /// Routing type; 0 is the one that RFC 5095 forbids.
        kind: u8,
        /// Segments left.
        segments: u8,
        /// Length beyond the first eight bytes, in units of eight.
        words: u8,
    },
    /// A fragment header.
    Fragment {
        /// Offset in units of eight bytes.
        offset: u16,
        /// More fragments follow.
        more: bool,
        /// Which packet it is a part of.
        id: u32,
    },
    /// An authentication header: its length counts words of four bytes, minus two (RFC 4302).
    Authentication {
        /// The length field as it stands in the header.
        length: u8,
    },
    /// A mobility header (RFC 6275).
    Mobility {
        /// Length beyond the first eight bytes, in units of eight.
        words: u8,
    },
    /// Any other header: its number and its bytes, of which the first becomes the next header.
    Other {
        /// Protocol number of this header.
        number: u8,
        /// The header.
        bytes: Vec<u8>,
    },
}

impl V4 {
    pub(super) fn build(&self, transport: &Transport, payload: &[u8]) -> Vec<u8> {
        let mut pseudo = [self.source.octets(), self.destination.octets()].concat();
        pseudo.extend([0, transport.protocol()]);
        let body = transport.build(payload, |length| {
            let mut header = pseudo.clone();
            header.extend(field16(length).to_be_bytes());
            header
        });
        let length = 20 + self.options.len();
        let ihl = self.ihl.unwrap_or(u8::try_from(length / 4).expect("at most 60 bytes"));
        let mut header = vec![self.version << 4 | ihl & 0x0f, 0];
        header.extend(self.total_length.unwrap_or(field16(length + body.len())).to_be_bytes());
        header.extend(self.id.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, self.protocol.unwrap_or(transport.protocol()), 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        let checksum = self.checksum.unwrap_or_else(|| internet_checksum(&header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header.extend(body);
        header
    }
}

impl V6 {
    pub(super) fn build(&self, transport: &Transport, payload: &[u8]) -> Vec<u8> {
        let mut pseudo = [self.source.octets(), self.destination.octets()].concat();
        let body = transport.build(payload, |length| {
            let length = u32::try_from(length).expect("a frame is shorter than 4 GiB");
            pseudo.extend(length.to_be_bytes());
            pseudo.extend([0, 0, 0, transport.protocol()]);
            pseudo.clone()
        });
        let last = self.protocol.unwrap_or(transport.protocol());
        let following = self.extensions.iter().map(Extension::number).skip(1).chain([last]);
        let mut chain = Vec::new();
        for (extension, next) in self.extensions.iter().zip(following) {
            chain.extend(extension.build(next));
        }
        chain.extend(body);
        let mut header = vec![self.version << 4, 0, 0, 0];
        header.extend(self.payload_length.unwrap_or(field16(chain.len())).to_be_bytes());
        header.extend([self.extensions.first().map_or(last, Extension::number), self.hop_limit]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(chain);
        header
    }
}

impl Extension {
    pub(super) fn number(&self) -> u8 {
        match self {
            Self::HopByHop { .. } => 0,
            Self::Routing { .. } => 43,
            Self::Fragment { .. } => 44,
            Self::Authentication { .. } => 51,
            Self::Destination { .. } => 60,
            Self::Mobility { .. } => 135,
            Self::Other { number, .. } => *number,
        }
    }

    pub(super) fn build(&self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop { words } | Self::Destination { words } => {
                let mut bytes = vec![next, *words];
                // Pad1 options: every byte is one.
                bytes.resize(8 * (usize::from(*words) + 1), 0);
                bytes
            }
            Self::Routing { kind, segments, words } => {
                let mut bytes = vec![next, *words, *kind, *segments];
                bytes.resize(8 * (usize::from(*words) + 1), 0);
                bytes
            }
            Self::Fragment { offset, more, id } => {
                let mut bytes = vec![next, 0];
                bytes.extend((offset << 3 | u16::from(*more)).to_be_bytes());
                bytes.extend(id.to_be_bytes());
                bytes
            }
            Self::Authentication { length } => {
                let mut bytes = vec![next, *length];
                bytes.resize(4 * (usize::from(*length) + 2), 0);
                bytes
            }
            Self::Mobility { words } => {
                let mut bytes = vec![next, *words];
                bytes.resize(8 * (usize::from(*words) + 1), 0);
                bytes
            }
            Self::Other { bytes, .. } => {
                let mut bytes = bytes.clone();
                if let Some(first) = bytes.first_mut() {
                    *first = next;
                }
                bytes
            }
        }
    }
}
