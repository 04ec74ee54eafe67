//! What is wrong with an estate: all of it at once, each with its place and what to do.

use enforcer::policy::catalogue::embedded;
use enforcer::policy::estate::read;
use enforcer::text::diagnostic::Text;
use expect_test::{Expect, expect};

#[track_caller]
fn check(text: &str, expected: &Expect) {
    let findings = read(Text::new("e", text), embedded().unwrap()).unwrap_err();
    expected.assert_eq(&(findings.to_string() + "\n"));
}

#[test]
fn names_that_nobody_has() {
    check(
        "estate: e\nhosts:\n  cuc1: {addresses: [10.0.0.1], cluster: cuc, roles: [unity-conection]}\n  \
         g1: {addresses: [10.0.0.2], behind: [{host: hv}], roles: [cuic]}\n  hv1: {addresses: [10.0.0.3]}\n\
         outside: {phones: [phone-net], phone-nets: [10.1.0.0/16]}\n\
         allow:\n  - {name: a, hosts: [cuc2], protocol: tcp, ports: [1], from: [cuc12]}\n  - {name: b, hosts: [vvb], protocol: tcp, ports: [1]}\n\
         limit:\n  - {service: remote-management/rdp, from: [cuc1]}\n\
         tests:\n  - {from: phone-nets, to: cuc11, tcp: 1, expect: pas}\n",
        &expect![[r#"
            e:3:55: no role is called `unity-conection` (did you mean `unity-connection`?)
            e:4:47: no host is called `hv` (did you mean `hv1`?)
            e:6:20: no host or name under `outside:` is called `phone-net` (did you mean `phone-nets`?)
            e:8:23: no host, role or cluster is called `cuc2` (did you mean `cuc` or `cuc1`?)
            e:8:64: no peer is called `cuc12` (did you mean `cuc1`?)
            e:9:23: no host has the role `vvb`, so the entry is for nobody (remove it from the list)
            e:11:15: no host has the role `remote-management`, so there is nothing to narrow (remove the entry)
            e:13:28: no host or name under `outside:` is called `cuc11` (did you mean `cuc1`?)
            e:13:51: expected `pass` or `drop`, found `pas` (did you mean `pass`?)
        "#]],
    );
}

#[test]
fn hosts_that_cannot_be() {
    check(
        "estate: e\nhosts:\n  a: {addresses: [10.0.0.1], roles: [finesse, cvp-reporting]}\n  b: {addresses: [10.0.0.1]}\n  \
         c: {addresses: [10.0.0.0/24, 127.0.0.1, x], cluster: [one, two]}\n  cuic: {addresses: [10.0.0.5]}\n  \
         phones: {addresses: [10.0.0.6]}\n  d: {addresses: [10.0.0.7], roles: [{role: cce-router, sid: a}]}\n  \
         e: {addresses: [10.0.0.8], by: window, interfaces: [eth0, eth0], shared: [10.0.0.9]}\n  \
         f: {addresses: [10.0.0.10], behind: [{host: a, mac: 1}], interfaces: [eth0]}\n\
         outside: {phones: [10.1.0.0/16]}\n",
        &expect![[r#"
            e:3:47: `cvp-reporting` cannot share a host with `finesse` (they are of different products; give each a host of its own (`enforcer catalogue lint` knows which can share))
            e:4:19: `b` has the address 10.0.0.1, and so has `a` (line 3) (if they share it, write `shared: [10.0.0.1]` at both)
            e:5:19: a host has addresses, not a whole network (devices that are no hosts of the estate stand under `outside:`)
            e:5:32: 127.0.0.1 cannot be the address of a host in a network
            e:5:43: expected an address such as `10.1.1.10` or `2001:db8::10`, found `x`
            e:5:56: a host is in one cluster, and this is a list of 2 (write one name: `cluster: NAME`)
            e:6:3: the host `cuic` is called like a peer of the catalogue, so rules could mean either (call it otherwise, such as `cuic1`)
            e:7:3: the host `phones` is called like a name under `outside:` (line 11), so rules could mean either (call it otherwise, such as `phones1`)
            e:8:57: the role `cce-router` has no parameter `sid` (did you mean `side`?)
            e:9:34: expected `enforcer`, `windows`, `ios`, `nft` or `iptables`, found `window` (did you mean `windows`?)
            e:9:61: the interface `eth0` stands twice
            e:9:77: 10.0.0.9 is not among the addresses of `e` (`shared` repeats an address that another host has, too)
            e:10:55: expected a hardware address such as `52:54:00:0a:00:01`, found `1`
            e:10:72: `f` is protected where it runs, so it has no `interfaces` of its own (`interfaces` is for hosts that protect themselves; remove one of the two)
        "#]],
    );
}

#[test]
fn ports_that_are_moved() {
    check(
        "estate: e\nhosts:\n  a: {addresses: [10.0.0.1], roles: [{role: cce-pg, side: a, moved: {cce-pg/mds-privat-1: [1], cce-pg/mds-private-1: [0, x]}}]}\n",
        &expect![[r#"
            e:3:70: the role `cce-pg` has no service `cce-pg/mds-privat-1` (did you mean `cce-pg/mds-private-1`, `cce-pg/mds-private-2` or `cce-pg/mds-private-3`?)
            e:3:119: expected ports such as `44004` or `44004-44005`, found `0`
            e:3:122: expected ports such as `44004` or `44004-44005`, found `x`
        "#]],
    );
}

#[test]
fn two_hosts_may_share_an_address_that_both_name() {
    let text = "estate: e\nhosts:\n  a: {addresses: [10.0.0.1, 10.0.0.9], shared: [10.0.0.9]}\n  b: {addresses: [10.0.0.2, 10.0.0.9], shared: [10.0.0.9]}\n";
    assert!(read(Text::new("e", text), embedded().unwrap()).is_ok());
    check(
        &text.replacen(", shared: [10.0.0.9]", "", 1),
        &expect![[r#"
        e:4:29: `b` has the address 10.0.0.9, and so has `a` (line 3) (if they share it, write `shared: [10.0.0.9]` at both)
    "#]],
    );
}

#[test]
fn what_is_no_estate() {
    check(
        "estate: &a e\nhosts: {}\nhost: x\ndefaults: {modus: audit}\n",
        &expect![[r#"
        e:1:12: anchors are not used here (write the value out where it is needed)
    "#]],
    );
    check(
        "estate: e\nhosts:\n  f: {}\n  f: {}\n",
        &expect![[r#"
        e:4:3: the key `f` stands twice (its first value is on line 3)
    "#]],
    );
    check(
        "estate: e\n",
        &expect![[r#"
        e:1:1: `hosts` is missing in an estate
    "#]],
    );
}
