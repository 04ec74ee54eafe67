//! Reading captures: pcap (microseconds and nanoseconds) and pcapng, block by block, in little memory whatever the file says.

use std::io::Read;
use std::net::IpAddr;

use enforcer_common::Direction;
use pcap_parser::pcapng::{Block, EnhancedPacketBlock, OptionCode};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};

/// Bytes read at once; more where a block is larger.
const BUFFER: usize = 1 << 16;
/// No block is larger: a length field that says more is wrong.
const LARGEST_BLOCK: usize = 1 << 26;

/// Link types that are understood, with their numbers in captures.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LinkType {
    /// `LINKTYPE_ETHERNET`, 1.
    Ethernet,
    /// `LINKTYPE_LINUX_SLL`, 113.
    Cooked,
    /// `LINKTYPE_LINUX_SLL2`, 276.
    Cooked2,
    /// `LINKTYPE_RAW`, 101 (12 and 14 on some systems), `LINKTYPE_IPV4`, 228, `LINKTYPE_IPV6`, 229.
    Raw,
    /// Anything else.
    Other(i32),
}

impl LinkType {
    /// Of the number in a file header: its upper four bits tell how long the checksum behind each frame is.
    const fn of(number: i32) -> Self {
        match number & 0x0fff_ffff {
            1 => Self::Ethernet,
            113 => Self::Cooked,
            276 => Self::Cooked2,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            other => Self::Other(other),
        }
    }
}

/// One packet of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Nanoseconds since some beginning.
    pub at: u64,
    /// What its first bytes are.
    pub link: LinkType,
    /// What was captured of it.
    pub data: &'a [u8],
    /// How long it was.
    pub length: usize,
    /// Which way it went, where the capture says so.
    pub direction: Option<Direction>,
    /// Bytes of the file up to and with this packet.
    pub read: usize,
}

/// How a capture ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// All of it was read.
    Complete,
    /// The file ends in the middle of a block.
    Truncated {
        /// Where the block begins.
        byte: usize,
        /// Packets before it.
        packets: u64,
    },
    /// A block contradicts itself.
    Corrupt {
        /// Where it begins.
        byte: usize,
        /// Packets before it.
        packets: u64,
        /// What is wrong.
        what: String,
    },
}

/// Why a file is no capture at all, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It begins otherwise.
    #[error("this is no capture: it begins neither as pcap nor as pcapng")]
    NotACapture,
    /// It ends before its first header does.
    #[error("the file ends within its first {0} bytes")]
    TooShort(usize),
    /// The operating system says so.
    #[error("reading failed after byte {0}")]
    Unreadable(usize),
}

/// Interfaces of a section, as far as they matter.
#[derive(Clone, Copy)]
struct Interface {
    link: LinkType,
    /// Ticks a second.
    resolution: u64,
}

/// Addresses that a pcapng file says its interfaces have.
pub type Addresses = std::collections::BTreeSet<IpAddr>;

