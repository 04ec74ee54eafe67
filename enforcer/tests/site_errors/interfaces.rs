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
