//! Random packets: well-formed ones that belong together, and the same bent, cut and flipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer::judge::frame::{self, Extension, OUR_MAC, V4};
use enforcer_common::Direction;
use enforcer_common::frame::{Bytes, Outer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::policies::PORTS;

const OURS: &[&str] =
    &["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.255", "10.0.0.7", "255.255.255.255", "224.0.0.5", "192.0.2.9"];
const THEIRS: &[&str] = &[
    "10.1.1.5",
    "10.1.1.5",
    "10.1.1.6",
    "10.1.0.5",
    "10.2.0.5",
    "11.0.0.5",
    "0.0.0.0",
    "10.0.0.1",
    "127.0.0.1",
    "224.0.0.1",
];
const OURS6: &[&str] =
    &["2001:db8::1", "2001:db8::1", "2001:db8::1", "2001:db8::7", "fe80::1", "::", "ff02::1", "2001:db8:f::9"];
const THEIRS6: &[&str] = &[
    "2001:db8:1::5",
    "2001:db8:1::5",
    "2001:db8:1::6",
    "2001:db8:2::5",
    "2a00::5",
    "fe80::5",
    "::",
    "::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "ff02::1",
];
const FLAGS: &[u8] = &[0x02, 0x02, 0x12, 0x10, 0x10, 0x18, 0x11, 0x01, 0x04, 0x14, 0x06, 0x03, 0x00, 0xff];

/// A frame and what a hook knows beside its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) direction: Direction,
    mac: [u8; 6],
    tags: Vec<u16>,
    network: Network,
    upper: Upper,
    bent: Vec<Bend>,
    tag_taken_out: bool,
    is_super_packet: bool,
    is_forwarded: bool,
    is_bridged: bool,
    is_looped: bool,
    decrypted_from: Option<IpAddr>,
}

#[derive(Clone, Debug)]
enum Network {
    V4 { theirs: Ipv4Addr, ours: Ipv4Addr, options: usize, fragment: Option<(u16, bool, u16)> },
    V6 { theirs: Ipv6Addr, ours: Ipv6Addr, hop_limit: u8, chain: Vec<Extension> },
    Other { ethertype: u16, payload: Vec<u8> },
}

/// What is above IP; the remote side first.
#[derive(Clone, Debug)]
enum Upper {
    Tcp {
        theirs: u16,
        ours: u16,
        flags: u8,
    },
    Udp {
        theirs: u16,
        ours: u16,
    },
    Sctp {
        theirs: u16,
        ours: u16,
    },
    Icmp {
        kind: u8,
        identifier: u16,
    },
    Raw {
        protocol: u8,
        length: usize,
    },
    /// Neighbour discovery: a target, and options of eight bytes times their second byte.
    Neighbour {
        kind: u8,
        target: Ipv6Addr,
        options: Vec<u8>,
    },
}

#[derive(Clone, Debug)]
enum Bend {
    Cut(u16),
    Flip(u16, u8),
    Pad(u8),
}

