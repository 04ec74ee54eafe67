use expect_test::{Expect, expect};

use super::*;

#[test]
fn the_examples_of_the_contract_are_read() {
    for (text, expected) in [
        ("in tcp 10.0.0.5:40000 -> :8443", "in tcp 10.0.0.5:40000 -> :8443"),
        ("in udp [2001:db8::5]:4000 -> :161", "in udp [2001:db8::5]:4000 -> :161"),
        ("in icmp 10.0.0.5 -> ", "in icmp 10.0.0.5 -> "),
        ("  out  17 10.0.0.1->10.0.0.5:69 ", "out udp 10.0.0.1:50000 -> 10.0.0.5:69"),
        ("out esp -> [::1]", "out esp  -> [::1]"),
    ] {
        let tuple = Tuple::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(tuple.to_string(), expected);
        assert_eq!(Tuple::parse(&tuple.to_string()).ok(), Some(tuple));
    }
}

#[test]
fn what_is_wrong_is_pointed_at() {
    check(
        "in tpc 10.0.0.5 -> :80",
        &expect![[r#"
        error: `tpc` is no IP protocol
         --> tuple:1:4
          |
        1 | in tpc 10.0.0.5 -> :80
          |    ^^^
          |
          = help: did you mean `tcp`?"#]],
    );
    check(
        "inn tcp 10.0.0.5 -> :80",
        &expect![[r#"
        error: expected `in` or `out`, seen from the protected host, found `inn`
         --> tuple:1:1
          |
        1 | inn tcp 10.0.0.5 -> :80
          | ^^^
          |
          = help: did you mean `in`?"#]],
    );
    check(
        "in tcp 10.0.0.5 :80",
        &expect![[r#"
        error: `->` is missing between where the packet comes from and where it goes
         --> tuple:1:1
          |
        1 | in tcp 10.0.0.5 :80
          | ^^^^^^^^^^^^^^^^^^^
          |
          = help: for example `in tcp 10.0.0.5:40000 -> :8443` or `out udp -> [2001:db8::5]:161`"#]],
    );
    check(
        "in tcp 10.0.0.999:5 -> :80",
        &expect![[r#"
        error: `10.0.0.999` is no address
         --> tuple:1:8
          |
        1 | in tcp 10.0.0.999:5 -> :80
          |        ^^^^^^^^^^
          |
          = help: an address such as `10.0.0.5`, or IPv6 in brackets: `[2001:db8::5]`"#]],
    );
    check(
        "in tcp 10.0.0.5 -> 80",
        &expect![[r#"
        error: `80` is no address
         --> tuple:1:20
          |
        1 | in tcp 10.0.0.5 -> 80
          |                    ^^
          |
          = help: a port stands behind a colon: `:80`"#]],
    );
    check(
        "in tcp 10.0.0.5:70000 -> :80",
        &expect![[r#"
        error: `70000` is no port
         --> tuple:1:17
          |
        1 | in tcp 10.0.0.5:70000 -> :80
          |                 ^^^^^
          |
          = help: a number from 0 to 65535"#]],
    );
    check(
        "in tcp 2001:db8::5 -> :80",
        &expect![[r#"
        error: an IPv6 address stands in brackets
         --> tuple:1:8
          |
        1 | in tcp 2001:db8::5 -> :80
          |        ^^^^^^^^^^^
          |
          = help: write `[2001:db8::5]`, so that a port can follow"#]],
    );
    check(
        "in tcp [2001:db8::5 -> :80",
        &expect![[r#"
        error: `]` is missing
         --> tuple:1:8
          |
        1 | in tcp [2001:db8::5 -> :80
          |        ^^^^^^^^^^^^"#]],
    );
    check(
        "in tcp [2001:db8::5]x -> :80",
        &expect![[r#"
        error: expected `:` and a port, found `x`
         --> tuple:1:21
          |
        1 | in tcp [2001:db8::5]x -> :80
          |                     ^"#]],
    );
    check(
        "in tcp [2001:db8::5] -> 10.0.0.1:80",
        &expect![[r#"
        error: one address is IPv4 and the other is IPv6
         --> tuple:1:25
          |
        1 | in tcp [2001:db8::5] -> 10.0.0.1:80
          |                         ^^^^^^^^^^^"#]],
    );
    check(
        "in tcp 10.0.0.5 ->",
        &expect![[r#"
        error: tcp needs the port that it goes to
         --> tuple:1:19
          |
        1 | in tcp 10.0.0.5 ->
          |                   ^
          |
          = help: write `-> :443` or `-> 10.0.0.1:443`"#]],
    );
    check(
        "in tcp -> :80",
        &expect![[r#"
        error: an inbound packet needs the address that it comes from
         --> tuple:1:7
          |
        1 | in tcp -> :80
          |       ^
          |
          = help: for example `in tcp 10.0.0.5:40000 -> :8443` or `out udp -> [2001:db8::5]:161`"#]],
    );
    check(
        "in esp 10.0.0.5:5 ->",
        &expect![[r#"
        error: esp has no ports
         --> tuple:1:17
          |
        1 | in esp 10.0.0.5:5 ->
          |                 ^
          |
          = help: leave the port out"#]],
    );
    check(
        "in icmpv6 10.0.0.5 ->",
        &expect![[r#"
        error: this protocol belongs to the other family
         --> tuple:1:4
          |
        1 | in icmpv6 10.0.0.5 ->
          |    ^^^^^^
          |
          = help: over IPv4 it is `icmp`"#]],
    );
    check(
        "in tcp 10.0.0.5 x -> :80",
        &expect![[r#"
        error: `x` is too much before `->`
         --> tuple:1:17
          |
        1 | in tcp 10.0.0.5 x -> :80
          |                 ^
          |
          = help: for example `in tcp 10.0.0.5:40000 -> :8443` or `out udp -> [2001:db8::5]:161`"#]],
    );
    check(
        "in tcp 10.0.0.5 -> :80 x",
        &expect![[r#"
        error: `x` is too much after `->`
         --> tuple:1:24
          |
        1 | in tcp 10.0.0.5 -> :80 x
          |                        ^
          |
          = help: for example `in tcp 10.0.0.5:40000 -> :8443` or `out udp -> [2001:db8::5]:161`"#]],
    );
    check(
        "in -> :80",
        &expect![[r#"
        error: a protocol is missing
         --> tuple:1:3
          |
        1 | in -> :80
          |   ^
          |
          = help: for example `in tcp 10.0.0.5:40000 -> :8443` or `out udp -> [2001:db8::5]:161`"#]],
    );
    check(
        "->",
        &expect![[r#"
        error: expected `in` or `out` and a protocol
         --> tuple:1:1
          |
        1 | ->
          | ^
          |
          = help: for example `in tcp 10.0.0.5:40000 -> :8443` or `out udp -> [2001:db8::5]:161`"#]],
    );
    check(
        "",
        &expect![[r#"
        error: `->` is missing between where the packet comes from and where it goes
         --> tuple:1:1
          |
        1 |
          | ^
          |
          = help: for example `in tcp 10.0.0.5:40000 -> :8443` or `out udp -> [2001:db8::5]:161`"#]],
    );
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&Tuple::parse(text).map_or_else(|error| error.render(false), |tuple| format!("{tuple:?}")));
}
