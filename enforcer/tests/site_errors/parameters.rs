//! Roles and their parameters.

use expect_test::expect;

use super::check;

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