impl Packet {
    /// The frame as it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let inbound = self.direction == Direction::Inbound;
        let order = |theirs, ours| if inbound { (theirs, ours) } else { (ours, theirs) };
        let (protocol, body) = match self.upper {
            Upper::Tcp { theirs, ours, flags } => {
                let (source, destination) = order(theirs, ours);
                (6, frame::tcp(source, destination, flags))
            }
            Upper::Udp { theirs, ours } => {
                let (source, destination) = order(theirs, ours);
                (17, frame::udp(source, destination, b"data"))
            }
            Upper::Sctp { theirs, ours } => {
                let (source, destination) = order(theirs, ours);
                (132, frame::sctp(source, destination))
            }
            Upper::Icmp { kind, identifier } => {
                (if matches!(self.network, Network::V6 { .. }) { 58 } else { 1 }, frame::icmp(kind, identifier))
            }
            Upper::Raw { protocol, length } => (protocol, vec![0x5a; length]),
            Upper::Neighbour { kind, target, ref options } => {
                let fixed = match kind {
                    133 => vec![],
                    134 => vec![0; 8],
                    137 => vec![0; 32],
                    _ => target.octets().to_vec(),
                };
                (58, [frame::icmp(kind, 0), fixed, options.clone()].concat())
            }
        };
        let (ethertype, payload) = match &self.network {
            Network::V4 { theirs, ours, options, fragment } => {
                let (source, destination) = if inbound { (*theirs, *ours) } else { (*ours, *theirs) };
                let options = vec![1; options * 4];
                let (offset, more, id) = fragment.unwrap_or_default();
                let header = V4 { options: &options, id, more, offset, ..V4::new(source, destination, protocol) };
                (frame::IPV4, header.build(&body))
            }
            Network::V6 { theirs, ours, hop_limit, chain } => {
                let (source, destination) = if inbound { (*theirs, *ours) } else { (*ours, *theirs) };
                (frame::IPV6, frame::ipv6(source, destination, *hop_limit, chain, protocol, &body))
            }
            Network::Other { ethertype, payload } => (*ethertype, payload.clone()),
        };
        let tags: Vec<(u16, u16)> = self.tags.iter().map(|kind| (*kind, 5)).collect();
        let mut bytes = frame::ethernet(self.mac, &tags, ethertype, &payload);
        for bend in &self.bent {
            match *bend {
                Bend::Cut(at) => bytes.truncate(usize::from(at) % (bytes.len() + 1)),
                Bend::Flip(at, with) if !bytes.is_empty() => {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] ^= with;
                }
                Bend::Flip(..) => {}
                Bend::Pad(length) => bytes.resize(bytes.len() + usize::from(length), 0),
            }
        }
        bytes
    }

    pub(crate) fn frame<'b>(&self, bytes: &'b [u8]) -> Bytes<'b> {
        Bytes {
            bytes,
            tag_taken_out: self.tag_taken_out,
            is_super_packet: self.is_super_packet,
            is_forwarded: self.is_forwarded,
            is_bridged: self.is_bridged,
            is_looped: self.is_looped,
            decrypted_from: self.decrypted_from.map(outer),
        }
    }

    /// The packet that comes back, with other TCP flags, and perhaps from another port.
    pub(crate) fn answer(&self, flags: u8, port: Option<u16>) -> Self {
        let mut answer = self.clone();
        answer.direction = match self.direction {
            Direction::Inbound => Direction::Outbound,
            Direction::Outbound => Direction::Inbound,
        };
        match &mut answer.upper {
            Upper::Tcp { flags: old, .. } => *old = flags,
            Upper::Udp { theirs, .. } | Upper::Sctp { theirs, .. } => *theirs = port.unwrap_or(*theirs),
            Upper::Icmp { kind, .. } => {
                *kind = match *kind {
                    8 => 0,
                    128 => 129,
                    other => other,
                }
            }
            Upper::Raw { .. } | Upper::Neighbour { .. } => {}
        }
        answer
    }

    /// The same conversation, onwards.
    pub(crate) fn again(&self, flags: u8) -> Self {
        let mut again = self.clone();
        if let Upper::Tcp { flags: old, .. } = &mut again.upper {
            *old = flags;
        }
        again
    }

    /// Another fragment of the same datagram, if it is one.
    pub(crate) fn other_fragment(&self, offset: u16, more: bool) -> Self {
        let mut other = self.clone();
        match &mut other.network {
            Network::V4 { fragment: Some((old, old_more, _)), .. } => (*old, *old_more) = (offset, more),
            Network::V6 { chain, .. } => {
                for extension in chain.iter_mut().filter(|extension| extension.number == 44) {
                    let id = u32::from_be_bytes([
                        extension.bytes[4],
                        extension.bytes[5],
                        extension.bytes[6],
                        extension.bytes[7],
                    ]);
                    *extension = Extension::fragment(offset, more, id);
                }
            }
            Network::V4 { .. } | Network::Other { .. } => {}
        }
        other
    }
}

/// The other end of a tunnel as the hook tells it.
fn outer(remote: IpAddr) -> Outer {
    match remote {
        IpAddr::V4(remote) => Outer { family: 4, remote: [0, 0, 0, u32::from_ne_bytes(remote.octets())] },
        IpAddr::V6(remote) => {
            let octets = remote.octets();
            let word = |at: usize| u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
            Outer { family: 6, remote: [word(0), word(4), word(8), word(12)] }
        }
    }
}

