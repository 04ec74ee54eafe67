//! `enforcer export`: the whole policy is in what is written, or a warning says what is not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod every_target;
mod interfaces;
mod iptables;
mod nftables;
mod router;
mod windows;

use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::{Compiled, compile};
use enforcer::policy::export::{Export, Target, export};
use enforcer::policy::site::{self, Site};
use enforcer::text::diagnostic::Text;
use expect_test::Expect;
use jiff::civil::date;

const SMALL: &str = "\
interfaces: [eth0, {name: eth1, mode: audit}]
mode: enforce
outbound: role
icmp_echo: peers
roles: []
peers:
  monitoring: [10.9.9.9, 10.9.8.0/24, '2001:db8:9::/64']
  phones: []
allow:
  - {name: https, protocol: tcp, ports: [443, 8443-8445]}
  - {name: snmp, protocol: udp, ports: [161], from: [monitoring], reason: dashboards}
  - {name: sip, protocol: tcp, ports: [5060], from: [phones]}
  - {name: ipsec, protocol: esp, from: [monitoring]}
  - {name: syslog, direction: out, protocol: udp, ports: [514], to: [monitoring]}
deny:
  - {name: no-telnet, protocol: tcp, ports: [23]}
";

#[track_caller]
fn check(target: Target, expected: &Expect) {
    let (site, compiled) = compiled(SMALL);
    expected.assert_eq(&export(target, &site, &compiled, None).unwrap().text);
}

fn exported(target: Target, text: &str) -> Export {
    let (site, compiled) = compiled(text);
    export(target, &site, &compiled, None).unwrap()
}

fn compiled(text: &str) -> (Site, Compiled) {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let compiled = compile(&site, catalogue, date(2026, 8, 1)).unwrap();
    (site, compiled)
}
