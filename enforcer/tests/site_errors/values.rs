//! Words, modes, lengths of time and addresses.

use enforcer::policy::catalogue::embedded;
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use expect_test::expect;

use super::check;

#[test]
fn unknown_keys_and_what_may_be_meant() {
    check(
        "interface: [eth0]\nrole: [unity-connection]\nfoo: 1\n",
        &expect![[r#"
            error: a site has no key `interface`
             --> site.yaml:1:1
              |
            1 | interface: [eth0]
              | ^^^^^^^^^
              |
              = help: did you mean `interfaces`?

            error: a site has no key `role`
             --> site.yaml:2:1
              |
            2 | role: [unity-connection]
              | ^^^^
              |
              = help: did you mean `roles`?

            error: a site has no key `foo`
             --> site.yaml:3:1
              |
            3 | foo: 1
              | ^^^
              |
              = help: a site has estate, host, interfaces, roles, peers, remote, mode, outbound, ephemeral, icmp_echo, scope, flows, release, allow, deny, limit
        "#]],
    );
}

#[test]
fn words() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\nmode: enforcing\noutbound: roles\nephemeral: opened\nicmp_echo: peer\nscope: [all]\n",
        &expect![[r#"
            error: expected `audit` or `enforce`, found `enforcing`
             --> site.yaml:3:7
              |
            3 | mode: enforcing
              |       ^^^^^^^^^

            error: expected `open` or `role`, found `roles`
             --> site.yaml:4:11
              |
            4 | outbound: roles
              |           ^^^^^
              |
              = help: did you mean `role`?

            error: expected `tracked` or `open`, found `opened`
             --> site.yaml:5:12
              |
            5 | ephemeral: opened
              |            ^^^^^^
              |
              = help: did you mean `open`?

            error: expected `any`, `peers` or `none`, found `peer`
             --> site.yaml:6:12
              |
            6 | icmp_echo: peer
              |            ^^^^
              |
              = help: did you mean `peers`?

            error: expected `all` or `host`, found a list
             --> site.yaml:7:8
              |
            7 | scope: [all]
              |        ^
        "#]],
    );
}

#[test]
fn modes_by_direction() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\nmode: {inbound: enforce, outbund: audit}\n",
        &expect![[r#"
        error: `mode` has no key `outbund`
         --> site.yaml:3:26
          |
        3 | mode: {inbound: enforce, outbund: audit}
          |                          ^^^^^^^
          |
          = help: did you mean `outbound`?
    "#]],
    );
}

#[test]
fn flows() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\nflows: {entries: 12, udp: 3 fortnights, tcp: 0, icmp: 31days, tpc: 1s}\n",
        &expect![[r#"
            error: expected a number from 1024 to 16777216, found `12`
             --> site.yaml:3:18
              |
            3 | flows: {entries: 12, udp: 3 fortnights, tcp: 0, icmp: 31days, tpc: 1s}
              |                  ^^

            error: expected a duration from 1s to 30days, such as `180s` or `2h`, found `3 fortnights`
             --> site.yaml:3:27
              |
            3 | flows: {entries: 12, udp: 3 fortnights, tcp: 0, icmp: 31days, tpc: 1s}
              |                           ^^^^^^^^^^^^

            error: expected a duration from 1s to 30days, such as `180s` or `2h`, found `0`
             --> site.yaml:3:46
              |
            3 | flows: {entries: 12, udp: 3 fortnights, tcp: 0, icmp: 31days, tpc: 1s}
              |                                              ^

            error: expected a duration from 1s to 30days, such as `180s` or `2h`, found `31days`
             --> site.yaml:3:55
              |
            3 | flows: {entries: 12, udp: 3 fortnights, tcp: 0, icmp: 31days, tpc: 1s}
              |                                                       ^^^^^^

            error: `flows` has no key `tpc`
             --> site.yaml:3:63
              |
             ::: 
            3 | …ows: {entries: 12, udp: 3 fortnights, tcp: 0, icmp: 31days, tpc: 1s}
              |                                                              ^^^
              |
              = help: did you mean `tcp`?
        "#]],
    );
}

#[test]
fn addresses() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\npeers:\n  phones: [10.20.0.1/16, 10.0.0, 10.0.0.1-10.0.0.9, 2001:db8::g, phnes]\n  any: [10.0.0.1]\n  bad name: [10.0.0.1]\n  a: [b]\n  b: [a]\n  vvb: {x: 1}\n",
        &expect![[r#"
            error: `10.20.0.1/16` has bits behind its prefix
             --> site.yaml:4:12
              |
            4 |   phones: [10.20.0.1/16, 10.0.0, 10.0.0.1-10.0.0.9, 2001:db8::g, phnes]
              |            ^^^^^^^^^^^^
              |
              = help: `10.20.0.0/16` is the network, `10.20.0.1` one host in it

            error: `10.0.0` is not an address or prefix
             --> site.yaml:4:26
              |
            4 |   phones: [10.20.0.1/16, 10.0.0, 10.0.0.1-10.0.0.9, 2001:db8::g, phnes]
              |                          ^^^^^^
              |
              = help: write it such as `10.1.1.10`, `10.20.0.0/16` or `2001:db8::/64`

            error: `10.0.0.1-10.0.0.9` is not an address or prefix
             --> site.yaml:4:34
              |
            4 |   phones: [10.20.0.1/16, 10.0.0, 10.0.0.1-10.0.0.9, 2001:db8::g, phnes]
              |                                  ^^^^^^^^^^^^^^^^^
              |
              = help: write a range as prefixes such as `10.1.1.10`, `10.20.0.0/16` or `2001:db8::/64`

            error: `2001:db8::g` is not an address or prefix
             --> site.yaml:4:53
              |
            4 |   phones: [10.20.0.1/16, 10.0.0, 10.0.0.1-10.0.0.9, 2001:db8::g, phnes]
              |                                                     ^^^^^^^^^^^
              |
              = help: write it such as `10.1.1.10`, `10.20.0.0/16` or `2001:db8::/64`

            error: no peer is called `phnes`
             --> site.yaml:4:66
              |
             ::: 
            4 | …nes: [10.20.0.1/16, 10.0.0, 10.0.0.1-10.0.0.9, 2001:db8::g, phnes]
              |                                                              ^^^^^
              |
              = help: did you mean `phones`?

            error: `any` stands for every address and cannot be the name of a peer
             --> site.yaml:5:3
              |
            5 |   any: [10.0.0.1]
              |   ^^^

            error: `bad name` cannot be the name of a peer
             --> site.yaml:6:3
              |
            6 |   bad name: [10.0.0.1]
              |   ^^^^^^^^
              |
              = help: a letter, then up to 63 letters, digits, `-`, `_` or `.`

            error: the peer `a` is made of itself through `b`
             --> site.yaml:8:7
              |
            8 |   b: [a]
              |       ^

            error: expected a list of addresses, prefixes or peers, found a mapping
             --> site.yaml:9:8
              |
            9 |   vvb: {x: 1}
              |        ^
        "#]],
    );
}

/// Octal to some, decimal to others: nobody knows which port is meant.
#[test]
fn a_number_with_a_leading_zero_is_refused_wherever_a_number_stands() {
    let wrong = [
        "allow: [{name: x, protocol: tcp, ports: 010}]",
        "allow: [{name: x, protocol: tcp, ports: [80, 0443-0500]}]",
        "allow: [{name: x, protocol: tcp, ports: [5060-05199]}]",
        "allow: [{name: x, protocol: 050}]",
        "allow: [{name: x, ethertype: 034962}]",
        "flows: {entries: 010240}",
        "flows: {udp: 0180}",
        "flows: {udp: 0180s}",
        "peers: {phones: [010.20.0.0/16]}",
        "peers: {phones: [10.20.0.0/016]}",
        "peers: {phones: [\"2001:db8::/032\"]}",
        "roles: [{role: cce-router, side: a, instance: 01}]",
        "roles: [{role: finesse, cti_port_a: 042027}]",
        "roles: [{role: unity-connection, sip_ports: [5060, 05061]}]",
        "remote: [{role: cce-router, side: a, instance: 01, addresses: [10.0.0.1]}]",
    ];
    for line in wrong {
        let rest = if line.starts_with("roles") { "" } else { "roles: [cuic]\n" };
        let text = format!("interfaces: [eth0]\n{rest}{line}\n");
        let errors = site::read(Text::new("site.yaml", &text), embedded().unwrap()).expect_err(line).0;
        assert_eq!(errors.len(), 1, "{line}: {errors:?}");
        let hint = errors[0].hint.as_deref().unwrap_or_default();
        assert!(hint.contains("octal"), "{line}: {:?}", errors[0]);
    }
    let good = "interfaces: [eth0]\nroles: [cuic]\nflows: {udp: 180s}\npeers: {dc-01: [10.0.0.1, \"2001:0db8::01\"], phones: [dc-01, 0.0.0.0/0]}\nallow: [{name: x-01, protocol: tcp, ports: [0, 10], from: [dc-01], expires: 2099-06-01}, {name: y, ethertype: 0x0801}]\n";
    site::read(Text::new("site.yaml", good), embedded().unwrap()).unwrap();
}