/// Reads a capture to its end or to where it breaks, and hands over each packet.
///
/// # Errors
///
/// It is none, or it cannot be read. What breaks later on is in the returned [`End`].
pub fn read(source: impl Read + Send, mut each: impl FnMut(&Packet<'_>)) -> Result<(End, Addresses), Error> {
    let mut reader = create_reader(BUFFER, source).map_err(|error| match error {
        PcapError::Eof => Error::TooShort(0),
        PcapError::Incomplete(_) | PcapError::UnexpectedEof => Error::TooShort(24),
        PcapError::ReadError => Error::Unreadable(0),
        PcapError::BufferTooSmall
        | PcapError::HeaderNotRecognized
        | PcapError::NomError(..)
        | PcapError::OwnedNomError(..) => Error::NotACapture,
    })?;
    let mut state = State::default();
    let mut addresses = Addresses::new();
    loop {
        let byte = reader.consumed();
        let step = match reader.next() {
            Ok((used, block)) => match state.block(&block, byte + used, &mut addresses, &mut each) {
                Ok(()) => Step::Consume(used),
                Err(what) => Step::Corrupt(what),
            },
            Err(PcapError::Eof) => return Ok((End::Complete, addresses)),
            Err(PcapError::UnexpectedEof) => Step::Truncated,
            Err(PcapError::Incomplete(_)) => Step::Refill,
            Err(PcapError::BufferTooSmall) => Step::Grow,
            Err(PcapError::ReadError) => return Err(Error::Unreadable(byte)),
            Err(PcapError::HeaderNotRecognized | PcapError::NomError(..) | PcapError::OwnedNomError(..)) => {
                Step::Corrupt("its lengths contradict each other".to_owned())
            }
        };
        let packets = state.packets;
        match step {
            Step::Consume(0) => {
                return Ok((End::Corrupt { byte, packets, what: "a block has no length".into() }, addresses));
            }
            Step::Consume(used) => reader.consume(used),
            Step::Corrupt(what) => return Ok((End::Corrupt { byte, packets, what }, addresses)),
            Step::Truncated if reader.data().is_empty() => return Ok((End::Complete, addresses)),
            Step::Truncated => {
                // A length that no capture has is no sign that the file was cut.
                let end = match state.claimed(reader.data()).filter(|claimed| *claimed > LARGEST_BLOCK) {
                    Some(claimed) => {
                        End::Corrupt { byte, packets, what: format!("a length field says {claimed} bytes") }
                    }
                    None => End::Truncated { byte, packets },
                };
                return Ok((end, addresses));
            }
            Step::Refill | Step::Grow => {
                let before = reader.data().len();
                reader.refill().map_err(|_| Error::Unreadable(byte))?;
                // Nothing was added and the file goes on: the block is larger than the buffer.
                if reader.data().len() == before && !reader.reader_exhausted() {
                    let larger = (before * 2).max(2 * BUFFER);
                    if larger > LARGEST_BLOCK || !reader.grow(larger) {
                        let what = format!("a length field says more than {} MiB", LARGEST_BLOCK >> 20);
                        return Ok((End::Corrupt { byte, packets, what }, addresses));
                    }
                }
            }
        }
    }
}

enum Step {
    Consume(usize),
    Refill,
    Grow,
    Truncated,
    Corrupt(String),
}

/// What was said before the packets.
#[derive(Default)]
struct State {
    packets: u64,
    interfaces: Vec<Interface>,
    nanoseconds: bool,
    is_section: bool,
    big_endian: bool,
    /// Snapshot length of the first interface, which bounds simple packets.
    snapshot: u32,
}

impl State {
    fn block(
        &mut self,
        block: &PcapBlockOwned<'_>,
        read: usize,
        addresses: &mut Addresses,
        each: &mut impl FnMut(&Packet<'_>),
    ) -> Result<(), String> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.nanoseconds = header.is_nanosecond_precision();
                self.big_endian = header.is_bigendian();
                self.interfaces = vec![Interface { link: LinkType::of(header.network.0), resolution: 1 }];
            }
            PcapBlockOwned::Legacy(packet) => {
                let fraction = u64::from(packet.ts_usec) * if self.nanoseconds { 1 } else { 1000 };
                let at = u64::from(packet.ts_sec) * 1_000_000_000 + fraction;
                let link = self.interfaces.first().map_or(LinkType::Other(0), |interface| interface.link);
                self.packet(link, at, packet.data, packet.origlen, None, read, each);
            }
            PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                (self.is_section, self.big_endian) = (true, section.big_endian());
                self.interfaces.clear();
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                if self.interfaces.is_empty() {
                    self.snapshot = interface.snaplen;
                }
                let resolution = interface.ts_resolution().filter(|resolution| *resolution > 0).unwrap_or(1_000_000);
                self.interfaces.push(Interface { link: LinkType::of(interface.linktype.0), resolution });
                for option in interface.options.iter().filter(|option| matches!(option.code.0, 4 | 5)) {
                    addresses.extend(address(&option.value));
                }
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let index = packet.if_id as usize;
                let interface = *self.interfaces.get(index).ok_or_else(|| {
                    format!("it names interface {index}, and the section describes {}", self.interfaces.len())
                })?;
                let ticks = u128::from(packet.ts_high) << 32 | u128::from(packet.ts_low);
                let at = u64::try_from(ticks * 1_000_000_000 / u128::from(interface.resolution)).unwrap_or(u64::MAX);
                let direction = direction(packet);
                self.packet(interface.link, at, packet.packet_data(), packet.origlen, direction, read, each);
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                let interface = *self.interfaces.first().ok_or("it comes before any interface is described")?;
                // The block has no captured length: the snapshot length or the packet's own bounds it.
                let most = if self.snapshot == 0 { packet.origlen } else { packet.origlen.min(self.snapshot) };
                let data = &packet.data[..packet.data.len().min(most as usize)];
                self.packet(interface.link, 0, data, packet.origlen, None, read, each);
            }
            // Statistics, names, secrets, comments.
            PcapBlockOwned::NG(_) => {}
        }
        Ok(())
    }

    /// The length that the block at the beginning of these bytes says it has.
    fn claimed(&self, data: &[u8]) -> Option<usize> {
        let at = if self.is_section { 4 } else { 8 };
        let bytes: [u8; 4] = data.get(at..at + 4)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) } as usize)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a packet, from three kinds of block")]
    fn packet(
        &mut self,
        link: LinkType,
        at: u64,
        data: &[u8],
        length: u32,
        direction: Option<Direction>,
        read: usize,
        each: &mut impl FnMut(&Packet<'_>),
    ) {
        self.packets += 1;
        let length = (length as usize).max(data.len());
        each(&Packet { number: self.packets, at, link, data, length, direction, read });
    }
}

/// The direction in `epb_flags` (option 2, bits 0 and 1).
fn direction(packet: &EnhancedPacketBlock<'_>) -> Option<Direction> {
    let option = packet.options.iter().find(|option| option.code == OptionCode(2))?;
    let bytes: [u8; 4] = option.value.get(..4)?.try_into().ok()?;
    let flags = if packet.big_endian() { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    match flags & 3 {
        1 => Some(Direction::Inbound),
        2 => Some(Direction::Outbound),
        _ => None,
    }
}

/// The address in `if_IPv4addr` (with a mask behind it) or `if_IPv6addr` (with a prefix length).
fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        8 => <[u8; 4]>::try_from(&value[..4]).ok().map(IpAddr::from),
        17 => <[u8; 16]>::try_from(&value[..16]).ok().map(IpAddr::from),
        _ => None,
    }
}
