//! Numbers that others have assigned: IP protocols, ports and ethertypes (IANA, IEEE 802).

/// IP protocol ICMP.
pub const ICMP: u8 = 1;
/// IP protocol IGMP.
pub const IGMP: u8 = 2;
/// IP protocol TCP.
pub const TCP: u8 = 6;
/// IP protocol UDP.
pub const UDP: u8 = 17;
/// IP protocol ESP.
pub const ESP: u8 = 50;
/// IP protocol ICMPv6.
pub const ICMPV6: u8 = 58;
/// IP protocol SCTP.
pub const SCTP: u8 = 132;

/// Port of SSH.
pub const SSH: u16 = 22;
/// Port of DNS.
pub const DNS: u16 = 53;
/// Port of a DHCP server.
pub const DHCP_SERVER: u16 = 67;
/// Port of a DHCP client.
pub const DHCP_CLIENT: u16 = 68;
/// Port of NTP.
pub const NTP: u16 = 123;
/// Port of ISAKMP and IKE, the key exchange of IPsec.
pub const ISAKMP: u16 = 500;
/// Port of a DHCPv6 client.
pub const DHCPV6_CLIENT: u16 = 546;
/// Port of a DHCPv6 server.
pub const DHCPV6_SERVER: u16 = 547;

/// Ethertype of IPv4.
pub const IPV4: u16 = 0x0800;
/// Ethertype of ARP.
pub const ARP: u16 = 0x0806;
/// Ethertype of a VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// Ethertype of IPv6.
pub const IPV6: u16 = 0x86dd;
/// Ethertype of LACP, marker and OAM (IEEE 802.3 annex 57A).
pub const SLOW_PROTOCOLS: u16 = 0x8809;
/// Ethertype of EAPOL.
pub const EAPOL: u16 = 0x888e;
/// Ethertype of the tag of a provider (IEEE 802.1ad).
pub const PROVIDER_VLAN: u16 = 0x88a8;
/// Ethertype of LLDP.
pub const LLDP: u16 = 0x88cc;
/// Ethertype of PTP.
pub const PTP: u16 = 0x88f7;
/// The lowest ethertype. A smaller number in its place is a length, and an LLC header follows (IEEE 802.3, 3.2.6).
pub const FIRST_ETHERTYPE: u16 = 0x0600;
