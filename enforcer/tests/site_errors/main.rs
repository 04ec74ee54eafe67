//! Every error of a site file, as its author sees it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use enforcer::policy::catalogue::embedded;
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use expect_test::{Expect, expect};

#[test]
fn an_empty_file() {
    check(
        "",
        &expect![[r#"
        error: the file is empty
        --> site.yaml
    "#]],
    );
}

#[test]
fn only_a_comment() {
    check(
        "# nothing\n",
        &expect![[r#"
        error: the file is empty
        --> site.yaml
    "#]],
    );
}

#[test]
fn null() {
    check(
        "~\n",
        &expect![[r#"
        error: expected a site, found nothing
         --> site.yaml:1:1
          |
        1 | ~
          | ^
    "#]],
    );
}

#[test]
fn a_list_instead_of_a_site() {
    check(
        "- unity-connection\n",
        &expect![[r#"
        error: expected a site, found a list
         --> site.yaml:1:1
          |
        1 | - unity-connection
          | ^
    "#]],
    );
}

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
              = help: a site has interfaces, mode, roles, peers, remote, outbound, ephemeral, icmp_echo, scope, flows, release, allow, deny, limit
        "#]],
    );
}

#[test]
fn no_roles_and_no_rules() {
    check(
        "interfaces: [eth0]\n",
        &expect![[r#"
        error: the site has no roles and no rules, so it would refuse everything
         --> site.yaml:1:1
          |
        1 | interfaces: [eth0]
          | ^
          |
          = help: `enforcer roles` lists the roles
    "#]],
    );
}

#[test]
fn unknown_role() {
    check(
        "interfaces: [eth0]\nroles: [unity-conection, nothing-like-it]\n",
        &expect![[r#"
        error: no role is called `unity-conection`
         --> site.yaml:2:9
          |
        2 | roles: [unity-conection, nothing-like-it]
          |         ^^^^^^^^^^^^^^^
          |
          = help: did you mean `unity-connection`?

        error: no role is called `nothing-like-it`
         --> site.yaml:2:26
          |
        2 | roles: [unity-conection, nothing-like-it]
          |                          ^^^^^^^^^^^^^^^
          |
          = help: `enforcer roles` lists them
    "#]],
    );
}

#[test]
fn a_role_is_a_list() {
    check(
        "interfaces: [eth0]\nroles: [[unity-connection]]\n",
        &expect![[r#"
        error: expected the name of a role, or {role: NAME, parameter: value}, found a list
         --> site.yaml:2:9
          |
        2 | roles: [[unity-connection]]
          |         ^
    "#]],
    );
}

#[test]
fn roles_is_a_mapping() {
    check(
        "interfaces: [eth0]\nroles: {role: vvb}\n",
        &expect![[r#"
            error: expected a list of roles, found a mapping
             --> site.yaml:2:8
              |
            2 | roles: {role: vvb}
              |        ^
        "#]],
    );
}

#[test]
fn parameters() {
    check(
        "interfaces: [eth0]\nroles:\n  - {role: cce-router, sid: a}\n  - {role: cce-router, side: c}\n  - {role: cce-router, side: a, instance: 25}\n  - {role: unity-connection, sip_ports: 5060-99999}\n  - {role: vvb, instance: 1}\n  - {role: unity-connection, sccp_port: [1, 2], mode: enforced}\n  - cce-logger\n  - {side: a}\n",
        &expect![[r#"
            error: the role `cce-router` has no parameter `sid`
             --> site.yaml:3:24
              |
            3 |   - {role: cce-router, sid: a}
              |                        ^^^
              |
              = help: did you mean `side`?

            error: `side` is `a` or `b`, found `c`
             --> site.yaml:4:30
              |
            4 |   - {role: cce-router, side: c}
              |                              ^

            error: `instance` is a number from 0 to 24, found `25`
             --> site.yaml:5:43
              |
            5 |   - {role: cce-router, side: a, instance: 25}
              |                                           ^^

            error: `sip_ports` is ports such as `5060`, `5060-5199` or `5060,5070-5080`, found `5060-99999`
             --> site.yaml:6:41
              |
            6 |   - {role: unity-connection, sip_ports: 5060-99999}
              |                                         ^^^^^^^^^^

            error: the role `vvb` has no parameter `instance`
             --> site.yaml:7:17
              |
            7 |   - {role: vvb, instance: 1}
              |                 ^^^^^^^^
              |
              = help: `vvb` has no parameters

            error: `sccp_port` is a port from 1 to 65535, found a list
             --> site.yaml:8:41
              |
            8 |   - {role: unity-connection, sccp_port: [1, 2], mode: enforced}
              |                                         ^

            error: expected `audit` or `enforce`, found `enforced`
             --> site.yaml:8:55
              |
            8 |   - {role: unity-connection, sccp_port: [1, 2], mode: enforced}
              |                                                       ^^^^^^^^
              |
              = help: did you mean `enforce`?

            error: the role `cce-logger` needs `side`: `a` or `b`
             --> site.yaml:9:5
              |
            9 |   - cce-logger
              |     ^^^^^^^^^^
              |
              = help: write `{role: cce-logger, side: …}`. Side of the duplexed pair this host is.

            error: `role` is missing in a role
              --> site.yaml:10:5
               |
            10 |   - {side: a}
               |     ^
        "#]],
    );
}

#[test]
fn a_formula_beyond_the_last_port() {
    check(
        "interfaces: [eth0]\nroles: [{role: cce-outbound-dialer, rtp_port_range_start: 65000}]\n",
        &expect![[r#"
        error: `cce-outbound-dialer/rtp`: `rtp_port_range_start+2000*instance` is 67000 for instance 0, and ports end at 65535
         --> site.yaml:2:16
          |
        2 | roles: [{role: cce-outbound-dialer, rtp_port_range_start: 65000}]
          |                ^^^^^^^^^^^^^^^^^^^
    "#]],
    );
}

#[test]
fn interfaces() {
    check(
        "interfaces: [lo, eth0, eth0, a/b, this-name-is-too-long, {name: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]\nroles: [vvb]\n",
        &expect![[r#"
            error: `lo` cannot be protected
             --> site.yaml:1:14
              |
            1 | interfaces: [lo, eth0, eth0, a/b, this-name-is-too-long, {name: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]
              |              ^^
              |
              = help: programs of one host talk over it; name the interfaces that lead to others

            error: the interface `eth0` stands twice
             --> site.yaml:1:24
              |
            1 | interfaces: [lo, eth0, eth0, a/b, this-name-is-too-long, {name: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]
              |                        ^^^^

            error: `a/b` cannot be the name of an interface
             --> site.yaml:1:30
              |
            1 | interfaces: [lo, eth0, eth0, a/b, this-name-is-too-long, {name: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]
              |                              ^^^
              |
              = help: up to 15 characters, without spaces, `/` and `:`

            error: `this-name-is-too-long` cannot be the name of an interface
             --> site.yaml:1:35
              |
            1 | interfaces: [lo, eth0, eth0, a/b, this-name-is-too-long, {name: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]
              |                                   ^^^^^^^^^^^^^^^^^^^^^
              |
              = help: up to 15 characters, without spaces, `/` and `:`

            error: expected `host` or `guest`, found `gest`
             --> site.yaml:1:81
              |
             ::: 
            1 | …0, eth0, a/b, this-name-is-too-long, {name: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]
              |                                                              ^^^^
              |
              = help: did you mean `guest`?

            error: `mode` has no key `in`
             --> site.yaml:1:94
              |
             ::: 
            1 | … this-name-is-too-long, {name: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]
              |                                                              ^^
              |
              = help: `mode` has inbound, outbound

            error: expected `all` or `host`, found `hots`
             --> site.yaml:1:113
              |
             ::: 
            1 | …ong, {name: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]
              |                                                              ^^^^
              |
              = help: did you mean `host`?

            error: `name` is missing in an interface
             --> site.yaml:1:120
              |
             ::: 
            1 | …ame: tap0, protects: gest, mode: {in: audit}, scope: hots}, {}]
              |                                                              ^
        "#]],
    );
}

#[test]
fn an_empty_list_of_interfaces() {
    check(
        "interfaces: []\nroles: [vvb]\n",
        &expect![[r#"
        error: the list of interfaces is empty
         --> site.yaml:1:13
          |
        1 | interfaces: []
          |             ^
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

#[test]
fn allow_and_deny() {
    check(
        r#"interfaces: [eth0]
roles: [vvb]
allow:
  - {name: a, protocol: tcp}
  - {name: b, protocol: tpc, ports: [1]}
  - {name: c, protocol: esp, ports: [1]}
  - {name: d, protocol: tcp, ports: [0x50, 70000]}
  - {name: e}
  - {name: f, protocol: tcp, ethertype: 0x8892, ports: [1]}
  - {name: g, ethertype: 0x0800}
  - {name: h, ethertype: 1500}
  - {name: i, ethertype: 0x8892, from: [phones]}
  - {name: j, protocol: tcp, ports: [1], to: [phones]}
  - {name: k, protocol: tcp, ports: [1], direction: outbound}
  - {name: l, protocol: tcp, ports: [1], direction: out, from: [phones]}
  - {name: m, protocol: tcp, ports: [1], from: [fones, 10.0.0.0/33]}
  - {name: n, protocol: tcp, ports: [1], from: []}
  - {name: o, protocol: tcp, ports: []}
  - {name: p, protocol: icmp}
  - {name: a, protocol: tcp, ports: [1]}
  - {protocol: tcp, ports: [1]}
  - {name: q, protocol: tcp, ports: [1], expires: tomorrow}
  - {name: icmp-echo, protocol: tcp, ports: [1]}
  - {name: "1st", protocol: tcp, ports: [1], port: 2}
  - telnet
"#,
        &expect![[r#"
            error: `protocol: tcp` needs `ports`
             --> site.yaml:4:25
              |
            4 |   - {name: a, protocol: tcp}
              |                         ^^^
              |
              = help: `ports: any` means all of them

            error: no protocol is called `tpc`
             --> site.yaml:5:25
              |
            5 |   - {name: b, protocol: tpc, ports: [1]}
              |                         ^^^
              |
              = help: did you mean `tcp`?

            error: the protocol `esp` has no ports
             --> site.yaml:6:37
              |
            6 |   - {name: c, protocol: esp, ports: [1]}
              |                                     ^

            error: expected ports such as `443` or `5060-5199`, found `0x50`
             --> site.yaml:7:38
              |
            7 |   - {name: d, protocol: tcp, ports: [0x50, 70000]}
              |                                      ^^^^

            error: expected ports such as `443` or `5060-5199`, found `70000`
             --> site.yaml:7:44
              |
            7 |   - {name: d, protocol: tcp, ports: [0x50, 70000]}
              |                                            ^^^^^

            error: an entry of `allow` has neither `protocol` nor `ethertype`
             --> site.yaml:8:5
              |
            8 |   - {name: e}
              |     ^
              |
              = help: for example `protocol: tcp` with `ports: [9100]`, or `protocol: esp`

            error: an entry has `protocol` or `ethertype`, not both
             --> site.yaml:9:41
              |
            9 |   - {name: f, protocol: tcp, ethertype: 0x8892, ports: [1]}
              |                                         ^^^^^^

            error: no rule is needed for `0x0800`: IPv4 is judged by the rules for protocols and ports
              --> site.yaml:10:26
               |
            10 |   - {name: g, ethertype: 0x0800}
               |                          ^^^^^^

            error: expected an ethertype from 0x0600 to 0xffff, such as `0x8892`, found `1500`
              --> site.yaml:11:26
               |
            11 |   - {name: h, ethertype: 1500}
               |                          ^^^^

            error: what is not IP has no address to match
              --> site.yaml:12:40
               |
            12 |   - {name: i, ethertype: 0x8892, from: [phones]}
               |                                        ^

            error: `to` belongs to `direction: out`
              --> site.yaml:13:46
               |
            13 |   - {name: j, protocol: tcp, ports: [1], to: [phones]}
               |                                              ^
               |
               = help: write `from:` for who connects, or `direction: out`

            error: expected `in` or `out`, found `outbound`
              --> site.yaml:14:53
               |
            14 |   - {name: k, protocol: tcp, ports: [1], direction: outbound}
               |                                                     ^^^^^^^^

            error: `from` belongs to `direction: in`
              --> site.yaml:15:64
               |
              ::: 
            15 | … {name: l, protocol: tcp, ports: [1], direction: out, from: [phones]}
               |                                                              ^
               |
               = help: write `to:` for where the host connects

            error: no peer is called `fones`
              --> site.yaml:16:49
               |
            16 |   - {name: m, protocol: tcp, ports: [1], from: [fones, 10.0.0.0/33]}
               |                                                 ^^^^^
               |
               = help: did you mean `phones`?

            error: `10.0.0.0/33` is not an address or prefix
              --> site.yaml:16:56
               |
            16 |   - {name: m, protocol: tcp, ports: [1], from: [fones, 10.0.0.0/33]}
               |                                                        ^^^^^^^^^^^
               |
               = help: write it such as `10.1.1.10`, `10.20.0.0/16` or `2001:db8::/64`

            error: the list is empty, so the entry would match nobody
              --> site.yaml:17:48
               |
            17 |   - {name: n, protocol: tcp, ports: [1], from: []}
               |                                                ^
               |
               = help: leave it out, or write `any`, to mean every address

            error: the list of ports is empty
              --> site.yaml:18:37
               |
            18 |   - {name: o, protocol: tcp, ports: []}
               |                                     ^

            error: `icmp` is not judged as a whole
              --> site.yaml:19:25
               |
            19 |   - {name: p, protocol: icmp}
               |                         ^^^^
               |
               = help: `icmp_echo:` says who may ping; other types are judged one by one

            error: `name` is missing in an entry of `allow`
              --> site.yaml:21:5
               |
            21 |   - {protocol: tcp, ports: [1]}
               |     ^

            error: expected a day such as `2027-06-30`, found `tomorrow`
              --> site.yaml:22:51
               |
            22 |   - {name: q, protocol: tcp, ports: [1], expires: tomorrow}
               |                                                   ^^^^^^^^

            error: `icmp-echo` is the name of the rule that `icmp_echo:` makes
              --> site.yaml:23:12
               |
            23 |   - {name: icmp-echo, protocol: tcp, ports: [1]}
               |            ^^^^^^^^^

            error: `1st` cannot be the name of a rule
              --> site.yaml:24:12
               |
            24 |   - {name: "1st", protocol: tcp, ports: [1], port: 2}
               |            ^^^^^
               |
               = help: a letter, then up to 63 letters, digits, `-`, `_` or `.`

            error: an entry of `allow` has no key `port`
              --> site.yaml:24:46
               |
            24 |   - {name: "1st", protocol: tcp, ports: [1], port: 2}
               |                                              ^^^^
               |
               = help: did you mean `ports`?

            error: expected an entry of `allow`, found `telnet`
              --> site.yaml:25:5
               |
            25 |   - telnet
               |     ^^^^^^
        "#]],
    );
}

#[test]
fn duplicate_keys() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\nmode: audit\nmode: enforce\npeers:\n  phones: [10.0.0.1]\n  phones: [10.0.0.2]\n",
        &expect![[r#"
            error: the key `mode` stands twice
             --> site.yaml:4:1
              |
            4 | mode: enforce
              | ^^^^
              |
              = help: its first value is on line 3

            error: the key `phones` stands twice
             --> site.yaml:7:3
              |
            7 |   phones: [10.0.0.2]
              |   ^^^^^^
              |
              = help: its first value is on line 6
        "#]],
    );
}

#[test]
fn a_tab() {
    check(
        "interfaces: [eth0]\nroles:\n\t- vvb\n",
        &expect![[r#"
        error: a tab indents this line, and YAML allows only spaces there
         --> site.yaml:3:1
          |
        3 |     - vvb
          | ^^^^
          |
          = help: replace the tab by spaces
    "#]],
    );
}

#[test]
fn an_open_bracket() {
    check(
        "interfaces: [eth0\nroles: [vvb]\n",
        &expect![[r#"
        error: this is not YAML: illegal placement of ':' indicator
         --> site.yaml:2:6
          |
        2 | roles: [vvb]
          |      ^
    "#]],
    );
}

#[test]
fn an_unclosed_quote() {
    check(
        "interfaces: [\"eth0]\nroles: [vvb]\n",
        &expect![[r#"
        error: this is not YAML: unclosed quote
         --> site.yaml:1:14
          |
        1 | interfaces: ["eth0]
          |              ^
    "#]],
    );
}

#[test]
fn two_documents() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\n---\nroles: [cuic]\n",
        &expect![[r#"
        error: a second document starts here; one file holds one
         --> site.yaml:3:1
          |
        3 | ---
          | ^^^
    "#]],
    );
}

#[test]
fn anchors_aliases_and_tags() {
    check(
        "interfaces: &i [eth0]\nroles: !!str [vvb]\npeers: {cluster: *i}\n",
        &expect![[r#"
        error: anchors are not used here
         --> site.yaml:1:16
          |
        1 | interfaces: &i [eth0]
          |                ^
          |
          = help: write the value out where it is needed

        error: tags are not used here
         --> site.yaml:2:14
          |
        2 | roles: !!str [vvb]
          |              ^
          |
          = help: write the value without its tag

        error: aliases are not used here
         --> site.yaml:3:18
          |
        3 | peers: {cluster: *i}
          |                  ^^
          |
          = help: write the value out
    "#]],
    );
}

#[test]
fn a_merge_key() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\n<<: {mode: audit}\n",
        &expect![[r#"
            error: a site has no key `<<`
             --> site.yaml:3:1
              |
            3 | <<: {mode: audit}
              | ^^
              |
              = help: a site has interfaces, mode, roles, peers, remote, outbound, ephemeral, icmp_echo, scope, flows, release, allow, deny, limit
        "#]],
    );
}

#[test]
fn a_key_that_is_a_list() {
    check(
        "[a, b]: 1\n",
        &expect![[r#"
        error: expected a key, found a list
         --> site.yaml:1:1
          |
        1 | [a, b]: 1
          | ^
    "#]],
    );
}

#[test]
fn control_characters_stay_out_of_the_terminal() {
    check(
        "interfaces: [eth0]\nroles: [\"\u{1b}[31mvvb\"]\n",
        &expect![[r#"
        error: this is not YAML: unexpected character: `\u{1b}'
         --> site.yaml:2:10
          |
        2 | roles: ["�[31mvvb"]
          |          ^
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

/// Every finding in one text, in the order of the file.
fn check(text: &str, expected: &Expect) {
    let findings = site::read(Text::new("site.yaml", text), embedded().unwrap()).unwrap_err().0;
    let rendered: Vec<String> = findings.iter().map(|finding| finding.render(false)).collect();
    expected.assert_eq(&(rendered.join("\n\n") + "\n"));
}
