//! What carries packets that are not judged, and TFTP, whose servers answer from another port.

use enforcer_common::Direction;
use enforcer_common::numbers::UDP;

use super::Lint;
use crate::policy::ruleset::Match;
use crate::policy::site::{ALL_PORTS, Remote};
use crate::text::diagnostic::{Diagnostic, Position};

/// Protocols whose packets hold other packets, but ESP.
const PROTOCOLS: [(u8, &str); 9] = [
    (4, "IPv4 in IP"),
    (41, "IPv6 in IP"),
    (47, "GRE"),
    (55, "IP mobility"),
    (94, "IP in IP"),
    (97, "Ethernet in IP"),
    (98, "IP encapsulation"),
    (115, "L2TP"),
    (137, "MPLS in IP"),
];
/// Frames that hold other packets.
const ETHERTYPES: [(u16, &str); 9] = [
    (0x22f3, "TRILL"),
    (0x6558, "transparent bridging"),
    (0x8847, "MPLS"),
    (0x8848, "MPLS multicast"),
    (0x8864, "PPPoE"),
    (0x88e5, "MACsec"),
    (0x88e7, "provider backbone bridging"),
    (0x894f, "network service headers"),
    (0x9100, "stacked VLAN tags"),
];
const TFTP: u16 = 69;
/// A TFTP client asks from any port that its system gives to clients.
const CLIENT_PORTS: std::ops::RangeInclusive<u16> = 1024..=65535;

impl Lint<'_> {
    /// Entries of `allow` for what holds other packets.
    pub(super) fn tunnels(&self, out: &mut Vec<Diagnostic>) {
        for rule in self.site.rules.iter().filter(|rule| !rule.deny) {
            let held = match rule.matches {
                Match::Protocol(protocol) => {
                    PROTOCOLS.iter().find(|(known, _)| *known == protocol).map(|(_, what)| what)
                }
                Match::Ethertype(ethertype) => {
                    ETHERTYPES.iter().find(|(known, _)| *known == ethertype).map(|(_, what)| what)
                }
                Match::Ports { .. } | Match::Echo => None,
            };
            let Some(what) = held else { continue };
            let message = format!("`{}` permits {what}, and the packets inside it are not judged", rule.name);
            let hint = "protect the interface that receives them when they are unpacked, or the host that unpacks them";
            out.push(self.site.text.warning(rule.at, message).with_hint(hint));
        }
    }

    /// A TFTP server under `outbound: role`: its data leave from another port than was asked, which no rule permits.
    pub(super) fn tftp_servers(&self, out: &mut Vec<Diagnostic>) {
        if !self.site.outbound_judged || self.opens_tftp_data() {
            return;
        }
        let mut servers: Vec<(Position, String, Option<Vec<String>>)> = Vec::new();
        for used in &self.services {
            let asked = used.ports.get(&UDP).into_iter().flatten().any(|range| range.contains(&TFTP));
            if asked && used.service.exposure != crate::policy::catalogue::Exposure::Internal && !used.service.ephemeral
            {
                let side = super::super::inbound::users(self.site, used.role, used.service);
                servers.push((used.by.at, used.describe(), side.names));
            }
        }
        for rule in self.site.rules.iter().filter(|rule| !rule.deny && rule.direction == Direction::Inbound) {
            if let Match::Ports { protocol: UDP, ports } = &rule.matches
                && ports.iter().any(|range| range.contains(&TFTP) && *range != ALL_PORTS)
            {
                let names = rule.remotes.as_ref().map(|remotes| remotes.iter().map(name).collect());
                servers.push((rule.at, format!("`{}`", rule.name), names));
            }
        }
        for (at, what, clients) in servers {
            let message = format!(
                "{what} answers TFTP from another port than 69, and `outbound: role` refuses the data that it sends"
            );
            let to = clients.map_or_else(String::new, |names| format!(", to: [{}]", names.join(", ")));
            let hint = format!(
                "`allow: [{{name: tftp-data, direction: out, protocol: udp, ports: [{}-{}]{to}}}]`",
                CLIENT_PORTS.start(),
                CLIENT_PORTS.end()
            );
            out.push(self.site.text.warning(at, message).with_hint(hint));
        }
    }

    /// Whether an entry of `allow` lets the data of a TFTP server out.
    fn opens_tftp_data(&self) -> bool {
        self.site.rules.iter().any(|rule| {
            let covers = matches!(&rule.matches, Match::Ports { protocol: UDP, ports }
                if ports.iter().any(|range| range.start() <= CLIENT_PORTS.start() && range.end() == CLIENT_PORTS.end()));
            !rule.deny && rule.direction == Direction::Outbound && covers
        })
    }
}

/// A remote side as it stands in a site file.
fn name(remote: &Remote) -> String {
    match remote {
        Remote::Peer(name) => name.clone(),
        Remote::Net(net) if net.addr().is_ipv6() => format!("\"{}\"", super::super::remote::written(net)),
        Remote::Net(net) => super::super::remote::written(net),
    }
}
