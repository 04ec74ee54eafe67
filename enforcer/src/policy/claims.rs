//! What the guest behind a port may claim to be, as the site file says it, and what the programs are told of that.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use enforcer_common::layout::{Config, claim};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What a guest may claim to be.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Claims {
    /// Its own addresses; empty: they are not known.
    pub addresses: Vec<IpNet>,
    /// Addresses that it may claim, and others as well.
    pub shared: Vec<IpNet>,
    /// Its hardware address, where it is known.
    pub mac: Option<Mac>,
    /// Whether it may advertise routes, redirect, and speak the protocols of switches.
    pub router: bool,
    /// Whether it may answer as a DHCP server.
    pub dhcp_server: bool,
}

/// The hardware address of one device.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Reads six pairs of hexadecimal digits, of one device and not of a group.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut octets = [0; 6];
        let mut pairs = text.split(':');
        for octet in &mut octets {
            let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit()))?;
            *octet = u8::from_str_radix(pair, 16).ok()?;
        }
        let is_whole = pairs.next().is_none();
        (is_whole && octets[0] & 1 == 0 && octets != [0; 6]).then_some(Self(octets))
    }
}

impl Display for Mac {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Claims {
    /// What the table of claims says of each prefix.
    #[must_use]
    pub fn table(&self) -> BTreeMap<IpNet, u32> {
        let own = self.addresses.iter().map(|net| (*net, if is_single(net) { claim::OWN } else { claim::WITHIN }));
        own.chain(self.shared.iter().map(|net| (*net, claim::SHARED))).collect()
    }

    /// Tells the programs of a guest what is not in the table.
    pub fn tell(&self, config: &mut Config) {
        let table = self.table();
        let has_prefixes = self.addresses.iter().any(|net| !is_single(net));
        let features = [
            (Config::CLAIMS, !table.is_empty()),
            (Config::CLAIMS_COMPLETE, !self.addresses.is_empty()),
            (Config::CLAIMS_OF_OTHERS, self.addresses.is_empty() || has_prefixes),
            (Config::CLAIMS_MAC, self.mac.is_some()),
            (Config::ROUTER, self.router),
            (Config::DHCP_SERVER, self.dhcp_server),
        ];
        config.features |= features.iter().filter(|(_, on)| *on).fold(0, |all, (feature, _)| all | feature);
        for address in table.iter().filter(|(_, said)| **said == claim::OWN).map(|(net, _)| net.addr()) {
            match address {
                IpAddr::V4(address) if config.address4 == 0 => config.address4 = u32::from_ne_bytes(address.octets()),
                IpAddr::V6(address) if config.address6 == [0; 4] => {
                    let octets = address.octets();
                    let word = |i: usize| [octets[4 * i], octets[4 * i + 1], octets[4 * i + 2], octets[4 * i + 3]];
                    config.address6 = std::array::from_fn(|i| u32::from_ne_bytes(word(i)));
                }
                IpAddr::V4(_) | IpAddr::V6(_) => {}
            }
        }
        if let Some(Mac([a, b, c, d, e, f])) = self.mac {
            (config.mac_start, config.mac_end) =
                (u32::from_ne_bytes([a, b, c, d]), u32::from(u16::from_ne_bytes([e, f])));
        }
    }
}

/// Whether a prefix is a single address.
fn is_single(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_that_of_one_device() {
        let mac = Mac([0x52, 0x54, 0, 0x0a, 0, 1]);
        assert_eq!(Mac::parse("52:54:00:0A:00:01"), Some(mac));
        assert_eq!(mac.to_string(), "52:54:00:0a:00:01");
        for text in ["", "52:54:00:0a:00", "52:54:00:0a:00:01:02", "+2:54:00:0a:00:01", "5:254:00:0a:00:01"] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
        for of_nobody in ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
            assert_eq!(Mac::parse(of_nobody), None, "{of_nobody}");
        }
    }

    #[test]
    fn the_programs_know_the_first_single_address_of_each_family_by_heart() {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let claims = Claims {
            addresses: nets(&["10.0.0.0/24", "10.1.0.5/32", "10.1.0.6/32", "2001:db8::5/128"]),
            shared: nets(&["10.1.0.5/32"]),
            ..Claims::default()
        };
        let mut config = Config::default();
        claims.tell(&mut config);
        assert_eq!(config.address4, u32::from_ne_bytes([10, 1, 0, 6]), "the shared one is not its own");
        assert_eq!(config.address6[0], u32::from_ne_bytes([0x20, 1, 0xd, 0xb8]));
        assert_eq!(config.address6[3], 5_u32.to_be());
        let all = Config::CLAIMS | Config::CLAIMS_COMPLETE | Config::CLAIMS_OF_OTHERS;
        assert_eq!(config.features, all);
        let mut config = Config::default();
        Claims::default().tell(&mut config);
        assert_eq!(config, Config { features: Config::CLAIMS_OF_OTHERS, ..Config::default() });
    }
}
