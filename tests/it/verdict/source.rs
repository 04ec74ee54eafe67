//! Who a source address belongs to, where the bound prefixes are many, lie within each other and end in the middle of a /16.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use harness::enforcer::Protected;
use harness::netns::Cable;
use harness::packet::Packet;
use harness::program::Outcome;
use ipnet::Ipv4Net;

use super::HOST;

/// The peers, each with a port of its own.
const PORTS: [(&str, u16); 3] = [("wide", 50_001), ("inner", 50_002), ("single", 50_003)];

/// The prefixes of each peer: whole /8 and larger, some within them, and every other address of a /20.
fn bound() -> [Vec<Ipv4Net>; 3] {
    let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().expect("a prefix")).collect();
    let odd = (1..4096).step_by(2).map(|low| Ipv4Net::from(Ipv4Addr::from_bits(0x0a07_0000 + low)));
    [
        nets(&["0.0.0.0/2", "192.0.2.0/24", "203.0.113.128/25"]),
        nets(&["10.7.0.0/16", "10.6.255.255/32", "10.64.0.0/10", "64.0.0.0/9", "203.0.113.192/32"]),
        odd.collect(),
    ]
}

#[test]
fn an_address_has_the_rights_of_every_prefix_that_covers_it() {
    let bound = bound();
    let protected = Protected { cable: Cable::quiet() };
    let (mut peers, mut allow) = (String::new(), String::new());
    for ((name, port), nets) in PORTS.iter().zip(&bound) {
        let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
        let _ = writeln!(peers, "  {name}: [{}]", nets.join(", "));
        let _ = writeln!(allow, "  - {{name: {name}, protocol: tcp, ports: [{port}], from: [{name}]}}");
    }
    let site = format!("roles: [finesse]\ninterfaces: [IF]\npeers:\n{peers}allow:\n{allow}");
    let borders = bound.iter().flatten().step_by(7).chain(bound[..2].iter().flatten()).flat_map(|net| {
        let [first, last] = [net.network(), net.broadcast()].map(Ipv4Addr::to_bits);
        [first.saturating_sub(1), first, last, last + 1].map(Ipv4Addr::from_bits)
    });
    // What cannot be a source is refused for that.
    let sources: Vec<Ipv4Addr> =
        borders.filter(|one| !one.is_loopback() && !one.is_unspecified() && one.octets()[0] < 224).collect();
    assert!(sources.len() > 1000, "{}", sources.len());
    for hook in ["native", "tc"] {
        protected.try_site(&site, &["--mode", "enforce", "--hook", hook]).expect_code(0);
        for ((_, port), nets) in PORTS.iter().zip(&bound) {
            let (may, may_not): (Vec<_>, Vec<_>) =
                sources.iter().partition(|source| nets.iter().any(|net| net.contains(*source)));
            let frames = |sources: Vec<&Ipv4Addr>| -> Vec<Packet> {
                let frame = |source: &Ipv4Addr| Packet::new().ipv4(&source.to_string(), HOST[0]).tcp(40_000, *port);
                sources.into_iter().map(frame).collect()
            };
            assert!(!may.is_empty() && !may_not.is_empty());
            protected.expect(Outcome::Passed, "rule", &frames(may));
            protected.expect(Outcome::Dropped, "peer", &frames(may_not));
        }
    }
}
