//! The real binary: exit codes, streams, and what a person reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::Write;
use std::process::{Command, Stdio};

use expect_test::{Expect, expect};
use serde_json::Value;

#[test]
fn what_does_finesse_need_open_and_who_says_so() {
    check(
        &["role", "show", "finesse"],
        &expect![[r#"
            finesse: Server of the Finesse agent and supervisor desktops.
            Cisco Finesse 11.5(1)

            PARAMETER   DEFAULT  VALUES                  MEANING
            awdb_port   1433     a port from 1 to 65535  Port of the database on the administration and data server.
            cti_port_a  42027    a port from 1 to 65535  Port of the side A CTI server.
            cti_port_b  43027    a port from 1 to 65535  Port of the side B CTI server.

            SERVICE     PORTS          FROM                 SOURCE    WHAT FOR
            http        tcp 80, 8082   client-workstations  cce 20:1  Browsers load the administration console, the desktops, gadgets and web services.
            https       tcp 443, 8445  client-workstations  cce 20:2  Browsers load the administration console, the desktops, gadgets and web services over TLS.
            xmpp        tcp 5222       client-workstations  cce 21:1  Custom desktop applications receive notifications by XMPP.
            xmpp-tls    tcp 5223       client-workstations  cce 21:2  Custom desktop applications receive notifications by XMPP over TLS.
            bosh-http   tcp 7071       client-workstations  cce 21:3  Agent and supervisor desktops receive notifications by BOSH.
            bosh-https  tcp 7443       client-workstations  cce 21:4  Agent and supervisor desktops receive notifications by BOSH over TLS.
            xmpp-nodes  tcp 5222       finesse              cce 22:1  The other Finesse node exchanges notifications and watches this one.

            CONNECTION     PORTS                   TO                               SOURCE    WHAT FOR
            gadgets-http   tcp 80, 8082            external-web-servers             cce 23:1  Finesse fetches gadgets from web servers of third parties.
            gadgets-https  tcp 443, 8445           external-web-servers             cce 23:2  Finesse fetches gadgets from web servers of third parties over TLS.
            awdb           tcp 1433 (awdb_port)    cce-administration-data-servers  cce 24:1  Finesse authenticates and authorizes agents and supervisors against the administration database.
            cti-a          tcp 42027 (cti_port_a)  cce-cti-servers                  cce 24:2  Finesse receives agent, team, queue and call events of the side A CTI server. [1]
            cti-b          tcp 43027 (cti_port_b)  cce-cti-servers                  cce 24:2  Finesse receives agent, team, queue and call events of the side B CTI server. [2]

            DERIVED CONNECTION      PORTS                                             TO               FROM THE ROW  WHAT FOR
            finesse/xmpp-nodes      tcp 5222                                          finesse          cce 22:1      The other Finesse node exchanges notifications and watches this one.
            cce-cti-server/ged-188  tcp 42027 + 40 * instance, 43027 + 40 * instance  cce-cti-servers  cce 5:1       Finesse, outbound dialers and CTI OS servers take call and agent events. [3][4]

            Doubts
              [1] Printed for the first instance only; table 5 adds 40 for every further one.
              [2] Table 14 prints 44027 as the default of side B; table 5 adds 40 for every further instance.
              [3] The base is that of the first gateway; none is printed for the second and third.
              [4] Table 14 has 44027 for side B; the base is that of the first gateway and none is printed for the second and third.
        "#]],
    );
}

#[test]
fn a_formula_is_a_port_once_its_parameters_are_set() {
    check(
        &["role", "show", "cce-router", "--set", "side=a", "--set", "instance=2"],
        &expect![[r#"
            cce-router: Central controller router of a Unified CCE instance.
            Cisco Unified CCE 11.5(1)
            Includes cce-diagnostic-framework, windows-authentication.

            PARAMETER  DEFAULT     VALUES                 MEANING
            instance   0           a number from 0 to 24  ICM instance number of this component.
            side       (required)  `a` or `b`             Side of the duplexed pair this host is.

            SERVICE               PORTS                                     FROM                             SOURCE    WHAT FOR
            mds-process-a         tcp 40000                                 cce-router-mds-clients           cce 2:16  Clients of message delivery on side A connect here. [1]
            mds-state-transfer-a  tcp 40001                                 cce-router-mds-clients           cce 2:17  Synchronized clients of message delivery on side A transfer their state here. [1]
            dmp-a                 tcp 40082, 40097, 40083; udp 39500-39999  cce-pgs                          cce 2:24  Peripheral gateways connect to the central controller on side A over the public network. [2][3]
            rtfeed-a              tcp 40087                                 cce-administration-data-servers  cce 2:26  Administration and data servers take the real-time feed of side A.
            tip-events            tcp 40114                                 cuic, live-data                  cce 11:1  Live data servers take events from the router over the public network. [4]
            tip-test-other-side   tcp 40115                                 cuic, live-data                  cce 11:2  Live data servers probe the router over the public network to learn which side is alive. [4]

            SERVICE of cce-diagnostic-framework  PORTS     FROM  SOURCE    WHAT FOR
            diagnostics                          tcp 7890  any   cce 2:38  Diagnostic tools fetch logs, traces and state of the components here.

            SERVICE of windows-authentication  PORTS               FROM  SOURCE    WHAT FOR
            rpc                                tcp 135; udp 135    any   cce 8:1   Windows hosts ask the RPC endpoint mapper where a service listens.
            netbios-session                    tcp 139             any   cce 8:2   Windows hosts open NetBIOS sessions.
            netbios-name                       tcp 137; udp 137    any   cce 8:3   Windows hosts resolve NetBIOS names.
            netbios-datagram                   udp 138             any   cce 8:4   Windows hosts send logon and browser datagrams.
            smb                                tcp 445; udp 445    any   cce 8:5   Windows hosts share files and named pipes.
            ldap                               tcp 389; udp 389    any   cce 8:6   Directory queries between domain members and domain controllers. [5]
            ldap-tls                           tcp 636             any   cce 8:7   Directory queries over TLS. [5]
            global-catalogue                   tcp 3268            any   cce 8:8   Queries of the directory's global catalogue. [5]
            global-catalogue-tls               tcp 3269            any   cce 8:9   Queries of the directory's global catalogue over TLS. [5]
            dns                                tcp 53; udp 53      any   cce 8:10  Name resolution. [6]
            kerberos                           tcp 88; udp 88      any   cce 8:11  Authentication by Kerberos. [5]
            sql-server                         tcp 1433; udp 1434  any   cce 8:12  Database clients reach SQL Server, and its browser on UDP.

            DERIVED CONNECTION               PORTS                                                                        TO                FROM THE ROW  WHAT FOR
            cce-router/mds-private           tcp 41084, 41096, 41085, 41102, 41101, 41112, 41100, 41113; udp 39500-39999  cce-routers       cce 2:1       The router of side A reaches message delivery on side B over the private network. [7]
            cce-router/mds-process-b         tcp 41000                                                                    cce-routers       cce 2:2       Clients of message delivery on side B connect here. [8]
            cce-router/mds-state-transfer-b  tcp 41001                                                                    cce-routers       cce 2:3       Synchronized clients of message delivery on side B transfer their state here. [8]
            cce-router/mds-process-a         tcp 40000                                                                    cce-routers       cce 2:16      Clients of message delivery on side A connect here. [1]
            cce-router/mds-state-transfer-a  tcp 40001                                                                    cce-routers       cce 2:17      Synchronized clients of message delivery on side A transfer their state here. [1]
            cce-cicm/incrpnic-a              udp 40105                                                                    cce-cicm-routers  cce 2:33      The router of a network applications manager reaches side A over the public network.
            cce-cicm/incrpnic-b              udp 41105                                                                    cce-cicm-routers  cce 2:34      The router of a network applications manager reaches side B over the public network.

            Doubts
              [1] No formula is printed although the public ports move with the instance.
              [2] The remark limits the row to gateways of release 5.0 and earlier.
              [3] The remark limits the row to gateways of release 5.0 and earlier; unused where QoS is enabled on the private interface of a gateway although the row is about the public network.
              [4] No protocol is printed.
              [5] Printed as a listener without a remote device although the port is a domain controller's.
              [6] Printed as a listener without a remote device although the port is a DNS server's.
              [7] Unused where QoS is enabled on the private interface.
              [8] No formula is printed although the private ports move with the instance.
        "#]],
    );
}

#[test]
fn connections_that_no_row_prints_are_listed_with_the_row_they_come_from() {
    let (_, json, _) = run(&["role", "show", "cce-pg", "--set", "instance=1", "--format", "json"], "");
    let role: Value = serde_json::from_str(&json).unwrap();
    let derived = role["derived"].as_array().unwrap();
    let one = derived.iter().find(|one| one["id"] == "cce-router/dmp-b").unwrap();
    assert_eq!((one["derived_from"].as_str(), &one["to"]), (Some("inverse"), &serde_json::json!(["cce-routers"])));
    assert_eq!(one["ports"][0]["ports"], "41042");
    assert_eq!(one["sources"][0], serde_json::json!({"document": "cce", "table": "2", "row": 25}));
    let (_, json, _) = run(&["roles", "--format", "json"], "");
    let roles: Vec<Value> = serde_json::from_str(&json).unwrap();
    let listed = roles.iter().find(|role| role["name"] == "cce-pg").unwrap();
    assert_eq!(listed["derived"], derived.len());
}

#[test]
fn where_there_is_no_terminal_a_row_is_a_line() {
    let (_, out, _) = run(&["roles"], "");
    let (_, json, _) = run(&["roles", "--format", "json"], "");
    let roles: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(out.lines().count(), roles.len() + 1);
    for arguments in [vec!["roles"], vec!["catalogue", "lint"], vec!["role", "show", "unity-connection"]] {
        let (_, out, _) = run(&arguments, "");
        for line in out.lines() {
            assert!(!line.ends_with(' '), "{line}");
            assert!(!line.contains('\u{1b}'), "no colour where there is no terminal: {line}");
        }
    }
}

#[test]
fn roles_in_json() {
    let (code, out, err) = run(&["roles", "--format", "json"], "");
    assert_eq!((code, err.as_str()), (0, ""));
    let roles: Value = serde_json::from_str(&out).unwrap();
    let role = roles.as_array().unwrap().iter().find(|role| role["name"] == "cce-router").unwrap();
    expect![[r#"
        {
          "connections": 0,
          "derived": 7,
          "includes": [
            "cce-diagnostic-framework",
            "windows-authentication"
          ],
          "name": "cce-router",
          "parameters": [
            {
              "default": 0,
              "name": "instance",
              "required": false,
              "summary": "ICM instance number of this component.",
              "values": "a number from 0 to 24"
            },
            {
              "default": null,
              "name": "side",
              "required": true,
              "summary": "Side of the duplexed pair this host is.",
              "values": "`a` or `b`"
            }
          ],
          "product": "Cisco Unified CCE",
          "release": "11.5(1)",
          "services": 24,
          "summary": "Central controller router of a Unified CCE instance.",
          "tables": [
            "cce:2",
            "cce:8",
            "cce:11"
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(role).unwrap());
}

#[test]
fn compile_in_json() {
    let (code, out, err) = run(&["compile", "--role", "cvp-web-services", "--format", "json"], "");
    assert_eq!(code, 0);
    assert!(err.contains("warning"), "{err}");
    let mut compiled: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(compiled["policy_hash"].as_str().unwrap().len(), 64);
    compiled["policy_hash"] = "HASH".into();
    expect![[r#"
        {
          "policy_hash": "HASH",
          "rules": [
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "inbound",
              "exposure": "open",
              "id": "site/icmp-echo",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": null,
              "prefixes": null,
              "protocol": "icmp-echo",
              "sources": []
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cad-agent-desktop/sip",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "5060",
              "prefixes": null,
              "protocol": "tcp",
              "sources": [
                {
                  "document": "cce",
                  "row": 5,
                  "table": "15"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cad-agent-desktop/sip",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "5060",
              "prefixes": null,
              "protocol": "udp",
              "sources": [
                {
                  "document": "cce",
                  "row": 5,
                  "table": "15"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cce-peripherals/vru-pim",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "5000-5001",
              "prefixes": null,
              "protocol": "tcp",
              "sources": [
                {
                  "document": "cce",
                  "row": 2,
                  "table": "7"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cvp-call-server/message-bus",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "23000-28000",
              "prefixes": null,
              "protocol": "tcp",
              "sources": [
                {
                  "document": "cce",
                  "row": 2,
                  "table": "16"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cvp-network-management/snmp-traps",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "162",
              "prefixes": null,
              "protocol": "udp",
              "sources": [
                {
                  "document": "cce",
                  "row": 3,
                  "table": "17"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cvp-reporting/informix",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "1526",
              "prefixes": null,
              "protocol": "tcp",
              "sources": [
                {
                  "document": "cce",
                  "row": 28,
                  "table": "16"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cvp-reporting/message-bus",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "23000-28000",
              "prefixes": null,
              "protocol": "tcp",
              "sources": [
                {
                  "document": "cce",
                  "row": 2,
                  "table": "16"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cvp-vxml-server/message-bus",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "23000-28000",
              "prefixes": null,
              "protocol": "tcp",
              "sources": [
                {
                  "document": "cce",
                  "row": 2,
                  "table": "16"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "outbound",
              "exposure": "open",
              "id": "cvp-vxml-server/websphere-console",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "9043,9060",
              "prefixes": null,
              "protocol": "tcp",
              "sources": [
                {
                  "document": "cce",
                  "row": 30,
                  "table": "16"
                }
              ]
            },
            {
              "action": "permit",
              "addresses": null,
              "answer_any": false,
              "direction": "inbound",
              "exposure": "open",
              "id": "cvp-web-services/rest",
              "limit": null,
              "mode": null,
              "peers": null,
              "ports": "8101,8110-8111,10001-10002",
              "prefixes": null,
              "protocol": "tcp",
              "sources": [
                {
                  "document": "cce",
                  "row": 31,
                  "table": "16"
                }
              ]
            }
          ],
          "warnings": [
            {
              "column": 8,
              "file": "<command line>",
              "hint": "list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: cvp-web-services/rest, from: [admin-workstations]}]`",
              "line": 1,
              "message": "`cvp-web-services`: any source may reach the management ports of `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)"
            }
          ]
        }"#]].assert_eq(&serde_json::to_string_pretty(&compiled).unwrap());
}

#[test]
fn compile_in_yaml_reads_back_as_the_json() {
    let json: Value = serde_json::from_str(&run(&["compile", "--role", "vvb", "--format", "json"], "").1).unwrap();
    let yaml: Value = serde_yaml::from_str(&run(&["compile", "--role", "vvb", "--format", "yaml"], "").1).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn check_in_json_has_errors_and_warnings() {
    let site = "interfaces: [eth0]\nroles: [vbv]\n";
    let (code, out, err) = run(&["check", "-", "--format", "json"], site);
    assert_eq!((code, err.as_str()), (2, ""));
    expect![[r#"
        {
          "errors": [
            {
              "file": "<stdin>",
              "line": 2,
              "column": 9,
              "message": "no role is called `vbv`",
              "hint": "did you mean `vvb`?"
            }
          ],
          "warnings": []
        }
    "#]]
    .assert_eq(&out);
    let (code, out, _) = run(&["check", "-", "--format", "json"], "interfaces: [eth0]\nroles: [vvb]\n");
    assert_eq!(code, 0);
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(checked["errors"], Value::Array(vec![]));
    assert!(!checked["warnings"].as_array().unwrap().is_empty());
}

#[test]
fn wrong_input_ends_with_2_and_nothing_on_standard_output() {
    for arguments in [
        &["check", "/nonexistent.yaml"][..],
        &["check"],
        &["compile", "--role", "nobody"],
        &["role", "show", "finess"],
        &["role", "show", "finesse", "--set", "side=a"],
        &["roles", "--catalogue", "/nonexistent"],
        &["catalogue", "lint", "--kind", "colour"],
        &["check", "site.yaml", "--role", "vvb"],
        &["nonsense"],
    ] {
        let (code, out, err) = run(arguments, "");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains("error"), "{arguments:?}: {err}");
    }
    let (_, _, err) = run(&["role", "show", "finess"], "");
    assert!(err.contains("did you mean `finesse`?"), "{err}");
}

#[test]
fn the_export_opens_in_a_spreadsheet() {
    let (code, out, _) = run(&["catalogue", "export", "--format", "csv"], "");
    assert_eq!(code, 0);
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    assert_eq!(reader.headers().unwrap().len(), 12);
    assert_eq!(reader.records().map(|record| record.unwrap().len()).filter(|len| *len == 12).count(), 638);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["catalogue", "export"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_list_of_denied_flows_becomes_a_site_that_permits_them() {
    let listed = r#"[{"interface":"eth0","direction":"inbound","reason":"no-rule","protocol":"tcp","remote":"10.0.0.7","local":null,
        "port":7777,"packets":9,"bytes":540,"first":"2026-11-22T10:00:00Z","last":"2026-11-22T10:00:00Z","mode":"audit"}]"#;
    let flags = ["--role", "finesse", "--interface", "eth0"];
    let with = |more: &[&str], input: &str| run(&[&["suggest"], &flags[..], more].concat(), input);
    let (code, site, err) = with(&["--denied", "-", "--format", "yaml"], listed);
    assert_eq!((code, err.as_str()), (0, "1 suggestion for 1 denied flow (9 packets); 0 unexplained\n"));
    let tuple = "in tcp 10.0.0.7 -> :7777";
    let file = std::env::temp_dir().join(format!("enforcer-suggested-{}.yaml", std::process::id()));
    std::fs::write(&file, &site).unwrap();
    let (code, out, _) = run(&["explain", file.to_str().unwrap(), tuple], "");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code, 0);
    assert!(out.starts_with("pass: rule"), "{out}");
    for wrong in ["{}", "[{}]", "", &listed.replace("no-rule", "rule")] {
        let (code, out, err) = with(&["--denied", "-"], wrong);
        assert_eq!((code, out.as_str()), (2, ""), "{wrong}: {err}");
    }
}

fn check(arguments: &[&str], expected: &Expect) {
    let (code, out, err) = run(arguments, "");
    assert_eq!((code, err.as_str()), (0, ""));
    expected.assert_eq(&out);
}

fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child =
        command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that reads no input may be gone before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enforcer"));
    command.args(arguments);
    command
}
