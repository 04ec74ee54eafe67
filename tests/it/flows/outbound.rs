//! `outbound: role`: what leaves is judged by the connections of the roles.

use enforcer_common::{Direction, Reason};
use harness::packet::{Extension, Packet, protocol, tcp};

use super::{HOST, OTHER, from_host, to_host};
use crate::stage::Stage;

const SITE: &str = "\
interfaces: [IF]
roles: [unity-connection]
outbound: role
mode: enforce
";

#[test]
fn replies_of_permitted_services_leave_and_so_do_the_connections_of_the_role() {
    let stage = Stage::new(SITE, "tc");
    for family in [0, 1] {
        stage.inbound(&to_host(family).tcp(40_000, 443), Reason::Rule);
        for bits in [tcp::SYN | tcp::ACK, tcp::ACK, tcp::FIN | tcp::ACK, tcp::RST] {
            stage.outbound(&from_host(family).tcp(443, 40_000).flags(bits), Reason::Rule);
        }
        stage.outbound(&from_host(family).udp(161, 40_000), Reason::Rule);
        // Fetching trust lists from the call manager.
        stage.outbound(&from_host(family).tcp(40_000, 6972), Reason::Rule);
        stage.inbound(&to_host(family).tcp(6972, 40_000).flags(tcp::SYN | tcp::ACK), Reason::Flow);
        stage.outbound(&from_host(family).tcp(40_000, 6972).flags(tcp::ACK), Reason::Rule);
    }
}

#[test]
fn what_no_connection_permits_is_dropped_and_makes_no_flow() {
    let stage = Stage::new(SITE, "tc");
    for family in [0, 1] {
        // From the port of a service, too, when it opens a conversation.
        for source in [40_000, 443] {
            stage.outbound(&from_host(family).tcp(source, 4444), Reason::NoConnection);
        }
        stage.outbound(&from_host(family).udp(40_000, 4444), Reason::NoConnection);
        stage.outbound(&from_host(family).tcp(40_000, 4444).flags(tcp::ACK), Reason::NoConnection);
        stage.inbound(&to_host(family).udp(4444, 40_000), Reason::NoRule);
    }
    assert_eq!(stage.tables.flows4().len() + stage.tables.flows6().len(), 0);
}

#[test]
fn a_spoofed_fragment_does_not_stop_the_datagram_of_this_host() {
    for hook in ["tc", "native"] {
        let stage = Stage::new(SITE, hook);
        for family in [0, 1] {
            let fragment = |packet: Packet, offset, more| match family {
                0 => packet.fragment(offset, more, 7),
                _ => packet.extension(Extension::Fragment { offset, more, id: 7 }),
            };
            let first = |packet| fragment(packet, 0, true).udp(161, 40_000).udp_length(2000).payload(&[0; 64]);
            let later = fragment(from_host(family), 9, false).raw(protocol::UDP, &[0; 64]);
            stage.outbound(&first(from_host(family)), Reason::Rule);
            stage.inbound(&first(Packet::new().ip(HOST[family], OTHER[family])), Reason::Martian);
            stage.outbound(&later, Reason::FragmentPass);
        }
    }
}

#[test]
fn names_time_addresses_and_messages_always_leave() {
    let stage = Stage::new(&format!("{}outbound: role\n", super::SITE), "tc");
    for family in [0, 1] {
        stage.outbound(&from_host(family).udp(40_000, 53), Reason::Open);
        stage.outbound(&from_host(family).tcp(40_000, 53), Reason::Open);
        stage.outbound(&from_host(family).udp(123, 123), Reason::Open);
        stage.inbound(&to_host(family).udp(53, 40_000), Reason::Flow);
    }
    stage.outbound(&from_host(0).udp(68, 67), Reason::Dhcp);
    stage.outbound(&from_host(1).udp(546, 547), Reason::Dhcp);
    stage.outbound(&from_host(0).icmp(8, 0), Reason::Icmp);
    stage.outbound(&from_host(0).icmp(3, 3).payload(&[0; 28]), Reason::Icmp);
    stage.outbound(&from_host(1).hop_limit(255).icmpv6(135, 0).payload(&[0; 20]), Reason::Icmp);
    let report = from_host(1).hop_limit(1).extension(Extension::HopByHop { words: 0 });
    stage.outbound(&report.icmpv6(143, 0).payload(&[0; 20]), Reason::Icmp);
}

#[test]
fn inbound_enforced_and_outbound_in_audit_changes_nothing_that_leaves() {
    let mode = "mode: {inbound: enforce, outbound: audit}";
    let stage = Stage::new(&SITE.replace("mode: enforce", mode), "tc");
    for family in [0, 1] {
        stage.inbound(&to_host(family).udp(4444, 40_000), Reason::NoRule);
        stage.would_drop(Direction::Outbound, &from_host(family).udp(40_000, 4444), Reason::NoConnection);
        // It has left, so it is answered.
        stage.inbound(&to_host(family).udp(4444, 40_000), Reason::Flow);
        stage.would_drop(Direction::Outbound, &from_host(family).tcp(40_000, 4444), Reason::NoConnection);
        stage.inbound(&to_host(family).tcp(4444, 40_000).flags(tcp::SYN | tcp::ACK), Reason::Flow);
    }
}