pub(crate) fn flags() -> impl Strategy<Value = u8> {
    select(FLAGS)
}

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    let bridges = select(&[[1, 0x80, 0xc2, 0, 0, 0], [1, 0, 0x0c, 0xcc, 0xcc, 0xcd]][..]);
    let mac = prop_oneof![16 => Just(OUR_MAC), 2 => Just([0xff; 6]), 2 => Just([2, 0, 0, 0, 0, 9]), 1 => bridges];
    let tags = prop_oneof![6 => Just(Vec::new()), 1 => vec(select(&[0x8100_u16, 0x88a8][..]), 0..4)];
    let bent = prop_oneof![5 => Just(Vec::new()), 2 => vec(bend(), 1..3)];
    let rarely = || prop::bool::weighted(0.05);
    let peer = prop::option::weighted(0.05, prop_oneof![address(THEIRS), address(THEIRS6)]);
    let hook = (rarely(), rarely(), prop::bool::weighted(0.2), any::<bool>(), prop::bool::weighted(0.02), peer);
    (direction, mac, tags, network(), upper(), bent, hook).prop_map(
        |(direction, mac, tags, network, upper, bent, hook)| {
            let (tag_taken_out, is_super_packet, is_forwarded, is_bridged, is_looped, decrypted_from) = hook;
            Packet {
                direction,
                mac,
                tags,
                network,
                upper,
                bent,
                tag_taken_out,
                is_super_packet,
                is_forwarded,
                is_bridged: is_forwarded && is_bridged,
                is_looped,
                decrypted_from,
            }
        },
    )
}

