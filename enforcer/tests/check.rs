//! What `enforcer check` says about sites that compile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use expect_test::{Expect, expect};
use jiff::civil::date;

#[test]
fn a_cluster_without_addresses() {
    check(
        "interfaces: [eth0]\nroles: [cuic]\n",
        &expect![[r#"
        2: `cuic`: no address is bound to `cluster`, so nobody can reach `cuic/database` (tcp 1500-1501), `cuic/soap-real-time` (tcp 5001), `cuic/soap-performance` (tcp 5002), `cuic/soap-control-center` (tcp 5003), `cuic/hazelcast-discovery` (udp 54327) and `cuic/hazelcast` (tcp 57011)
           list its members under `peers: {cluster: [...]}`
    "#]],
    );
}

#[test]
fn an_open_service_that_other_peers_limit() {
    check(
        "interfaces: [eth0]\nroles: [unity-connection]\npeers: {cluster: [10.1.1.1], https-networking: [10.1.1.2], phones: [10.2.0.0/16], admin-workstations: [10.3.0.0/24]}\n",
        &expect![[r#"
            2: `unity-connection/isakmp` (udp 500) exchanges IPsec keys, but no rule permits ESP
               if you use IPsec: `allow: [{name: esp, protocol: esp, from: [cluster]}, {name: nat-traversal, protocol: udp, ports: [4500], from: [cluster]}]`; packets inside ESP are then not judged
            2: `unity-connection`: any source may reach the management ports of `unity-connection/snmp` (udp 161)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: unity-connection/snmp, from: [admin-workstations]}]`
            2: `unity-connection`: no address is bound to `client-workstations`, so it cannot reach `unity-connection/web` (tcp 80,443,8080,8443-8444)
               list their addresses under `peers:`
            2: `unity-connection`: no address is bound to `voice-gateways`, so it cannot reach `unity-connection/rtp` (udp 16384-21511)
               list their addresses under `peers:`
        "#]],
    );
}

#[test]
fn management_ports_that_anybody_may_use() {
    check(
        "interfaces: [eth0]\nroles: [vvb]\npeers: {cluster: [10.1.1.1]}\nallow:\n  - {name: ssh, protocol: tcp, ports: [22]}\n  - {name: web, protocol: tcp, ports: [8080]}\n",
        &expect![[r#"
            2: `vvb`: any source may reach the management ports of `vvb/rmi` (tcp 6999)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: vvb/rmi, from: [admin-workstations]}]`
            5: `ssh` opens a management port to any source
               say who may connect with `from:`
        "#]],
    );
}

#[test]
fn an_ephemeral_range_that_is_opened() {
    check(
        "interfaces: [eth0]\nroles: [unity-connection]\nephemeral: open\npeers: {cluster: [10.1.1.1], https-networking: [10.1.1.2], admin-workstations: [10.3.0.0/24]}\ndeny: [{name: snmp, protocol: udp, ports: [161]}]\n",
        &expect![[r#"
            2: `ephemeral: open` lets any source reach `unity-connection/ephemeral` (tcp 32768-61000, udp 32768-61000)
               with `ephemeral: tracked`, flow tracking lets the replies in without opening the range
            2: `unity-connection/isakmp` (udp 500) exchanges IPsec keys, but no rule permits ESP
               if you use IPsec: `allow: [{name: esp, protocol: esp, from: [cluster]}, {name: nat-traversal, protocol: udp, ports: [4500], from: [cluster]}]`; packets inside ESP are then not judged
            2: `unity-connection`: any source may reach the management ports of `unity-connection/snmp` (udp 161)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: unity-connection/snmp, from: [admin-workstations]}]`
            2: `unity-connection`: no address is bound to `client-workstations`, so it cannot reach `unity-connection/web` (tcp 80,443,8080,8443-8444)
               list their addresses under `peers:`
            5: `snmp` closes `unity-connection/snmp` altogether
        "#]],
    );
}

#[test]
fn instances_that_meet() {
    check(
        "interfaces: [eth0]\nroles: [{role: unity-connection, sip_ports: 4999-5000}, {role: cce-outbound-dialer, rtp_port_range_start: 16384}]\n",
        &expect![[r#"
            2: `unity-connection/isakmp` (udp 500) exchanges IPsec keys, but no rule permits ESP
               if you use IPsec: `allow: [{name: esp, protocol: esp, from: [cluster]}, {name: nat-traversal, protocol: udp, ports: [4500], from: [cluster]}]`; packets inside ESP are then not judged
            2: `unity-connection`: any source may reach the management ports of `unity-connection/port-status` (tcp 5000), `unity-connection/database-proxy` (tcp 20532), `unity-connection/ssh` (tcp 22) and `unity-connection/web` (tcp 80,443,8080,8443-8444)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: unity-connection/port-status, from: [admin-workstations]}, {service: unity-connection/database-proxy, from: [admin-workstations]}, {service: unity-connection/ssh, from: [admin-workstations]}, {service: unity-connection/web, from: [admin-workstations]}]`
            2: `unity-connection`: any source may reach the management ports of `unity-connection/snmp` (udp 161)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: unity-connection/snmp, from: [admin-workstations]}]`
            2: `unity-connection`: no address is bound to `cluster`, so nobody can reach `unity-connection/conversation-cluster` (tcp 1935,19003,20500-20502), `unity-connection/licence-server` (tcp 20055), `unity-connection/database` (tcp 1502-1503), `unity-connection/role-manager-rpc` (tcp 22000, udp 22000), `unity-connection/role-manager-heartbeat` (tcp 22001, udp 22001) and 5 more
               list its members under `peers: {cluster: [...]}`
            2: `unity-connection`: no address is bound to `https-networking`, so nobody can reach `unity-connection/https-networking` (tcp 8081,8444)
               list its members under `peers: {https-networking: [...]}`
            2: tcp 5000 belongs to `unity-connection/port-status` and to `unity-connection/sip`, and only one of them can listen on it
               check the instances and base ports of these roles
            2: `cce-outbound-dialer`: any source may reach the management ports of `windows-authentication/rpc` (tcp 135, udp 135), `windows-authentication/smb` (tcp 445, udp 445) and `windows-authentication/sql-server` (tcp 1433, udp 1434)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: windows-authentication/rpc, from: [admin-workstations]}, {service: windows-authentication/smb, from: [admin-workstations]}, {service: windows-authentication/sql-server, from: [admin-workstations]}]`
            2: `windows-authentication/rpc` (tcp 135, udp 135): The endpoint mapper refers clients to ports that Windows assigns when a service starts.
               if you use this service, allow the ports that it negotiates: `allow: [{name: rpc-negotiated, protocol: tcp, ports: [49152-65535]}]`
            2: udp 16384 belongs to `unity-connection/rtp` and to `cce-outbound-dialer/rtp`, and only one of them can listen on it
               check the instances and base ports of these roles
        "#]],
    );
}

