//! The entries of `allow`, `deny` and what else makes rules.

use expect_test::expect;

use super::check;

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
