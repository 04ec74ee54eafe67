//! Address assignment: its answers pass, although no rule names them.

use harness::packet::Packet;

use super::Judge;

#[test]
fn answers_of_dhcp_servers_pass() {
    let judge = Judge::new();
    judge.passes(
        "dhcp",
        &[
            Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(67, 68).payload(&[0; 240]),
            Packet::new().ipv4("198.18.0.2", "255.255.255.255").udp(67, 68).payload(&[0; 240]),
            Packet::new().ipv6("fe80::2", "fe80::1").udp(547, 546).payload(&[0; 24]),
        ],
    );
}

#[test]
fn only_from_the_servers_port_and_only_in_their_own_family() {
    let judge = Judge::new();
    judge.drops(
        "no-rule",
        &[
            Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(40_000, 68),
            Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(68, 67),
            Packet::new().ipv4("198.18.0.2", "198.18.0.1").tcp(67, 68),
            Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(547, 546),
            Packet::new().ipv6("fe80::2", "fe80::1").udp(67, 68),
        ],
    );
}