#[test]
fn services_that_negotiate_ports() {
    check(
        "interfaces: [eth0]\nroles: [cvp-operations-console]\npeers: {cvp-servers: [10.1.0.0/24]}\n",
        &expect![[r#"
            2: `cvp-operations-console/ftp` (tcp 21): FTP opens a data connection of its own for every file and listing.
               if you use this service, allow the ports that it negotiates: `allow: [{name: ftp-negotiated, protocol: tcp, ports: [49152-65535], from: [content-switches]}]`
            2: `cvp-operations-console/http` (tcp 9000): The console and the other CVP servers talk on ports they agree upon, so the vendor supports no firewall between them.
               if you use this service, allow the ports that it negotiates: `allow: [{name: http-negotiated, protocol: tcp, ports: [49152-65535], from: [admin-workstations]}]`
            2: `cvp-operations-console/https` (tcp 9443): The console and the other CVP servers talk on ports they agree upon, so the vendor supports no firewall between them.
               if you use this service, allow the ports that it negotiates: `allow: [{name: https-negotiated, protocol: tcp, ports: [49152-65535], from: [admin-workstations]}]`
            2: `cvp-operations-console`: any source may reach the management ports of `cvp-network-management/ssh` (tcp 22), `cvp-network-management/telnet` (tcp 23), `cvp-windows/rpc` (tcp 135) and `cvp-windows/smb` (tcp 445, udp 445)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: cvp-network-management/ssh, from: [admin-workstations]}, {service: cvp-network-management/telnet, from: [admin-workstations]}, {service: cvp-windows/rpc, from: [admin-workstations]}, {service: cvp-windows/smb, from: [admin-workstations]}]`
            2: `cvp-operations-console`: any source may reach the management ports of `cvp-operations-console/http` (tcp 9000), `cvp-operations-console/https` (tcp 9443), `cvp-network-management/snmp` (udp 161), `cvp-network-management/remote-desktop` (tcp 3389) and `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: cvp-operations-console/http, from: [admin-workstations]}, {service: cvp-operations-console/https, from: [admin-workstations]}, {service: cvp-network-management/snmp, from: [admin-workstations]}, {service: cvp-network-management/remote-desktop, from: [admin-workstations]}, {service: cvp-web-services/rest, from: [admin-workstations]}]`
            2: `cvp-resource-manager/jmx` (tcp 2099): The operations console moves on to ports it agrees upon with this server, so the vendor supports no firewall between them.
               if you use this service, allow the ports that it negotiates: `allow: [{name: jmx-negotiated, protocol: tcp, ports: [49152-65535], from: [cvp-operations-consoles]}]`
            2: `cvp-windows/rpc` (tcp 135): RPC moves every call to a port that Windows assigns, from 49152-65535 by default.
               if you use this service, allow the ports that it negotiates: `allow: [{name: rpc-negotiated, protocol: tcp, ports: [49152-65535]}]`
            3: no rule uses the peer `cvp-servers`
               did you mean `dhcp-servers`, `ftp-servers` or `ntp-servers`?
        "#]],
    );
}

#[test]
fn negotiated_ports_that_are_allowed() {
    check(
        "interfaces: [eth0]\nroles: [cvp-windows]\nallow: [{name: rpc, protocol: tcp, ports: [49152-65535], from: [10.1.0.0/16]}]\n",
        &expect![[r#"
            2: `cvp-windows`: any source may reach the management ports of `cvp-windows/rpc` (tcp 135) and `cvp-windows/smb` (tcp 445, udp 445)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: cvp-windows/rpc, from: [admin-workstations]}, {service: cvp-windows/smb, from: [admin-workstations]}]`
        "#]],
    );
}

