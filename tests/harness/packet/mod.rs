//! Builds frames, correct by default and wrong on request.
//!
//! Lengths and checksums are filled in when the frame is built; whatever was set by hand stays as it was set. The parts are
//! given from the outside in: link, tags, IP, extension headers, transport, payload.
//!
//! ```
//! use harness::packet::Packet;
//! let frame = Packet::new().vlan(5).ipv4("10.0.0.5", "10.0.0.1").options(2).tcp(40_000, 443).build();
//! assert_eq!(frame.len(), 14 + 4 + 28 + 20);
//! ```

mod checksum;
mod network;
mod transport;

use std::net::Ipv4Addr;

pub use network::Extension;
use network::{Network, V4, V6};
use transport::{Transport, field16};

pub use checksum::{crc32c, internet_checksum};

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of a customer tag (802.1Q).
pub const VLAN: u16 = 0x8100;
/// EtherType of a service tag (802.1ad).
pub const SERVICE_VLAN: u16 = 0x88a8;

/// Protocol numbers (IANA).
pub mod protocol {
    #![expect(missing_docs, reason = "the names are the registry's own")]
    pub const ICMP: u8 = 1;
    pub const IGMP: u8 = 2;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const GRE: u8 = 47;
    pub const ESP: u8 = 50;
    pub const ICMPV6: u8 = 58;
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const OSPF: u8 = 89;
    pub const VRRP: u8 = 112;
    pub const SCTP: u8 = 132;
}

/// Flags of a TCP header.
pub mod tcp {
    #![expect(missing_docs, reason = "the names are those of RFC 9293")]
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
}

/// A frame in the making.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    destination_mac: [u8; 6],
    source_mac: [u8; 6],
    /// Outermost first.
    tags: Vec<(u16, u16)>,
    ethertype: Option<u16>,
    network: Network,
    transport: Transport,
    payload: Vec<u8>,
    truncated: Option<usize>,
}

impl Packet {
    /// A frame between two locally administered addresses.
    #[must_use]
    pub fn new() -> Self {
        Self { destination_mac: [2, 0, 0, 0, 0, 1], source_mac: [2, 0, 0, 0, 0, 2], ..Self::default() }
    }

    /// With these link addresses.
    #[must_use]
    pub fn mac(mut self, source: [u8; 6], destination: [u8; 6]) -> Self {
        (self.source_mac, self.destination_mac) = (source, destination);
        self
    }

    /// One more 802.1Q tag, inside those already there.
    #[must_use]
    pub fn vlan(self, id: u16) -> Self {
        self.tag(VLAN, id)
    }

    /// One more tag of any kind, inside those already there.
    #[must_use]
    pub fn tag(mut self, ethertype: u16, id: u16) -> Self {
        self.tags.push((ethertype, id));
        self
    }

    /// This EtherType, whatever follows.
    #[must_use]
    pub fn ethertype(mut self, ethertype: u16) -> Self {
        self.ethertype = Some(ethertype);
        self
    }

    /// An IPv4 header.
    ///
    /// # Panics
    /// When an address is not one.
    #[must_use]
    #[track_caller]
    pub fn ipv4(mut self, source: &str, destination: &str) -> Self {
        self.network = Network::V4(V4 {
            source: address(source),
            destination: address(destination),
            version: 4,
            options: Vec::new(),
            ihl: None,
            total_length: None,
            id: 0,
            fragment: 0,
            ttl: 64,
            protocol: None,
            checksum: None,
        });
        self
    }

    /// An IPv6 header.
    ///
    /// # Panics
    /// When an address is not one.
    #[must_use]
    #[track_caller]
    pub fn ipv6(mut self, source: &str, destination: &str) -> Self {
        self.network = Network::V6(V6 {
            source: address(source),
            destination: address(destination),
            version: 6,
            extensions: Vec::new(),
            payload_length: None,
            hop_limit: 64,
            protocol: None,
        });
        self
    }

    /// An IPv4 or an IPv6 header, as the addresses say.
    #[must_use]
    #[track_caller]
    pub fn ip(self, source: &str, destination: &str) -> Self {
        if source.contains(':') { self.ipv6(source, destination) } else { self.ipv4(source, destination) }
    }

    /// IPv4 options: so many words of four bytes, all no-operation.
    #[must_use]
    #[track_caller]
    pub fn options(mut self, words: usize) -> Self {
        self.v4().options = vec![1; words * 4];
        self
    }

    /// The IPv4 header length field, in words, whatever the header's length is.
    #[must_use]
    #[track_caller]
    pub fn ihl(mut self, words: u8) -> Self {
        self.v4().ihl = Some(words);
        self
    }

    /// The IPv4 total length field, whatever the packet's length is.
    #[must_use]
    #[track_caller]
    pub fn total_length(mut self, length: u16) -> Self {
        self.v4().total_length = Some(length);
        self
    }