fn network() -> impl Strategy<Value = Network> {
    let options = prop_oneof![4 => Just(0_usize), 1 => 0..=10_usize];
    let fragment = prop_oneof![4 => Just(None), 1 => fragment().prop_map(|(o, m, id)| Some((o, m, id)))];
    let v4 = (address(THEIRS), address(OURS), options, fragment).prop_map(|(theirs, ours, options, fragment)| {
        let (IpAddr::V4(theirs), IpAddr::V4(ours)) = (theirs, ours) else { panic!("not IPv4") };
        Network::V4 { theirs, ours, options, fragment }
    });
    let chain = prop_oneof![3 => Just(Vec::new()), 2 => vec(extension(), 0..4), 1 => vec(extension(), 7..=9)];
    let v6 = (address(THEIRS6), address(OURS6), select(&[64_u8, 255, 255, 1][..]), chain).prop_map(
        |(theirs, ours, hop_limit, chain)| {
            let (IpAddr::V6(theirs), IpAddr::V6(ours)) = (theirs, ours) else { panic!("not IPv6") };
            Network::V6 { theirs, ours, hop_limit, chain }
        },
    );
    let ethertype = select(
        &[0x0806_u16, 0x88cc, 0x8809, 0x888e, 0x88f7, 0x0842, 0x8864, 0x8100, 0x0100, 0x0026, 0x0008, 0x05ff, 0x0600][..],
    );
    let payload = prop_oneof![
        vec(any::<u8>(), 0..60),
        (0..60_usize).prop_map(|length| vec![0; length]),
        Just(vec![0x42, 0x42, 3, 0, 0, 0, 0, 0]),
        Just(vec![0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
        Just([vec![0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], vec![0; 40]].concat()),
        Just(vec![0xaa, 0xaa, 3]),
    ];
    let other = (ethertype, payload).prop_map(|(ethertype, payload)| Network::Other { ethertype, payload });
    let arp = arp().prop_map(|payload| Network::Other { ethertype: 0x0806, payload });
    prop_oneof![16 => v4, 16 => v6, 4 => other, 1 => arp]
}

fn address(of: &'static [&'static str]) -> impl Strategy<Value = IpAddr> {
    select(of).prop_map(|address| address.parse().expect("an address"))
}

/// Offset in units of eight bytes, whether more follow, identification.
fn fragment() -> impl Strategy<Value = (u16, bool, u16)> {
    (select(&[0_u16, 0, 0, 1, 2, 100][..]), any::<bool>(), 1..3_u16)
}

fn extension() -> impl Strategy<Value = Extension> {
    let words = prop_oneof![8 => 0..3_u8, 1 => Just(255)];
    prop_oneof![
        4 => (select(&[0_u8, 60, 135][..]), words.clone()).prop_map(|(number, words)| Extension::options(number, words)),
        1 => select(&[0_u8, 2, 3, 4][..]).prop_map(Extension::routing),
        2 => fragment().prop_map(|(offset, more, id)| Extension::fragment(offset, more, u32::from(id))),
        1 => (0..5_u8).prop_map(Extension::authentication),
    ]
}

fn upper() -> impl Strategy<Value = Upper> {
    let port = || select(PORTS);
    let icmp4 = select(&[0_u8, 3, 5, 8, 8, 9, 11, 12, 13, 17][..]);
    let icmp6 = select(&[1_u8, 2, 3, 4, 128, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 143, 151, 200][..]);
    prop_oneof![
        8 => (port(), port(), flags()).prop_map(|(theirs, ours, flags)| Upper::Tcp { theirs, ours, flags }),
        8 => (port(), port()).prop_map(|(theirs, ours)| Upper::Udp { theirs, ours }),
        2 => (port(), port()).prop_map(|(theirs, ours)| Upper::Sctp { theirs, ours }),
        2 => (icmp4, 1..3_u16).prop_map(|(kind, identifier)| Upper::Icmp { kind, identifier }),
        2 => (icmp6, 1..3_u16).prop_map(|(kind, identifier)| Upper::Icmp { kind, identifier }),
        2 => (select(&[1_u8, 2, 6, 17, 47, 50, 51, 58, 59, 112, 132][..]), 0..30_usize)
            .prop_map(|(protocol, length)| Upper::Raw { protocol, length }),
        2 => (133..=137_u8, select(OURS6), vec(option(), 0..3)).prop_map(|(kind, target, options)| Upper::Neighbour {
            kind,
            target: target.parse().expect("an address"),
            options: options.concat(),
        }),
    ]
}

/// An option of neighbour discovery, with the sender's hardware address or another one.
fn option() -> impl Strategy<Value = Vec<u8>> {
    let kind = select(&[1_u8, 1, 2, 2, 5][..]);
    let length = prop_oneof![8 => Just(1_u8), 1 => Just(0), 1 => Just(2), 1 => Just(30)];
    let last = prop_oneof![4 => Just(2_u8), 1 => Just(9)];
    (kind, length, last).prop_map(|(kind, length, last)| vec![kind, length, 2, 0, 0, 0, 0, last])
}

/// A message of ARP: the senders are known to the tests of claims.
fn arp() -> impl Strategy<Value = Vec<u8>> {
    let address =
        || select(&[[10, 0, 0, 1], [10, 0, 0, 255], [192, 0, 2, 9], [0; 4], [10, 1, 1, 5], [127, 0, 0, 1]][..]);
    let kind = prop_oneof![8 => Just([0, 1, 8, 0, 6, 4]), 1 => Just([0, 6, 8, 0, 6, 4]), 1 => Just([0, 1, 8, 0, 6, 5])];
    let last = prop_oneof![4 => Just(2_u8), 1 => Just(9)];
    (kind, last, address(), address()).prop_map(|(kind, last, sender, target)| {
        [&kind[..], &[0, 1, 2, 0, 0, 0, 0, last], &sender, &[0; 6], &target].concat()
    })
}

fn bend() -> impl Strategy<Value = Bend> {
    prop_oneof![
        any::<u16>().prop_map(Bend::Cut),
        (any::<u16>(), any::<u8>()).prop_map(|(at, with)| Bend::Flip(at, with)),
        // The headers are where a flipped bit matters.
        (12..80_u16, any::<u8>()).prop_map(|(at, with)| Bend::Flip(at, with)),
        (1..50_u8).prop_map(Bend::Pad),
    ]
}