#[test]
fn connections_that_negotiate_ports() {
    check(
        "interfaces: [eth0]\nroles: [unity-connection]\noutbound: role\npeers: {cluster: [10.1.1.1], https-networking: [10.1.1.2], admin-workstations: [10.3.0.0/24]}\n",
        &expect![[r#"
            2: `unity-connection/ftp`: FTP transfers data on further ports that client and server negotiate.
               if you use this service, allow the ports that it negotiates: `allow: [{name: ftp-negotiated, direction: out, protocol: tcp, ports: [49152-65535], to: [ftp-servers]}]`
            2: `unity-connection/isakmp` (udp 500) exchanges IPsec keys, but no rule permits ESP
               if you use IPsec: `allow: [{name: esp, protocol: esp, from: [cluster]}, {name: nat-traversal, protocol: udp, ports: [4500], from: [cluster]}]`; packets inside ESP are then not judged
            2: `unity-connection`: any source may reach the management ports of `unity-connection/snmp` (udp 161)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: unity-connection/snmp, from: [admin-workstations]}]`
            2: `unity-connection`: no address is bound to `client-workstations`, so it cannot reach `unity-connection/web` (tcp 80,443,8080,8443-8444)
               list their addresses under `peers:`
        "#]],
    );
}

#[test]
fn another_release() {
    check(
        "interfaces: [eth0]\nroles: [cvp-web-services, cvp-windows]\nrelease: \"12.6\"\n",
        &expect![[r#"
            2: `cvp-web-services`: any source may reach the management ports of `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: cvp-web-services/rest, from: [admin-workstations]}]`
            2: `cvp-windows/rpc` (tcp 135): RPC moves every call to a port that Windows assigns, from 49152-65535 by default.
               if you use this service, allow the ports that it negotiates: `allow: [{name: rpc-negotiated, protocol: tcp, ports: [49152-65535]}]`
            2: `cvp-windows`: any source may reach the management ports of `cvp-windows/rpc` (tcp 135) and `cvp-windows/smb` (tcp 445, udp 445)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: cvp-windows/rpc, from: [admin-workstations]}, {service: cvp-windows/smb, from: [admin-workstations]}]`
            3: the site runs release 12.6, and `cvp-web-services` and `cvp-windows` are described for 11.5(1)
               ports change between releases: compare with the vendor's document for yours
        "#]],
    );
}