    /// The IPv4 checksum field, whatever the sum is.
    #[must_use]
    #[track_caller]
    pub fn checksum(mut self, checksum: u16) -> Self {
        self.v4().checksum = Some(checksum);
        self
    }

    /// An IPv4 fragment: offset in units of eight bytes, whether more follow, which packet it is a part of.
    #[must_use]
    #[track_caller]
    pub fn fragment(mut self, offset: u16, more: bool, id: u16) -> Self {
        let v4 = self.v4();
        v4.fragment = offset & 0x1fff | u16::from(more) << 13;
        v4.id = id;
        self
    }

    /// One more IPv6 extension header, behind those already there.
    #[must_use]
    #[track_caller]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.v6().extensions.push(extension);
        self
    }

    /// The IPv6 payload length field, whatever the packet's length is.
    #[must_use]
    #[track_caller]
    pub fn payload_length(mut self, length: u16) -> Self {
        self.v6().payload_length = Some(length);
        self
    }

    /// The version field of the IP header, whatever the header is.
    #[must_use]
    #[track_caller]
    pub fn version(mut self, version: u8) -> Self {
        match &mut self.network {
            Network::None => panic!("there is no IP header"),
            Network::V4(v4) => v4.version = version,
            Network::V6(v6) => v6.version = version,
        }
        self
    }

    /// The time to live or hop limit.
    #[must_use]
    #[track_caller]
    pub fn hop_limit(mut self, limit: u8) -> Self {
        match &mut self.network {
            Network::None => panic!("there is no IP header"),
            Network::V4(v4) => v4.ttl = limit,
            Network::V6(v6) => v6.hop_limit = limit,
        }
        self
    }

    /// The protocol field of the last IP header, whatever follows.
    #[must_use]
    #[track_caller]
    pub fn protocol(mut self, number: u8) -> Self {
        match &mut self.network {
            Network::None => panic!("there is no IP header"),
            Network::V4(v4) => v4.protocol = Some(number),
            Network::V6(v6) => v6.protocol = Some(number),
        }
        self
    }

    /// A TCP SYN.
    #[must_use]
    pub fn tcp(mut self, source: u16, destination: u16) -> Self {
        self.transport = Transport::Tcp { ports: [source, destination], flags: tcp::SYN, offset: None };
        self
    }

    /// Other TCP flags than SYN.
    #[must_use]
    #[track_caller]
    pub fn flags(mut self, bits: u8) -> Self {
        let Transport::Tcp { flags, .. } = &mut self.transport else { panic!("there is no TCP header") };
        *flags = bits;
        self
    }

    /// The TCP data offset field, in words, whatever the header's length is.
    #[must_use]
    #[track_caller]
    pub fn data_offset(mut self, words: u8) -> Self {
        let Transport::Tcp { offset, .. } = &mut self.transport else { panic!("there is no TCP header") };
        *offset = Some(words);
        self
    }

    /// A UDP header.
    #[must_use]
    pub fn udp(mut self, source: u16, destination: u16) -> Self {
        self.transport = Transport::Udp { ports: [source, destination], length: None };
        self
    }

    /// The UDP length field, whatever the datagram's length is.
    #[must_use]
    #[track_caller]
    pub fn udp_length(mut self, bytes: u16) -> Self {
        let Transport::Udp { length, .. } = &mut self.transport else { panic!("there is no UDP header") };
        *length = Some(bytes);
        self
    }

    /// An SCTP common header.
    #[must_use]
    pub fn sctp(mut self, source: u16, destination: u16) -> Self {
        self.transport = Transport::Sctp { ports: [source, destination] };
        self
    }

    /// An ICMP header, with an empty rest of header.
    #[must_use]
    pub fn icmp(mut self, kind: u8, code: u8) -> Self {
        self.transport = Transport::Icmp { kind, code };
        self
    }

    /// An `ICMPv6` header, with an empty rest of header.
    #[must_use]
    pub fn icmpv6(mut self, kind: u8, code: u8) -> Self {
        self.transport = Transport::Icmpv6 { kind, code };
        self
    }

    /// No header of a transport: the payload follows, under this protocol number.
    #[must_use]
    pub fn raw(mut self, protocol: u8, payload: &[u8]) -> Self {
        self.transport = Transport::Raw(protocol);
        self.payload = payload.to_vec();
        self
    }

    /// An ARP request for IPv4 over Ethernet.
    #[must_use]
    #[track_caller]
    pub fn arp(mut self, sender: &str, target: &str) -> Self {
        let (sender, target): (Ipv4Addr, Ipv4Addr) = (address(sender), address(target));
        let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1];
        body.extend(self.source_mac);
        body.extend(sender.octets());
        body.extend([0; 6]);
        body.extend(target.octets());
        self.destination_mac = [0xff; 6];
        self.ethertype(ARP).payload(&body)
    }

    /// What follows the last header.
    #[must_use]
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// More behind what follows the last header.
    #[must_use]
    pub fn append(mut self, more: &[u8]) -> Self {
        self.payload.extend(more);
        self
    }

    /// Cut off after so many bytes, all length fields as they were.
    #[must_use]
    pub fn truncated(mut self, length: usize) -> Self {
        self.truncated = Some(length);
        self
    }

    /// The frame.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend(self.destination_mac);
        frame.extend(self.source_mac);
        for (ethertype, id) in &self.tags {
            frame.extend(ethertype.to_be_bytes());
            frame.extend(id.to_be_bytes());
        }
        let (ethertype, body) = match &self.network {
            Network::None => (0, self.payload.clone()),
            Network::V4(v4) => (IPV4, v4.build(&self.transport, &self.payload)),
            Network::V6(v6) => (IPV6, v6.build(&self.transport, &self.payload)),
        };
        frame.extend(self.ethertype.unwrap_or(ethertype).to_be_bytes());
        frame.extend(body);
        if let Some(length) = self.truncated {
            frame.truncate(length);
        }
        frame
    }

    #[track_caller]
    fn v4(&mut self) -> &mut V4 {
        let Network::V4(v4) = &mut self.network else { panic!("there is no IPv4 header") };
        v4
    }

    #[track_caller]
    fn v6(&mut self) -> &mut V6 {
        let Network::V6(v6) = &mut self.network else { panic!("there is no IPv6 header") };
        v6
    }
}

