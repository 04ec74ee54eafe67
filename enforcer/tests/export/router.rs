//! A router's access list.

use std::collections::BTreeSet;

use enforcer::policy::export::Target;
use expect_test::expect;

use super::{check, exported};

#[test]
fn a_small_policy_for_a_router() {
    check(
        Target::IosAcl,
        &expect![[r#"
            ! Cisco IOS access lists, written by `enforcer export` from site.yaml
            ! policy 322d17b70fdd5f9dfcd3cc6477faf4b80f73f53d5a989f1c188845b9a9319d9e
            ! eth0: inbound enforce, outbound enforce
            ! eth1: inbound audit, outbound audit
            !
            ! What is not as it is under `enforcer`:
            ! - audit: the inbound lists permit everything, and log what `enforce` would refuse; interfaces of the site are in
            !   different modes, and a list has one: no interface is protected; write it with `--mode enforce` before you rely
            !   on it
            ! - audit: the outbound lists permit everything, and log what `enforce` would refuse; interfaces of the site are
            !   in different modes, and a list has one: no interface is protected; write it with `--mode enforce` before you
            !   rely on it
            ! - place: only what passes the router is judged; hosts of the same subnet reach each other without it
            ! - counters: they are those of the entries (`show access-lists`), without bytes; a remark above an entry names
            !   its rule
            ! - fragments: an entry that permits a port also permits every later fragment between its addresses
            ! - conversations: answers come back by reflexive entries, which also admit a new SYN between the same ports;
            !   answers of a permitted port leave whether or not anybody asked
            ! - packets: tags, martian addresses of the host itself, extension headers other than routing type 0 and frames
            !   that are not IP are not judged
            ! - changes: the four lists are replaced one after the other, and a list that is missing permits everything; there
            !   is no deadline and no list of connections that would be cut
            ! - lists of peers take object groups in IPv4 (12.4(20)T and later); a group is named after what is in it, so that
            !   none is changed while a list refers to it, and those of an earlier export stay until `no object-group network`
            !   removes them
            !
            ! On the interface that leads to the host:
            !  ip access-group ENFORCER-IN out
            !  ip access-group ENFORCER-OUT in
            !  ipv6 traffic-filter ENFORCER-IN-V6 out
            !  ipv6 traffic-filter ENFORCER-OUT-V6 in
            !
            object-group network ENFORCER-monitoring-53e5bf2f
             description monitoring
             10.9.8.0 255.255.255.0
             host 10.9.9.9
            !
            no ip access-list extended ENFORCER-IN
            ip access-list extended ENFORCER-IN
             remark reason martian
             permit ip 127.0.0.0 0.255.255.255 any log
             permit ip 224.0.0.0 15.255.255.255 any log
             permit ip host 255.255.255.255 any log
             remark reason flow
             evaluate ENFORCER-FLOWS
             remark reason icmp
             permit icmp any any 3
             permit icmp any any 11
             permit icmp any any 12
             remark reason igmp
             permit igmp any any
             remark site/no-telnet
             permit tcp any any eq 23 log
             remark site/https
             permit tcp any any eq 443
             permit tcp any any range 8443 8445
             remark site/icmp-echo
             permit icmp object-group ENFORCER-monitoring-53e5bf2f any 8
             remark site/ipsec
             permit 50 object-group ENFORCER-monitoring-53e5bf2f any
             remark site/snmp: dashboards
             permit udp object-group ENFORCER-monitoring-53e5bf2f any eq 161
             remark reason dhcp
             permit udp any eq 67 any eq 68
             remark everything else
             permit ip any any log
            !
            no ip access-list extended ENFORCER-OUT
            ip access-list extended ENFORCER-OUT
             remark answers of what is permitted inbound
             permit tcp any eq 443 any
             permit tcp any range 8443 8445 any
             permit udp any eq 161 object-group ENFORCER-monitoring-53e5bf2f
             remark site/syslog
             permit udp any object-group ENFORCER-monitoring-53e5bf2f eq 514 reflect ENFORCER-FLOWS
             remark reason icmp, dhcp, open
             permit icmp any any reflect ENFORCER-FLOWS timeout 30
             permit udp any any eq 53 reflect ENFORCER-FLOWS timeout 180
             permit udp any any eq 123 reflect ENFORCER-FLOWS timeout 180
             permit tcp any any eq 53 reflect ENFORCER-FLOWS timeout 180
             permit udp any eq 68 any eq 67
             permit igmp any any
             remark everything else
             permit ip any any log
            !
            no ipv6 access-list ENFORCER-IN-V6
            ipv6 access-list ENFORCER-IN-V6
             remark reason martian
             permit ipv6 host ::1 any log
             permit ipv6 FF00::/8 any log
             remark reason routing-header
             permit ipv6 any any routing-type 0 log
             remark reason flow
             evaluate ENFORCER-FLOWS-V6
             remark reason icmp
             permit icmp any any 1
             permit icmp any any 2
             permit icmp any any 3
             permit icmp any any 4
             permit icmp any any 130
             permit icmp any any 131
             permit icmp any any 132
             permit icmp any any 133
             permit icmp any any 134
             permit icmp any any 135
             permit icmp any any 136
             permit icmp any any 141
             permit icmp any any 142
             permit icmp any any 143
             permit icmp any any 148
             permit icmp any any 149
             permit icmp any any 151
             permit icmp any any 152
             permit icmp any any 153
             remark site/no-telnet
             permit tcp any any eq 23 log
             remark site/https
             permit tcp any any eq 443
             permit tcp any any range 8443 8445
             remark site/icmp-echo
             permit icmp 2001:db8:9::/64 any 128
             remark site/ipsec
             permit 50 2001:db8:9::/64 any
             remark site/snmp: dashboards
             permit udp 2001:db8:9::/64 any eq 161
             remark reason dhcp
             permit udp any eq 547 any eq 546
             remark everything else
             permit ipv6 any any log
            !
            no ipv6 access-list ENFORCER-OUT-V6
            ipv6 access-list ENFORCER-OUT-V6
             remark answers of what is permitted inbound
             permit tcp any eq 443 any
             permit tcp any range 8443 8445 any
             permit udp any eq 161 2001:db8:9::/64
             remark site/syslog
             permit udp any 2001:db8:9::/64 eq 514 reflect ENFORCER-FLOWS-V6
             remark reason icmp, dhcp, open
             permit icmp any any reflect ENFORCER-FLOWS-V6 timeout 30
             permit udp any any eq 53 reflect ENFORCER-FLOWS-V6 timeout 180
             permit udp any any eq 123 reflect ENFORCER-FLOWS-V6 timeout 180
             permit tcp any any eq 53 reflect ENFORCER-FLOWS-V6 timeout 180
             permit udp any eq 546 any eq 547
             remark everything else
             permit ipv6 any any log
            !
        "#]],
    );
}

/// A group that is there is only added to when its definition is read again.
#[test]
fn a_router_has_another_group_for_other_addresses() {
    let groups = |address: &str| {
        let site = format!(
            "interfaces: [eth0]\nroles: []\npeers:\n  ops: [{address}]\n\
             allow:\n  - {{name: ssh, protocol: tcp, ports: [22], from: [ops]}}\n"
        );
        let text = exported(Target::IosAcl, &site).text;
        let names: BTreeSet<String> =
            text.split_whitespace().filter(|word| word.starts_with("ENFORCER-ops")).map(str::to_owned).collect();
        assert_eq!(names.len(), 1, "{text}");
        names
    };
    assert_eq!(groups("10.0.0.1"), groups("10.0.0.1"));
    assert_ne!(groups("10.0.0.1"), groups("10.0.0.2"));
}

#[test]
fn lists_that_permit_everything_say_so() {
    let audit = |modes: &str| {
        let warnings = exported(Target::IosAcl, &format!("interfaces: {modes}\nroles: [finesse]\n")).warnings;
        warnings.into_iter().filter(|warning| warning.contains("permit everything")).collect::<Vec<_>>()
    };
    let both = "[{name: a, mode: enforce}, {name: b, mode: {inbound: audit, outbound: enforce}}]";
    assert_eq!(audit("[{name: a, mode: enforce}]"), Vec::<String>::new());
    assert_eq!(audit("[a]").len(), 2);
    let mixed = audit(both);
    assert!(mixed.len() == 1 && mixed[0].contains("inbound") && mixed[0].contains("different modes"), "{mixed:?}");
}