#[test]
fn key_exchange_without_esp() {
    check(
        "interfaces: [eth0]\nroles: [unity-connection]\npeers: {cluster: [10.1.1.1], https-networking: [10.1.1.2], admin-workstations: [10.3.0.0/24]}\n",
        &expect![[r#"
            2: `unity-connection/isakmp` (udp 500) exchanges IPsec keys, but no rule permits ESP
               if you use IPsec: `allow: [{name: esp, protocol: esp, from: [cluster]}, {name: nat-traversal, protocol: udp, ports: [4500], from: [cluster]}]`; packets inside ESP are then not judged
            2: `unity-connection`: any source may reach the management ports of `unity-connection/snmp` (udp 161)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: unity-connection/snmp, from: [admin-workstations]}]`
            2: `unity-connection`: no address is bound to `client-workstations`, so it cannot reach `unity-connection/web` (tcp 80,443,8080,8443-8444)
               list their addresses under `peers:`
        "#]],
    );
}

#[test]
fn esp() {
    check(
        "interfaces: [eth0]\nroles: [cvp-web-services]\nallow: [{name: esp, protocol: esp, from: [10.1.1.1]}]\n",
        &expect![[r#"
            2: `cvp-web-services`: any source may reach the management ports of `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: cvp-web-services/rest, from: [admin-workstations]}]`
            3: `esp` permits ESP, and packets inside ESP are not judged
               to judge them, protect the host that decrypts them; on this host, generic XDP and kernels without CONFIG_XFRM cannot tell decrypted packets and judge them again (`enforcer preflight` says so)
        "#]],
    );
}

#[test]
fn peers_without_addresses_or_use() {
    check(
        "interfaces: [eth0]\nroles: [cvp-web-services]\npeers: {phones: [], fones: [10.1.1.1], base: [10.1.1.2], own: [base]}\nallow:\n  - {name: a, protocol: tcp, ports: [1], from: [vvb]}\n  - {name: b, protocol: tcp, ports: [2], from: [phones, own]}\n",
        &expect![[r#"
            2: `cvp-web-services`: any source may reach the management ports of `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: cvp-web-services/rest, from: [admin-workstations]}]`
            3: no address is bound to the peer `phones`; it is treated as not listed
               open services that name no other peer accept every source
            3: no rule uses the peer `fones`
               did you mean `phones`?
            5: `a` names `vvb`, but no address is bound to this peer, so the entry matches nobody
               list them under `peers: {vvb: [...]}`
        "#]],
    );
}

#[test]
fn rules_that_expire() {
    check(
        "interfaces: [eth0]\nallow:\n  - {name: gone, protocol: tcp, ports: [1], expires: 2026-11-21}\n  - {name: today, protocol: tcp, ports: [2], expires: 2026-11-22}\n  - {name: soon, protocol: tcp, ports: [3], expires: 2026-12-22}\n  - {name: later, protocol: tcp, ports: [4], expires: 2026-12-23}\ndeny:\n  - {name: over, protocol: tcp, ports: [5], expires: 2020-01-01}\n",
        &expect![[r#"
        3: `allow` entry `gone` expired on 2026-11-21 and is left out
           remove it, or give it a later day
        4: `today` expires on 2026-11-22
           remove the entry before that day, or set a later day
        5: `soon` expires on 2026-12-22
           remove the entry before that day, or set a later day
        8: `deny` entry `over` expired on 2020-01-01 and is left out
           remove it, or give it a later day
    "#]],
    );
}

#[test]
fn rules_that_decide_nothing() {
    check(
        "interfaces: [eth0]\nroles: [cvp-web-services]\nallow:\n  - {name: a, protocol: tcp, ports: [1-100]}\n  - {name: b, protocol: tcp, ports: [50], from: [10.0.0.1]}\n  - {name: c, protocol: tcp, ports: [200], from: [10.0.0.0/24]}\n  - {name: d, protocol: tcp, ports: [200], from: [10.0.0.0/25]}\n  - {name: e, protocol: tcp, ports: [200], from: [10.0.0.0/23]}\ndeny:\n  - {name: web, protocol: tcp, ports: [8000-8999]}\n  - {name: x, protocol: udp, ports: [1-10]}\n  - {name: y, protocol: udp, ports: [5]}\n",
        &expect![[r#"
            2: `cvp-web-services`: any source may reach the management ports of `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: cvp-web-services/rest, from: [admin-workstations]}]`
            4: `a` opens a management port to any source
               say who may connect with `from:`
            5: `b` never decides: `site/a` comes first
               deny comes before permit, the site before the roles, then names in their order
            7: `d` never decides: `site/c` comes first
               deny comes before permit, the site before the roles, then names in their order
            12: `y` never decides: `site/x` comes first
               deny comes before permit, the site before the roles, then names in their order
        "#]],
    );
}

#[test]
fn outbound_rules_that_are_not_judged() {
    check(
        "interfaces: [eth0]\nroles: [cvp-web-services]\nallow: [{name: out, direction: out, protocol: tcp, ports: [1]}]\ndeny: [{name: no, direction: out, protocol: tcp, ports: [2]}]\n",
        &expect![[r#"
            2: `cvp-web-services`: any source may reach the management ports of `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: cvp-web-services/rest, from: [admin-workstations]}]`
            3: `out` has no effect: outbound packets are not judged
               write `outbound: role` to judge them
            4: `no` has no effect: outbound packets are not judged
               write `outbound: role` to judge them
        "#]],
    );
}

#[test]
fn ping_for_peers_where_there_are_none() {
    check(
        "interfaces: [eth0]\nroles: [cvp-web-services]\nicmp_echo: peers\n",
        &expect![[r#"
            0: `icmp_echo: peers` lets nobody ping, because no address is bound to any peer
            2: `cvp-web-services`: any source may reach the management ports of `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list the administrators' addresses under `peers: {admin-workstations: [...]}`; so that only administrators reach them: `limit: [{service: cvp-web-services/rest, from: [admin-workstations]}]`
        "#]],
    );
}

