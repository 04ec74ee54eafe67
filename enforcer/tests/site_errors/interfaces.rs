//! The interfaces of a site.

use expect_test::expect;

use super::check;

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
fn claims_of_guests() {
    check(
        "\
interfaces:
  - {name: eth0, addresses: [10.1.1.1], router: true}
  - {name: 'tap*', protects: guest, addresses: [10.1.1.1], mac: '52:54:00:0a:00:01'}
  - {name: vnet1, protects: guest, addresses: [10.1.1.11, 10.1.1.11, phones, 127.0.0.1, 0.0.0.0/0, 10.1.1.5/24], mac: '01:00:5e:00:00:01'}
  - {name: vnet2, protects: guest, addresses: [10.1.1.0/28], shared: [10.1.1.0/28], mac: 52:54, dhcp_server: yes}
  - {name: vnet3, protects: guest, addresses: [], mac: '52:54:00:0a:00:01', router: maybe}
roles: [vvb]
",
        &expect![[r#"
            error: `addresses` is about a guest, and this interface protects this host
             --> site.yaml:2:18
              |
            2 |   - {name: eth0, addresses: [10.1.1.1], router: true}
              |                  ^^^^^^^^^
              |
              = help: add `protects: guest` if a guest is behind this port; the addresses of this host are read from the kernel

            error: `router` is about a guest, and this interface protects this host
             --> site.yaml:2:41
              |
            2 |   - {name: eth0, addresses: [10.1.1.1], router: true}
              |                                         ^^^^^^
              |
              = help: add `protects: guest` if a guest is behind this port; the addresses of this host are read from the kernel

            error: `addresses` belongs to one guest, and `tap*` may be many ports
             --> site.yaml:3:37
              |
            3 |   - {name: 'tap*', protects: guest, addresses: [10.1.1.1], mac: '52:54:00:0a:00:01'}
              |                                     ^^^^^^^^^
              |
              = help: name the port of this guest in an entry of its own

            error: `mac` belongs to one guest, and `tap*` may be many ports
             --> site.yaml:3:60
              |
            3 |   - {name: 'tap*', protects: guest, addresses: [10.1.1.1], mac: '52:54:00:0a:00:01'}
              |                                                            ^^^
              |
              = help: name the port of this guest in an entry of its own

            error: `10.1.1.11` stands twice
             --> site.yaml:4:59
              |
            4 |   - {name: vnet1, protects: guest, addresses: [10.1.1.11, 10.1.1.11, phones, 127.0.0.1, 0.0.0.0/0, 10.1.1.5/24], mac: '01:00:5e:00:00...
              |                                                           ^^^^^^^^^

            error: expected an address or a prefix such as `10.1.1.10` or `2001:db8::/64`, found `phones`
             --> site.yaml:4:70
              |
             ::: 
            4 | …: vnet1, protects: guest, addresses: [10.1.1.11, 10.1.1.11, phones, 127.0.0.1, 0.0.0.0/0, 10.1.1.5/24], mac: '01:00:5e:00:00:01'}
              |                                                              ^^^^^^

            error: `127.0.0.1` cannot be an address of a guest
             --> site.yaml:4:78
              |
             ::: 
            4 | … protects: guest, addresses: [10.1.1.11, 10.1.1.11, phones, 127.0.0.1, 0.0.0.0/0, 10.1.1.5/24], mac: '01:00:5e:00:00:01'}
              |                                                              ^^^^^^^^^
              |
              = help: it is a loopback, multicast or broadcast address

            error: `0.0.0.0/0` cannot be an address of a guest
             --> site.yaml:4:89
              |
             ::: 
            4 | …guest, addresses: [10.1.1.11, 10.1.1.11, phones, 127.0.0.1, 0.0.0.0/0, 10.1.1.5/24], mac: '01:00:5e:00:00:01'}
              |                                                              ^^^^^^^^^
              |
              = help: a guest whose addresses are not known has no `addresses`

            error: `10.1.1.5/24` has bits behind its prefix
             --> site.yaml:4:100
              |
             ::: 
            4 | …esses: [10.1.1.11, 10.1.1.11, phones, 127.0.0.1, 0.0.0.0/0, 10.1.1.5/24], mac: '01:00:5e:00:00:01'}
              |                                                              ^^^^^^^^^^^
              |
              = help: `10.1.1.0/24` is the network, `10.1.1.5` one host in it

            error: expected a hardware address such as `52:54:00:0a:00:01`, found `01:00:5e:00:00:01`
             --> site.yaml:4:119
              |
             ::: 
            4 | …10.1.1.11, phones, 127.0.0.1, 0.0.0.0/0, 10.1.1.5/24], mac: '01:00:5e:00:00:01'}
              |                                                              ^^^^^^^^^^^^^^^^^^^

            error: `10.1.1.0/28` is an address of another guest as well
             --> site.yaml:5:48
              |
            5 |   - {name: vnet2, protects: guest, addresses: [10.1.1.0/28], shared: [10.1.1.0/28], mac: 52:54, dhcp_server: yes}
              |                                                ^^^^^^^^^^^
              |
              = help: the other guest has it on line 3; an address that several guests may claim stands under `shared` of each

            error: `10.1.1.0/28` is the guest's own address and a shared one
             --> site.yaml:5:71
              |
             ::: 
            5 | … vnet2, protects: guest, addresses: [10.1.1.0/28], shared: [10.1.1.0/28], mac: 52:54, dhcp_server: yes}
              |                                                              ^^^^^^^^^^^
              |
              = help: remove it from `addresses` or from `shared`

            error: expected a hardware address such as `52:54:00:0a:00:01`, found `52:54`
             --> site.yaml:5:90
              |
             ::: 
            5 | …uest, addresses: [10.1.1.0/28], shared: [10.1.1.0/28], mac: 52:54, dhcp_server: yes}
              |                                                              ^^^^^

            error: an interface has no key `dhcp_server`
             --> site.yaml:5:97
              |
             ::: 
            5 | …ddresses: [10.1.1.0/28], shared: [10.1.1.0/28], mac: 52:54, dhcp_server: yes}
              |                                                              ^^^^^^^^^^^
              |
              = help: did you mean `dhcp-server`?

            error: the list of addresses is empty
             --> site.yaml:6:47
              |
            6 |   - {name: vnet3, protects: guest, addresses: [], mac: '52:54:00:0a:00:01', router: maybe}
              |                                               ^

            error: `52:54:00:0a:00:01` is the hardware address of another guest as well
             --> site.yaml:6:56
              |
            6 |   - {name: vnet3, protects: guest, addresses: [], mac: '52:54:00:0a:00:01', router: maybe}
              |                                                        ^^^^^^^^^^^^^^^^^^^
              |
              = help: the other guest has it on line 3

            error: expected `true` or `false`, found `maybe`
             --> site.yaml:6:85
              |
             ::: 
            6 | …ts: guest, addresses: [], mac: '52:54:00:0a:00:01', router: maybe}
              |                                                              ^^^^^
        "#]],
    );
}