#[track_caller]
fn address<A: std::str::FromStr>(text: &str) -> A {
    text.parse().ok().unwrap_or_else(|| panic!("`{text}` is not an address of this family"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_header_sums_to_zero() {
        let frame = Packet::new().ipv4("10.0.0.5", "10.0.0.1").options(3).udp(1, 2).build();
        assert_eq!(internet_checksum(&frame[14..14 + 32]), 0);
        assert_eq!(frame[14], 0x48);
    }

    #[test]
    fn a_known_datagram_comes_out_byte_by_byte() {
        // A UDP datagram whose checksums were taken from a capture tool.
        let frame = Packet::new().ipv4("192.0.2.1", "192.0.2.2").udp(0x1234, 53).payload(b"hi").build();
        let expected = [
            0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0xf6, 0xcb, 192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 53, 0, 10, 0, 0,
            b'h', b'i',
        ];
        let mut without_sum = frame[14..].to_vec();
        without_sum[26..28].fill(0);
        assert_eq!(without_sum, expected);
        let covered = [&frame[26..34], &[0, 17, 0, 10], &frame[34..]].concat();
        assert_eq!(internet_checksum(&covered), 0);
    }

    #[test]
    fn tags_stand_outermost_first() {
        let frame = Packet::new().tag(SERVICE_VLAN, 7).vlan(5).ipv4("10.0.0.5", "10.0.0.1").tcp(1, 2).build();
        assert_eq!(frame[12..22], [0x88, 0xa8, 0, 7, 0x81, 0, 0, 5, 8, 0]);
    }

    #[test]
    fn extension_headers_name_each_other_in_order() {
        let chain = Packet::new()
            .ipv6("2001:db8::5", "2001:db8::1")
            .extension(Extension::HopByHop { words: 1 })
            .extension(Extension::Authentication { length: 4 })
            .extension(Extension::Fragment { offset: 0, more: true, id: 9 })
            .tcp(1, 443);
        let frame = chain.build();
        let ip = &frame[14..];
        assert_eq!(ip[6], 0);
        assert_eq!(ip[40..42], [51, 1]);
        assert_eq!(ip[56..58], [44, 4]);
        assert_eq!(ip[80..88], [6, 0, 0, 1, 0, 0, 0, 9]);
        assert_eq!(usize::from(u16::from_be_bytes([ip[4], ip[5]])), ip.len() - 40);
        assert_eq!(frame.len(), 14 + 40 + 16 + 24 + 8 + 20);
    }

    #[test]
    fn what_is_set_by_hand_stays() {
        let frame = Packet::new().ipv4("10.0.0.5", "10.0.0.1").ihl(4).total_length(7).checksum(0).tcp(1, 2).build();
        assert_eq!(frame[14..18], [0x44, 0, 0, 7]);
        assert_eq!(frame[24..26], [0, 0]);
    }

    #[test]
    fn a_truncated_frame_keeps_its_lengths() {
        let whole = Packet::new().ipv6("2001:db8::5", "2001:db8::1").udp(1, 2);
        assert_eq!(whole.clone().truncated(20).build(), whole.build()[..20]);
    }

    #[test]
    fn an_icmpv6_message_is_summed_with_its_pseudo_header() {
        let frame = Packet::new().ipv6("2001:db8::5", "2001:db8::1").icmpv6(128, 0).build();
        let covered = [&frame[22..54], &[0, 0, 0, 8, 0, 0, 0, 58], &frame[54..]].concat();
        assert_eq!(internet_checksum(&covered), 0);
    }
}
