//! Values of a site file that have a form of their own: protocols, ethertypes, prefixes, durations, dates.

use std::net::IpAddr;
use std::time::Duration;

use enforcer_common::Mode;
use enforcer_common::numbers::{ESP, ICMP, ICMPV6, IGMP, SCTP, TCP, UDP};
use ipnet::IpNet;
use jiff::civil::Date;

use super::host;
use crate::text::decimal;
use crate::text::yaml::{Node, Reader};

/// Protocols that have a name here; any other is known by its number.
const PROTOCOLS: [(&str, u8); 22] = [
    ("ah", 51),
    ("dccp", 33),
    ("egp", 8),
    ("eigrp", 88),
    ("esp", ESP),
    ("etherip", 97),
    ("gre", 47),
    ("icmp", ICMP),
    ("icmpv6", ICMPV6),
    ("igmp", IGMP),
    ("ipcomp", 108),
    ("ipip", 4),
    ("ipv6", 41),
    ("l2tp", 115),
    ("ospf", 89),
    ("pim", 103),
    ("rsvp", 46),
    ("sctp", SCTP),
    ("tcp", TCP),
    ("udp", UDP),
    ("udplite", 136),
    ("vrrp", 112),
];

/// The protocol with this name or number.
#[must_use]
pub fn parse_protocol(text: &str) -> Option<u8> {
    let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number);
    named.or_else(|| decimal::parse(text))
}

/// The name of a protocol, or its number.
#[must_use]
pub fn protocol_name(number: u8) -> String {
    let named = PROTOCOLS.iter().find(|(_, known)| *known == number);
    named.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// The names of protocols, for suggestions.
pub(super) fn protocol_names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|(name, _)| *name)
}

/// An ethertype in hexadecimal (`0x8892`) or decimal.
#[must_use]
pub fn parse_ethertype(text: &str) -> Option<u16> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => decimal::parse(text),
    };
    // Below 1536 the field is a length (IEEE 802.3, 3.2.6).
    number.filter(|number| *number >= 0x0600)
}

/// What stands where addresses or names of peers may stand.
pub(in crate::policy) enum Written<'n> {
    /// An address or a prefix.
    Net(IpNet),
    /// A name.
    Name(&'n str),
}

/// Reads an address, a prefix or a name.
pub(in crate::policy) fn written<'n>(reader: &Reader<'_>, node: &'n Node) -> Option<Written<'n>> {
    let text = reader.string(node, "an address, a prefix or the name of a peer")?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Written::Net(host(address)));
    }
    // Only an address starts with a digit or holds a colon or a slash: a name of a peer does not.
    let looks_like_address = text.starts_with(|c: char| c.is_ascii_digit()) || text.contains([':', '/']);
    // The groups of IPv6 are hexadecimal, and may have zeros.
    let decimals = if text.contains(':') { text.split_once('/').map_or("", |(_, length)| length) } else { text };
    if let Some(hint) = decimal::leading_zero(decimals).filter(|_| looks_like_address) {
        let message = format!("{} is not an address or prefix", node.describe());
        reader.note(reader.text.error(node.at, message).with_hint(hint));
        return None;
    }
    if let Ok(net) = text.parse::<IpNet>() {
        if net.addr() == net.trunc().addr() {
            return Some(Written::Net(canonical(net)));
        }
        let message = format!("`{text}` has bits behind its prefix");
        let hint = format!("`{}` is the network, `{}` one host in it", net.trunc(), net.addr());
        reader.note(reader.text.error(node.at, message).with_hint(hint));
        return None;
    }
    if looks_like_address {
        let message = format!("{} is not an address or prefix", node.describe());
        let example = "such as `10.1.1.10`, `10.20.0.0/16` or `2001:db8::/64`";
        let hint = if text.contains('-') && text.contains('.') {
            format!("write a range as prefixes {example}")
        } else {
            format!("write it {example}")
        };
        reader.note(reader.text.error(node.at, message).with_hint(hint));
        return None;
    }
    Some(Written::Name(text))
}

/// Seconds, from `180s`, `2h 4min` or a plain number.
pub(super) fn seconds(reader: &Reader<'_>, node: &Node) -> Option<u32> {
    const MAXIMUM: u32 = 30 * 24 * 3600;
    let expected = "a duration from 1s to 30days, such as `180s` or `2h`";
    let text = reader.string(node, expected)?;
    let plain = || decimal::parse(text).map(Duration::from_secs);
    let duration = plain().or_else(|| humantime::parse_duration(text).ok());
    let duration = duration.filter(|_| decimal::leading_zero(text).is_none());
    let seconds = duration.filter(|duration| duration.subsec_nanos() == 0);
    let seconds = seconds.and_then(|duration| u32::try_from(duration.as_secs()).ok());
    let found = seconds.filter(|seconds| (1..=MAXIMUM).contains(seconds));
    if found.is_none() {
        reader.expected_number(node, expected);
    }
    found
}

/// A day.
pub(super) fn date(reader: &Reader<'_>, node: &Node) -> Option<Date> {
    let expected = "a day such as `2027-06-30`";
    let date = reader.string(node, expected)?.parse().ok();
    if date.is_none() {
        reader.expected(node, expected);
    }
    date
}

/// A name of letters, digits, `-`, `_` and `.`, that starts with a letter.
pub(in crate::policy) fn name<'n>(reader: &Reader<'_>, node: &'n Node, what: &str) -> Option<&'n str> {
    let text = reader.string(node, what)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(allowed) {
        return Some(text);
    }
    let message = format!("{} cannot be {what}", node.describe());
    let hint = "a letter, then up to 63 letters, digits, `-`, `_` or `.`";
    reader.note(reader.text.error(node.at, message).with_hint(hint));
    None
}

/// An IPv4 prefix inside IPv6 (`::ffff:10.0.0.0/104`) as IPv4, because packets carry it so.
fn canonical(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - 96).unwrap_or(net),
            None => net,
        },
        IpNet::V4(_) | IpNet::V6(_) => net,
    }
}

/// Words for a mode.
pub(super) const fn modes_words() -> [(&'static str, Mode); 2] {
    [("audit", Mode::Audit), ("enforce", Mode::Enforce)]
}