#[test]
fn a_role_twice() {
    check(
        "interfaces: [eth0]\nroles: [cvp-windows, cvp-windows, {role: cvp-windows, mode: audit}]\nallow: [{name: rpc, protocol: tcp, ports: [49152-65535]}]\n",
        &expect![[r#"
            2: `cvp-windows`: any source may reach the management ports of `cvp-windows/rpc` (tcp 135) and `cvp-windows/smb` (tcp 445, udp 445)
               the document names no remote device, so binding a peer does not limit them; so that only administrators reach them: `limit: [{service: cvp-windows/rpc, from: [admin-workstations]}, {service: cvp-windows/smb, from: [admin-workstations]}]`
        "#]],
    );
}

#[test]
fn a_peer_that_no_rule_uses_is_named_with_its_place() {
    check(
        "interfaces: [eth0]\nroles: [{role: cvp-web-services, mode: audit}]\npeers:\n  admin-workstations: [10.9.0.5]\n  monitoring: [10.9.9.9]\n  mine: [10.9.9.8]\n  wider: [mine]\n  backup: [10.8.0.4]\nallow: [{name: a, protocol: tcp, ports: 1, from: [wider]}]\n",
        &expect![[r#"
            2: `cvp-web-services`: no address is bound to `client-workstations`, so it cannot reach `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list their addresses under `peers:`
            5: no rule uses the peer `monitoring`
               no role of this host has a service or connection for it, as `cvp-network-management` and `vos-system-services` have; remove the peer, or name it in an entry of `allow` or `limit`
            8: no rule uses the peer `backup`
               did you mean `backup-servers`?
        "#]],
    );
}

/// Where pings are for peers, each of them is used.
#[test]
fn a_peer_that_may_ping_is_used() {
    check(
        "interfaces: [eth0]\nicmp_echo: peers\nroles: [cvp-web-services]\npeers: {admin-workstations: [10.9.0.5], monitoring: [10.9.9.9]}\n",
        &expect![[r#"
            3: `cvp-web-services`: no address is bound to `client-workstations`, so it cannot reach `cvp-web-services/rest` (tcp 8101,8110-8111,10001-10002)
               list their addresses under `peers:`
        "#]],
    );
}

#[test]
fn what_a_tunnel_holds_is_not_judged() {
    check(
        "interfaces: [eth0]\nallow:\n  - {name: a, protocol: gre}\n  - {name: b, protocol: ipip}\n  - {name: c, protocol: 41, direction: out}\n  - {name: d, ethertype: 0x8864}\n  - {name: e, ethertype: 0x8847}\n  - {name: f, protocol: ospf}\n  - {name: g, ethertype: 0x8863}\n",
        &expect![[r#"
            3: `a` permits GRE, and the packets inside it are not judged
               protect the interface that receives them when they are unpacked, or the host that unpacks them
            4: `b` permits IPv4 in IP, and the packets inside it are not judged
               protect the interface that receives them when they are unpacked, or the host that unpacks them
            5: `c` has no effect: outbound packets are not judged
               write `outbound: role` to judge them
            5: `c` permits IPv6 in IP, and the packets inside it are not judged
               protect the interface that receives them when they are unpacked, or the host that unpacks them
            6: `d` permits PPPoE, and the packets inside it are not judged
               protect the interface that receives them when they are unpacked, or the host that unpacks them
            7: `e` permits MPLS, and the packets inside it are not judged
               protect the interface that receives them when they are unpacked, or the host that unpacks them
        "#]],
    );
}

#[test]
fn a_tftp_server_whose_data_cannot_leave() {
    let site = "interfaces: [eth0]\noutbound: role\nallow:\n  - {name: tftp, protocol: udp, ports: 69, from: [phones]}\n  - {name: all, protocol: udp, ports: any, from: [10.0.0.1]}\npeers: {phones: [10.20.0.0/16]}\n";
    check(
        site,
        &expect![[r#"
            4: `tftp` answers TFTP from another port than 69, and `outbound: role` refuses the data that it sends
               `allow: [{name: tftp-data, direction: out, protocol: udp, ports: [1024-65535], to: [phones]}]`
        "#]],
    );
    let data = "  - {name: tftp-data, direction: out, protocol: udp, ports: [1024-65535], to: [phones]}\npeers:";
    check(&site.replace("peers:", data), &expect![""]);
    check(&site.replace("outbound: role", "outbound: open"), &expect![""]);
}

/// Every warning with its line and its hint.
fn check(text: &str, expected: &Expect) {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|error| panic!("{error}"));
    let warnings = compile(&site, catalogue, date(2026, 11, 22)).unwrap().warnings;
    let lines = warnings.iter().map(|warning| {
        let hint = warning.hint.as_ref().map(|hint| format!("   {hint}\n")).unwrap_or_default();
        format!("{}: {}\n{hint}", warning.line.unwrap_or_default(), warning.message)
    });
    expected.assert_eq(&lines.collect::<String>());
}
