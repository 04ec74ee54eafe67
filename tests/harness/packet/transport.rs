//! What follows the IP header of a frame in the making.

use super::*;

#[derive(Clone, Debug, Default)]
pub(super) enum Transport {
    /// The payload follows the IP header at once; the number is the protocol.
    Raw(u8),
    Tcp {
        ports: [u16; 2],
        flags: u8,
        offset: Option<u8>,
    },
    Udp {
        ports: [u16; 2],
        length: Option<u16>,
    },
    Sctp {
        ports: [u16; 2],
    },
    Icmp {
        kind: u8,
        code: u8,
    },
    Icmpv6 {
        kind: u8,
        code: u8,
    },
    #[default]
    None,
}

impl Transport {
    pub(super) const fn protocol(&self) -> u8 {
        match self {
            Self::Raw(number) => *number,
            Self::Tcp { .. } => protocol::TCP,
            Self::Udp { .. } => protocol::UDP,
            Self::Sctp { .. } => protocol::SCTP,
            Self::Icmp { .. } => protocol::ICMP,
            Self::Icmpv6 { .. } => protocol::ICMPV6,
            Self::None => protocol::NO_NEXT_HEADER,
        }
    }

    /// Header and payload; `pseudo` gives the pseudo-header for a length.
    pub(super) fn build(&self, payload: &[u8], pseudo: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8> {
        let (mut header, checksum_at) = match self {
            Self::Raw(_) | Self::None => return payload.to_vec(),
            Self::Tcp { ports, flags, offset } => {
                let mut header = ports_of(*ports);
                header.extend([0, 0, 0, 1, 0, 0, 0, 0, offset.unwrap_or(5) << 4, *flags, 0xff, 0xff, 0, 0, 0, 0]);
                (header, 16)
            }
            Self::Udp { ports, length } => {
                let mut header = ports_of(*ports);
                header.extend(length.unwrap_or(field16(8 + payload.len())).to_be_bytes());
                header.extend([0, 0]);
                (header, 6)
            }
            Self::Sctp { ports } => {
                let mut header = ports_of(*ports);
                header.extend([0; 8]);
                (header, 8)
            }
            Self::Icmp { kind, code } | Self::Icmpv6 { kind, code } => (vec![*kind, *code, 0, 0, 0, 0, 0, 0], 2),
        };
        header.extend(payload);
        match self {
            Self::Sctp { .. } => {
                let sum = crc32c(&header);
                header[checksum_at..checksum_at + 4].copy_from_slice(&sum.to_le_bytes());
            }
            Self::Icmp { .. } => {
                let sum = internet_checksum(&header);
                header[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
            }
            Self::Tcp { .. } | Self::Udp { .. } | Self::Icmpv6 { .. } | Self::Raw(_) | Self::None => {
                let covered = [pseudo(header.len()), header.clone()].concat();
                let sum = internet_checksum(&covered);
                // RFC 768: a sum of zero is sent as all ones, because zero means that there is none.
                let sum = if sum == 0 && matches!(self, Self::Udp { .. }) { 0xffff } else { sum };
                header[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
            }
        }
        header
    }
}

pub(super) fn ports_of([source, destination]: [u16; 2]) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

/// A length as a field of 16 bits; a longer packet has the field at its end.
pub(super) fn field16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
