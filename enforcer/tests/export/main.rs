//! `enforcer export`: the whole policy is in what is written, or a warning says what is not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};

use enforcer::fixtures::sites::every_role;
use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::{Compiled, compile};
use enforcer::policy::export::{Error, Export, Target, export};
use enforcer::policy::ruleset::{Action, Match};
use enforcer::policy::site::{self, Site};
use enforcer::text::diagnostic::Text;
use enforcer_common::{Direction, Mode};
use expect_test::{Expect, expect};
use jiff::civil::date;

#[test]
fn a_small_policy_for_nftables() {
    check(
        Target::Nft,
        &expect![[r##"
            #!/usr/sbin/nft -f
            # nftables, written by `enforcer export` from site.yaml
            # policy 322d17b70fdd5f9dfcd3cc6477faf4b80f73f53d5a989f1c188845b9a9319d9e
            # eth0: inbound enforce, outbound enforce
            # eth1: inbound audit, outbound audit
            #
            # What is not as it is under `enforcer`:
            # - tags: packets of a VLAN are judged where its interface is called `PARENT.NUMBER`; name other VLAN interfaces
            #   among the protected ones
            # - fragments: conntrack puts datagrams together before a rule sees them, whatever the order they come in; the
            #   reasons `fragment` and `tiny-fragment` do not occur
            # - headers: what the kernel's own IP code throws away is not counted as `malformed`, nor are wrong lengths in TCP
            #   and UDP headers; IPv6 extension headers have no limit, an authentication or mobility header counts as the
            #   protocol, and of several routing headers only the first is looked at
            # - conversations: conntrack also looks at checksums, TCP flags and sequence numbers and at the order of SCTP
            #   chunks, answers leave only where their question was seen, and any TCP segment of the host makes a
            #   conversation; nearest come: sysctl net.netfilter.nf_conntrack_tcp_be_liberal=1
            #   net.netfilter.nf_conntrack_max=131072 net.netfilter.nf_conntrack_tcp_timeout_established=7500
            #   net.netfilter.nf_conntrack_udp_timeout=180 net.netfilter.nf_conntrack_udp_timeout_stream=180
            #   net.netfilter.nf_conntrack_icmp_timeout=30
            # - loading: the named interfaces must be there when the file is loaded
            # - changes: there is no deadline, no list of connections that would be cut, and conversations that are older than
            #   the table are known only once a packet of theirs has passed

            table inet enforcer
            delete table inet enforcer
            table inet enforcer {
            	set monitoring_v4 {
            		type ipv4_addr
            		flags interval
            		comment "monitoring"
            		elements = {
            			10.9.8.0/24,
            			10.9.9.9/32,
            		}
            	}
            	set monitoring_v6 {
            		type ipv6_addr
            		flags interval
            		comment "monitoring"
            		elements = {
            			2001:db8:9::/64,
            		}
            	}
            	chain refuse_inbound {
            		iifname "eth0" counter drop comment "enforce"
            		iifname "eth0.*" counter drop comment "enforce"
            		iifname "eth1" counter accept comment "audit"
            		iifname "eth1.*" counter accept comment "audit"
            		counter drop comment "enforce"
            	}
            	chain refuse_outbound {
            		oifname "eth0" counter drop comment "enforce"
            		oifname "eth0.*" counter drop comment "enforce"
            		oifname "eth1" counter accept comment "audit"
            		oifname "eth1.*" counter accept comment "audit"
            		counter drop comment "enforce"
            	}
            	chain answers_tcp {
            		tcp flags & (syn | ack) != syn ct direction reply ct state established counter accept comment "reason flow"
            	}
            	chain answers_udp {
            		ct direction reply ct state established counter accept comment "reason flow"
            	}
            	chain answers_sctp {
            		ct direction reply ct state established counter accept comment "reason flow"
            	}
            	chain inbound_tcp {
            		ip saddr 0.0.0.0 counter goto refuse_inbound comment "reason martian"
            		ip6 saddr :: counter goto refuse_inbound comment "reason martian"
            		tcp dport { 23 } jump answers_tcp
            		tcp dport { 23 } counter goto refuse_inbound comment "site/no-telnet"
            		tcp dport { 443, 8443-8445 } counter accept comment "site/https"
            		# `site/sip` is for a peer without addresses
            		jump answers_tcp
            		tcp dport { 443, 5060, 8443-8445 } counter goto refuse_inbound comment "reason peer"
            		counter goto refuse_inbound comment "reason no-rule"
            	}
            	chain inbound_udp {
            		ip saddr 0.0.0.0 udp sport != 68 counter goto refuse_inbound comment "reason martian"
            		ip saddr 0.0.0.0 udp dport != 67 counter goto refuse_inbound comment "reason martian"
            		ip6 saddr :: counter goto refuse_inbound comment "reason martian"
            		# dashboards
            		udp dport { 161 } ip saddr @monitoring_v4 counter accept comment "site/snmp"
            		udp dport { 161 } ip6 saddr @monitoring_v6 counter accept comment "site/snmp"
            		jump answers_udp
            		meta nfproto ipv4 udp sport 67 udp dport 68 counter accept comment "reason dhcp"
            		meta nfproto ipv6 udp sport 547 udp dport 546 counter accept comment "reason dhcp"
            		udp dport { 161 } counter goto refuse_inbound comment "reason peer"
            		counter goto refuse_inbound comment "reason no-rule"
            	}
            	chain inbound_sctp {
            		ip saddr 0.0.0.0 counter goto refuse_inbound comment "reason martian"
            		ip6 saddr :: counter goto refuse_inbound comment "reason martian"
            		jump answers_sctp
            		counter goto refuse_inbound comment "reason no-rule"
            	}
            	chain inbound_icmp {
            		icmp type { destination-unreachable, time-exceeded, parameter-problem } counter accept comment "reason icmp"
            		icmp type echo-request ip saddr @monitoring_v4 counter accept comment "site/icmp-echo"
            		icmp type echo-request counter goto refuse_inbound comment "reason echo"
            		icmp type echo-reply ct direction reply ct state established counter accept comment "reason flow"
            		icmp type redirect counter goto refuse_inbound comment "reason redirect"
            		counter goto refuse_inbound comment "reason icmp-type"
            	}
            	chain inbound_icmpv6 {
            		ip6 saddr :: icmpv6 type != { 130-133, 135, 143 } counter goto refuse_inbound comment "reason martian"
            		icmpv6 type { 1-4, 130-132, 143, 151-153 } counter accept comment "reason icmp"
            		icmpv6 type echo-request ip6 saddr @monitoring_v6 counter accept comment "site/icmp-echo"
            		icmpv6 type echo-request counter goto refuse_inbound comment "reason echo"
            		icmpv6 type echo-reply ct direction reply ct state established counter accept comment "reason flow"
            		icmpv6 type { 133-136, 141, 142, 148, 149 } ip6 hoplimit 255 counter accept comment "reason icmp"
            		icmpv6 type nd-redirect counter goto refuse_inbound comment "reason redirect"
            		counter goto refuse_inbound comment "reason icmp-type"
            	}
            	chain inbound {
            		ip saddr { 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255 } counter goto refuse_inbound comment "reason martian"
            		ip6 saddr { ::1, ff00::/8 } counter goto refuse_inbound comment "reason martian"
            		rt type 0 counter goto refuse_inbound comment "reason routing-header"
            		meta l4proto tcp goto inbound_tcp
            		meta l4proto udp goto inbound_udp
            		meta l4proto sctp goto inbound_sctp
            		ip protocol igmp @th,56,8 0-255 counter accept comment "reason igmp"
            		ip protocol igmp counter goto refuse_inbound comment "reason malformed"
            		meta nfproto ipv6 meta l4proto ipv6-icmp goto inbound_icmpv6
            		ip saddr 0.0.0.0 counter goto refuse_inbound comment "reason martian"
            		ip6 saddr :: counter goto refuse_inbound comment "reason martian"
            		ip protocol icmp goto inbound_icmp
            		ip protocol 50 ip saddr @monitoring_v4 counter accept comment "site/ipsec"
            		meta nfproto ipv6 meta l4proto 50 ip6 saddr @monitoring_v6 counter accept comment "site/ipsec"
            		counter goto refuse_inbound comment "reason protocol"
            	}
            	chain replies_tcp {
            		tcp flags & (syn | ack) != syn ct direction reply ct state established counter accept comment "reason rule"
            	}
            	chain outbound_tcp {
            		jump replies_tcp
            		tcp dport 53 counter accept comment "reason open"
            		counter goto refuse_outbound comment "reason no-connection"
            	}
            	chain replies_udp {
            		ct direction reply ct state established counter accept comment "reason rule"
            	}
            	chain outbound_udp {
            		udp dport { 514 } ip daddr @monitoring_v4 counter accept comment "site/syslog"
            		udp dport { 514 } ip6 daddr @monitoring_v6 counter accept comment "site/syslog"
            		jump replies_udp
            		udp dport 53 counter accept comment "reason open"
            		udp dport 123 counter accept comment "reason open"
            		meta nfproto ipv4 udp dport 67 udp sport 68 counter accept comment "reason dhcp"
            		meta nfproto ipv6 udp dport 547 udp sport 546 counter accept comment "reason dhcp"
            		udp dport { 514 } counter goto refuse_outbound comment "reason no-connection"
            		counter goto refuse_outbound comment "reason no-connection"
            	}
            	chain replies_sctp {
            		ct direction reply ct state established counter accept comment "reason rule"
            	}
            	chain outbound_sctp {
            		jump replies_sctp
            		counter goto refuse_outbound comment "reason no-connection"
            	}
            	chain outbound {
            		rt type 0 counter goto refuse_outbound comment "reason routing-header"
            		meta l4proto tcp goto outbound_tcp
            		meta l4proto udp goto outbound_udp
            		meta l4proto sctp goto outbound_sctp
            		ip protocol { icmp, igmp } counter accept comment "reason icmp, igmp"
            		meta nfproto ipv6 meta l4proto ipv6-icmp counter accept comment "reason icmp"
            		counter goto refuse_outbound comment "reason protocol"
            	}
            	chain input {
            		type filter hook input priority filter; policy accept;
            		iifname "eth0" fib saddr type { local, broadcast } counter goto refuse_inbound comment "reason martian"
            		iifname "eth0" jump inbound
            		iifname "eth0.*" fib saddr type { local, broadcast } counter goto refuse_inbound comment "reason martian"
            		iifname "eth0.*" jump inbound
            		iifname "eth1" fib saddr type { local, broadcast } counter goto refuse_inbound comment "reason martian"
            		iifname "eth1" jump inbound
            		iifname "eth1.*" fib saddr type { local, broadcast } counter goto refuse_inbound comment "reason martian"
            		iifname "eth1.*" jump inbound
            	}
            	chain forward_received {
            		type filter hook forward priority filter; policy accept;
            		iifname "eth0" jump inbound
            		iifname "eth0.*" jump inbound
            		iifname "eth1" jump inbound
            		iifname "eth1.*" jump inbound
            	}
            	chain forward_sent {
            		type filter hook forward priority filter; policy accept;
            		oifname "eth0" jump outbound
            		oifname "eth0.*" jump outbound
            		oifname "eth1" jump outbound
            		oifname "eth1.*" jump outbound
            	}
            	chain output {
            		type filter hook output priority filter; policy accept;
            		oifname "eth0" jump outbound
            		oifname "eth0.*" jump outbound
            		oifname "eth1" jump outbound
            		oifname "eth1.*" jump outbound
            	}
            }

            table inet enforcer_guests
            delete table inet enforcer_guests
            table netdev enforcer
            delete table netdev enforcer
            table netdev enforcer {
            	chain inbound_eth0 {
            		type filter hook ingress device "eth0" priority filter; policy accept;
            		meta protocol { 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 } accept
            		meta protocol { 8021q, 8021ad } @nh,16,16 { 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 } accept
            		meta protocol { 8021q, 8021ad } @nh,16,16 { 0x8100, 0x88a8 } counter drop comment "reason vlan-depth"
            		meta protocol { 8021q, 8021ad } @nh,16,16 0-0x5ff counter accept comment "reason link-control"
            		meta protocol { 8021q, 8021ad } counter drop comment "reason ethertype"
            		meta protocol 0x0004 @nh,0,16 0xaaaa @nh,24,24 0 counter drop comment "reason ethertype"
            		meta protocol { 0x0001, 0x0004 } counter accept comment "reason link-control"
            		counter drop comment "reason ethertype"
            	}
            	chain outbound_eth0 {
            		type filter hook egress device "eth0" priority filter; policy accept;
            		meta protocol { 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 } accept
            		meta protocol { 8021q, 8021ad } @nh,16,16 { 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 } accept
            		meta protocol { 8021q, 8021ad } @nh,16,16 { 0x8100, 0x88a8 } counter drop comment "reason vlan-depth"
            		meta protocol { 8021q, 8021ad } @nh,16,16 0-0x5ff counter accept comment "reason link-control"
            		meta protocol { 8021q, 8021ad } counter drop comment "reason ethertype"
            		meta protocol 0x0004 @nh,0,16 0xaaaa @nh,24,24 0 counter drop comment "reason ethertype"
            		meta protocol { 0x0001, 0x0004 } counter accept comment "reason link-control"
            		counter drop comment "reason ethertype"
            	}
            	chain inbound_eth1 {
            		type filter hook ingress device "eth1" priority filter; policy accept;
            		meta protocol { 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 } accept
            		meta protocol { 8021q, 8021ad } @nh,16,16 { 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 } accept
            		meta protocol { 8021q, 8021ad } @nh,16,16 { 0x8100, 0x88a8 } counter accept comment "reason vlan-depth"
            		meta protocol { 8021q, 8021ad } @nh,16,16 0-0x5ff counter accept comment "reason link-control"
            		meta protocol { 8021q, 8021ad } counter accept comment "reason ethertype"
            		meta protocol 0x0004 @nh,0,16 0xaaaa @nh,24,24 0 counter accept comment "reason ethertype"
            		meta protocol { 0x0001, 0x0004 } counter accept comment "reason link-control"
            		counter accept comment "reason ethertype"
            	}
            	chain outbound_eth1 {
            		type filter hook egress device "eth1" priority filter; policy accept;
            		meta protocol { 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 } accept
            		meta protocol { 8021q, 8021ad } @nh,16,16 { 0x0800, 0x86dd, 0x0806, 0x88cc, 0x8809, 0x888e, 0x88f7 } accept
            		meta protocol { 8021q, 8021ad } @nh,16,16 { 0x8100, 0x88a8 } counter accept comment "reason vlan-depth"
            		meta protocol { 8021q, 8021ad } @nh,16,16 0-0x5ff counter accept comment "reason link-control"
            		meta protocol { 8021q, 8021ad } counter accept comment "reason ethertype"
            		meta protocol 0x0004 @nh,0,16 0xaaaa @nh,24,24 0 counter accept comment "reason ethertype"
            		meta protocol { 0x0001, 0x0004 } counter accept comment "reason link-control"
            		counter accept comment "reason ethertype"
            	}
            }
        "##]],
    );
}

#[test]
fn a_small_policy_for_iptables() {
    check(
        Target::Iptables,
        &expect![[r##"
            #!/bin/sh
            # iptables, written by `enforcer export` from site.yaml
            # policy 322d17b70fdd5f9dfcd3cc6477faf4b80f73f53d5a989f1c188845b9a9319d9e
            # eth0: inbound enforce, outbound enforce
            # eth1: inbound audit, outbound audit
            #
            # What is not as it is under `enforcer`:
            # - tags: packets of a VLAN are judged where its interface is called `PARENT.NUMBER`; name other VLAN interfaces
            #   among the protected ones
            # - frames that are not IP are not judged: iptables does not see them
            # - fragments: conntrack puts datagrams together before a rule sees them; the reasons `fragment` and
            #   `tiny-fragment` do not occur
            # - headers: what the kernel's own IP code throws away is not counted as `malformed`; the number of IPv6 extension
            #   headers has no limit
            # - conversations: conntrack also looks at checksums, TCP flags and sequence numbers, answers leave only where
            #   their question was seen, and its timeouts are sysctls (net.netfilter.nf_conntrack_*)
            # - changes: IPv4 and IPv6 are two transactions, and so are the tables `filter` and `mangle` of each; there is no
            #   deadline and no list of connections that would be cut
            set -e
            begin() {
            	saved=$("$1-save" -t "$2")
            	echo "*$2"
            	printf '%s\n' "$saved" | sed -nE 's/^-A ((INPUT|FORWARD|OUTPUT) .*-j ENFORCER-(IN|OUT))$/-D \1/p'
            	printf '%s\n' "$saved" | sed -nE 's/^:((ENFORCER|EN-[IO][NY])-[^ ]*) .*/-F \1/p'
            	printf '%s\n' "$saved" | sed -nE 's/^:((ENFORCER-(NOT-)?(IN|OUT)(-[^ ]*)?|EN-[IO][NY]-[^ ]*)) .*/-X \1/p'
            }
            end() {
            	for chain; do
            		case "$saved" in
            			*"-A $chain -j ENFORCER-$chain"*) ;;
            			*) echo "-A $chain -j ENFORCER-$chain" ;;
            		esac
            	done
            	echo COMMIT
            }
            input=$(
            begin iptables filter
            cat <<'END'
            :EN-IY-monitoring - [0:0]
            :ENFORCER-FORWARD - [0:0]
            :ENFORCER-IN - [0:0]
            :ENFORCER-IN-icmp - [0:0]
            :ENFORCER-IN-sctp - [0:0]
            :ENFORCER-IN-tcp - [0:0]
            :ENFORCER-IN-udp - [0:0]
            :ENFORCER-INPUT - [0:0]
            :ENFORCER-NOT-IN - [0:0]
            -A ENFORCER-NOT-IN -i eth0 -m comment --comment "enforce" -j DROP
            -A ENFORCER-NOT-IN -i eth0.+ -m comment --comment "enforce" -j DROP
            -A ENFORCER-NOT-IN -i eth1 -m comment --comment "audit" -j ACCEPT
            -A ENFORCER-NOT-IN -i eth1.+ -m comment --comment "audit" -j ACCEPT
            -A ENFORCER-NOT-IN -m comment --comment "enforce" -j DROP
            -A ENFORCER-IN -s 127.0.0.0/8 -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -s 224.0.0.0/4 -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -s 255.255.255.255 -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -i eth0 -m addrtype --src-type LOCAL -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -i eth0.+ -m addrtype --src-type LOCAL -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -i eth1 -m addrtype --src-type LOCAL -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -i eth1.+ -m addrtype --src-type LOCAL -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p 2 -m comment --comment "reason igmp" -j ACCEPT
            -A ENFORCER-IN -s 0.0.0.0 -p udp --sport 68 --dport 67 -m comment --comment "an address is asked for" -j ENFORCER-IN-udp
            -A ENFORCER-IN -s 0.0.0.0 -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p icmp -m comment --comment "by type" -j ENFORCER-IN-icmp
            -A ENFORCER-IN-icmp -p icmp --icmp-type 3 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p icmp --icmp-type 11 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p icmp --icmp-type 12 -m comment --comment "reason icmp" -j ACCEPT
            -A EN-IY-monitoring -s 10.9.8.0/24 -m comment --comment "monitoring" -j ACCEPT
            -A EN-IY-monitoring -s 10.9.9.9/32 -m comment --comment "monitoring" -j ACCEPT
            -A ENFORCER-IN-icmp -p icmp --icmp-type 8 -m comment --comment "site/icmp-echo" -j EN-IY-monitoring
            -A ENFORCER-IN-icmp -p icmp --icmp-type 8 -m comment --comment "reason echo" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-icmp -p icmp --icmp-type 0 -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-icmp -p icmp --icmp-type 5 -m comment --comment "reason redirect" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-icmp -m comment --comment "reason icmp-type" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p tcp -m comment --comment "by port" -j ENFORCER-IN-tcp
            -A ENFORCER-IN-tcp -p tcp ! --tcp-flags SYN,ACK SYN -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-tcp -p tcp -m multiport --dports 23 -m comment --comment "site/no-telnet" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-tcp -p tcp -m multiport --dports 443,8443:8445 -m comment --comment "site/https" -j ACCEPT
            -A ENFORCER-IN-tcp -p tcp ! --tcp-flags SYN,ACK SYN -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-tcp -p tcp -m multiport --dports 443,5060,8443:8445 -m comment --comment "reason peer" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-tcp -m comment --comment "reason no-rule" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p udp -m comment --comment "by port" -j ENFORCER-IN-udp
            -A ENFORCER-IN-udp -p udp -m multiport --dports 161 -m comment --comment "site/snmp: dashboards" -j EN-IY-monitoring
            -A ENFORCER-IN-udp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-udp -p udp --sport 67 --dport 68 -m comment --comment "reason dhcp" -j ACCEPT
            -A ENFORCER-IN-udp -p udp -m multiport --dports 161 -m comment --comment "reason peer" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-udp -m comment --comment "reason no-rule" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p sctp -m comment --comment "by port" -j ENFORCER-IN-sctp
            -A ENFORCER-IN-sctp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-sctp -m comment --comment "reason no-rule" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p 50 -m comment --comment "site/ipsec" -j EN-IY-monitoring
            -A ENFORCER-IN -m comment --comment "reason protocol" -j ENFORCER-NOT-IN
            -A ENFORCER-INPUT -i eth0 -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-INPUT -i eth0.+ -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-INPUT -i eth1 -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-INPUT -i eth1.+ -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-FORWARD -i eth0 -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-FORWARD -i eth0.+ -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-FORWARD -i eth1 -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-FORWARD -i eth1.+ -m comment --comment "inbound" -j ENFORCER-IN
            END
            end INPUT FORWARD
            begin iptables mangle
            cat <<'END'
            :EN-OY-monitoring - [0:0]
            :ENFORCER-FORWARD - [0:0]
            :ENFORCER-NOT-OUT - [0:0]
            :ENFORCER-OUT - [0:0]
            :ENFORCER-OUT-sctp - [0:0]
            :ENFORCER-OUT-tcp - [0:0]
            :ENFORCER-OUT-udp - [0:0]
            :ENFORCER-OUTPUT - [0:0]
            -A ENFORCER-NOT-OUT -o eth0 -m comment --comment "enforce" -j DROP
            -A ENFORCER-NOT-OUT -o eth0.+ -m comment --comment "enforce" -j DROP
            -A ENFORCER-NOT-OUT -o eth1 -m comment --comment "audit" -j ACCEPT
            -A ENFORCER-NOT-OUT -o eth1.+ -m comment --comment "audit" -j ACCEPT
            -A ENFORCER-NOT-OUT -m comment --comment "enforce" -j DROP
            -A ENFORCER-OUT -p icmp -m comment --comment "reason icmp, igmp" -j ACCEPT
            -A ENFORCER-OUT -p 2 -m comment --comment "reason icmp, igmp" -j ACCEPT
            -A ENFORCER-OUT -p tcp -m comment --comment "by port" -j ENFORCER-OUT-tcp
            -A ENFORCER-OUT-tcp -p tcp ! --tcp-flags SYN,ACK SYN -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason rule" -j ACCEPT
            -A ENFORCER-OUT-tcp -p tcp --dport 53 -m comment --comment "reason open" -j ACCEPT
            -A ENFORCER-OUT-tcp -m comment --comment "reason no-connection" -j ENFORCER-NOT-OUT
            -A ENFORCER-OUT -p udp -m comment --comment "by port" -j ENFORCER-OUT-udp
            -A ENFORCER-OUT-udp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason rule" -j ACCEPT
            -A EN-OY-monitoring -d 10.9.8.0/24 -m comment --comment "monitoring" -j ACCEPT
            -A EN-OY-monitoring -d 10.9.9.9/32 -m comment --comment "monitoring" -j ACCEPT
            -A ENFORCER-OUT-udp -p udp -m multiport --dports 514 -m comment --comment "site/syslog" -j EN-OY-monitoring
            -A ENFORCER-OUT-udp -p udp --dport 53 -m comment --comment "reason open" -j ACCEPT
            -A ENFORCER-OUT-udp -p udp --dport 123 -m comment --comment "reason open" -j ACCEPT
            -A ENFORCER-OUT-udp -p udp --sport 68 --dport 67 -m comment --comment "reason dhcp" -j ACCEPT
            -A ENFORCER-OUT-udp -p udp -m multiport --dports 514 -m comment --comment "reason no-connection" -j ENFORCER-NOT-OUT
            -A ENFORCER-OUT-udp -m comment --comment "reason no-connection" -j ENFORCER-NOT-OUT
            -A ENFORCER-OUT -p sctp -m comment --comment "by port" -j ENFORCER-OUT-sctp
            -A ENFORCER-OUT-sctp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason rule" -j ACCEPT
            -A ENFORCER-OUT-sctp -m comment --comment "reason no-connection" -j ENFORCER-NOT-OUT
            -A ENFORCER-OUT -m comment --comment "reason protocol" -j ENFORCER-NOT-OUT
            -A ENFORCER-FORWARD -o eth0 -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-FORWARD -o eth0.+ -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-FORWARD -o eth1 -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-FORWARD -o eth1.+ -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-OUTPUT -o eth0 -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-OUTPUT -o eth0.+ -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-OUTPUT -o eth1 -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-OUTPUT -o eth1.+ -m comment --comment "outbound" -j ENFORCER-OUT
            END
            end FORWARD OUTPUT
            )
            printf '%s\n' "$input" | iptables-restore --noflush
            input=$(
            begin ip6tables filter
            cat <<'END'
            :EN-IY-monitoring - [0:0]
            :ENFORCER-FORWARD - [0:0]
            :ENFORCER-IN - [0:0]
            :ENFORCER-IN-icmp - [0:0]
            :ENFORCER-IN-sctp - [0:0]
            :ENFORCER-IN-tcp - [0:0]
            :ENFORCER-IN-udp - [0:0]
            :ENFORCER-INPUT - [0:0]
            :ENFORCER-NOT-IN - [0:0]
            -A ENFORCER-NOT-IN -i eth0 -m comment --comment "enforce" -j DROP
            -A ENFORCER-NOT-IN -i eth0.+ -m comment --comment "enforce" -j DROP
            -A ENFORCER-NOT-IN -i eth1 -m comment --comment "audit" -j ACCEPT
            -A ENFORCER-NOT-IN -i eth1.+ -m comment --comment "audit" -j ACCEPT
            -A ENFORCER-NOT-IN -m comment --comment "enforce" -j DROP
            -A ENFORCER-IN -s ::1 -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -s ff00::/8 -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -i eth0 -m addrtype --src-type LOCAL -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -i eth0.+ -m addrtype --src-type LOCAL -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -i eth1 -m addrtype --src-type LOCAL -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -i eth1.+ -m addrtype --src-type LOCAL -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -m rt --rt-type 0 -m comment --comment "reason routing-header" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -s :: -p ipv6-icmp --icmpv6-type 130 -m comment --comment "no address yet" -j ENFORCER-IN-icmp
            -A ENFORCER-IN -s :: -p ipv6-icmp --icmpv6-type 131 -m comment --comment "no address yet" -j ENFORCER-IN-icmp
            -A ENFORCER-IN -s :: -p ipv6-icmp --icmpv6-type 132 -m comment --comment "no address yet" -j ENFORCER-IN-icmp
            -A ENFORCER-IN -s :: -p ipv6-icmp --icmpv6-type 133 -m comment --comment "no address yet" -j ENFORCER-IN-icmp
            -A ENFORCER-IN -s :: -p ipv6-icmp --icmpv6-type 135 -m comment --comment "no address yet" -j ENFORCER-IN-icmp
            -A ENFORCER-IN -s :: -p ipv6-icmp --icmpv6-type 143 -m comment --comment "no address yet" -j ENFORCER-IN-icmp
            -A ENFORCER-IN -s :: -m comment --comment "reason martian" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p ipv6-icmp -m comment --comment "by type" -j ENFORCER-IN-icmp
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 1 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 2 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 3 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 4 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 130 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 131 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 132 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 143 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 151 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 152 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 153 -m comment --comment "reason icmp" -j ACCEPT
            -A EN-IY-monitoring -s 2001:db8:9::/64 -m comment --comment "monitoring" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 128 -m comment --comment "site/icmp-echo" -j EN-IY-monitoring
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 128 -m comment --comment "reason echo" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 129 -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 133 -m hl --hl-eq 255 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 134 -m hl --hl-eq 255 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 135 -m hl --hl-eq 255 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 136 -m hl --hl-eq 255 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 141 -m hl --hl-eq 255 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 142 -m hl --hl-eq 255 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 148 -m hl --hl-eq 255 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 149 -m hl --hl-eq 255 -m comment --comment "reason icmp" -j ACCEPT
            -A ENFORCER-IN-icmp -p ipv6-icmp --icmpv6-type 137 -m comment --comment "reason redirect" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-icmp -m comment --comment "reason icmp-type" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p tcp -m comment --comment "by port" -j ENFORCER-IN-tcp
            -A ENFORCER-IN-tcp -p tcp ! --tcp-flags SYN,ACK SYN -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-tcp -p tcp -m multiport --dports 23 -m comment --comment "site/no-telnet" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-tcp -p tcp -m multiport --dports 443,8443:8445 -m comment --comment "site/https" -j ACCEPT
            -A ENFORCER-IN-tcp -p tcp ! --tcp-flags SYN,ACK SYN -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-tcp -p tcp -m multiport --dports 443,5060,8443:8445 -m comment --comment "reason peer" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-tcp -m comment --comment "reason no-rule" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p udp -m comment --comment "by port" -j ENFORCER-IN-udp
            -A ENFORCER-IN-udp -p udp -m multiport --dports 161 -m comment --comment "site/snmp: dashboards" -j EN-IY-monitoring
            -A ENFORCER-IN-udp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-udp -p udp --sport 547 --dport 546 -m comment --comment "reason dhcp" -j ACCEPT
            -A ENFORCER-IN-udp -p udp -m multiport --dports 161 -m comment --comment "reason peer" -j ENFORCER-NOT-IN
            -A ENFORCER-IN-udp -m comment --comment "reason no-rule" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p sctp -m comment --comment "by port" -j ENFORCER-IN-sctp
            -A ENFORCER-IN-sctp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason flow" -j ACCEPT
            -A ENFORCER-IN-sctp -m comment --comment "reason no-rule" -j ENFORCER-NOT-IN
            -A ENFORCER-IN -p 50 -m comment --comment "site/ipsec" -j EN-IY-monitoring
            -A ENFORCER-IN -m comment --comment "reason protocol" -j ENFORCER-NOT-IN
            -A ENFORCER-INPUT -i eth0 -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-INPUT -i eth0.+ -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-INPUT -i eth1 -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-INPUT -i eth1.+ -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-FORWARD -i eth0 -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-FORWARD -i eth0.+ -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-FORWARD -i eth1 -m comment --comment "inbound" -j ENFORCER-IN
            -A ENFORCER-FORWARD -i eth1.+ -m comment --comment "inbound" -j ENFORCER-IN
            END
            end INPUT FORWARD
            begin ip6tables mangle
            cat <<'END'
            :EN-OY-monitoring - [0:0]
            :ENFORCER-FORWARD - [0:0]
            :ENFORCER-NOT-OUT - [0:0]
            :ENFORCER-OUT - [0:0]
            :ENFORCER-OUT-sctp - [0:0]
            :ENFORCER-OUT-tcp - [0:0]
            :ENFORCER-OUT-udp - [0:0]
            :ENFORCER-OUTPUT - [0:0]
            -A ENFORCER-NOT-OUT -o eth0 -m comment --comment "enforce" -j DROP
            -A ENFORCER-NOT-OUT -o eth0.+ -m comment --comment "enforce" -j DROP
            -A ENFORCER-NOT-OUT -o eth1 -m comment --comment "audit" -j ACCEPT
            -A ENFORCER-NOT-OUT -o eth1.+ -m comment --comment "audit" -j ACCEPT
            -A ENFORCER-NOT-OUT -m comment --comment "enforce" -j DROP
            -A ENFORCER-OUT -p ipv6-icmp -m comment --comment "reason icmp, igmp" -j ACCEPT
            -A ENFORCER-OUT -p tcp -m comment --comment "by port" -j ENFORCER-OUT-tcp
            -A ENFORCER-OUT-tcp -p tcp ! --tcp-flags SYN,ACK SYN -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason rule" -j ACCEPT
            -A ENFORCER-OUT-tcp -p tcp --dport 53 -m comment --comment "reason open" -j ACCEPT
            -A ENFORCER-OUT-tcp -m comment --comment "reason no-connection" -j ENFORCER-NOT-OUT
            -A ENFORCER-OUT -p udp -m comment --comment "by port" -j ENFORCER-OUT-udp
            -A ENFORCER-OUT-udp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason rule" -j ACCEPT
            -A EN-OY-monitoring -d 2001:db8:9::/64 -m comment --comment "monitoring" -j ACCEPT
            -A ENFORCER-OUT-udp -p udp -m multiport --dports 514 -m comment --comment "site/syslog" -j EN-OY-monitoring
            -A ENFORCER-OUT-udp -p udp --dport 53 -m comment --comment "reason open" -j ACCEPT
            -A ENFORCER-OUT-udp -p udp --dport 123 -m comment --comment "reason open" -j ACCEPT
            -A ENFORCER-OUT-udp -p udp --sport 546 --dport 547 -m comment --comment "reason dhcp" -j ACCEPT
            -A ENFORCER-OUT-udp -p udp -m multiport --dports 514 -m comment --comment "reason no-connection" -j ENFORCER-NOT-OUT
            -A ENFORCER-OUT-udp -m comment --comment "reason no-connection" -j ENFORCER-NOT-OUT
            -A ENFORCER-OUT -p sctp -m comment --comment "by port" -j ENFORCER-OUT-sctp
            -A ENFORCER-OUT-sctp -m conntrack --ctstate ESTABLISHED --ctdir REPLY -m comment --comment "reason rule" -j ACCEPT
            -A ENFORCER-OUT-sctp -m comment --comment "reason no-connection" -j ENFORCER-NOT-OUT
            -A ENFORCER-OUT -m comment --comment "reason protocol" -j ENFORCER-NOT-OUT
            -A ENFORCER-FORWARD -o eth0 -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-FORWARD -o eth0.+ -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-FORWARD -o eth1 -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-FORWARD -o eth1.+ -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-OUTPUT -o eth0 -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-OUTPUT -o eth0.+ -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-OUTPUT -o eth1 -m comment --comment "outbound" -j ENFORCER-OUT
            -A ENFORCER-OUTPUT -o eth1.+ -m comment --comment "outbound" -j ENFORCER-OUT
            END
            end FORWARD OUTPUT
            )
            printf '%s\n' "$input" | ip6tables-restore --noflush
        "##]],
    );
}

#[test]
fn a_small_policy_for_windows() {
    check(
        Target::Windows,
        &expect![[r#"
            # Windows Firewall, written by `enforcer export` from site.yaml
            # policy 322d17b70fdd5f9dfcd3cc6477faf4b80f73f53d5a989f1c188845b9a9319d9e
            # eth0: inbound enforce, outbound enforce
            # eth1: inbound audit, outbound audit
            #
            # What is not as it is under `enforcer`:
            # - other rules of the machine stay in force: look at `Get-NetFirewallRule -Enabled True -Action Allow |
            #   Where-Object Group -ne 'enforcer'`, and disable what the policy does not permit
            # - interfaces: rules hold on every interface but the loopback, whatever the site names
            # - counters: Windows counts no packets by rule; what is refused is in the firewall's log only
            # - packets: Windows judges conversations, not packets: fragments, tags, extension headers, martian addresses and
            #   frames that are not IP are handled by its own rules; its timeouts cannot be set
            # - internal: ports that are for the host itself are refused from the wire by the default action, as any other
            # - text: letters that are not ASCII are written as `?`
            # - changes: there is no deadline and no list of connections that would be cut
            # - audit: Windows has none; inbound rules that refuse are written disabled, and the default action is left as it
            #   is, as is whether the firewall is on
            # - audit: Windows has none; outbound rules that refuse are written disabled, and the default action is left as it
            #   is
            #Requires -RunAsAdministrator
            $ErrorActionPreference = 'Stop'
            $old = @(Get-NetFirewallRule -Group 'enforcer' -ErrorAction SilentlyContinue)
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason icmp' -Direction Inbound -Action Allow -Enabled True -Protocol ICMPv4 -IcmpType 3,11,12 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason icmp' -Direction Inbound -Action Allow -Enabled True -Protocol ICMPv6 -IcmpType 1,2,3,4,130,131,132,133,134,135,136,141,142,143,148,149,151,152,153 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason igmp' -Direction Inbound -Action Allow -Enabled True -Protocol 2 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason dhcp' -Direction Inbound -Action Allow -Enabled True -Protocol UDP -LocalPort 68 -RemotePort 67 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason dhcp' -Direction Inbound -Action Allow -Enabled True -Protocol UDP -LocalPort 546 -RemotePort 547 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason icmp' -Direction Outbound -Action Allow -Enabled True -Protocol ICMPv4 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason icmp' -Direction Outbound -Action Allow -Enabled True -Protocol ICMPv6 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason igmp' -Direction Outbound -Action Allow -Enabled True -Protocol 2 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason dhcp' -Direction Outbound -Action Allow -Enabled True -Protocol UDP -LocalPort 68 -RemotePort 67 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason dhcp' -Direction Outbound -Action Allow -Enabled True -Protocol UDP -LocalPort 546 -RemotePort 547 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason open' -Direction Outbound -Action Allow -Enabled True -Protocol UDP -RemotePort 53,123 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason open' -Direction Outbound -Action Allow -Enabled True -Protocol TCP -RemotePort 53 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/no-telnet' -Direction Inbound -Action Block -Enabled False -Protocol TCP -LocalPort '23' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/https' -Direction Inbound -Action Allow -Enabled True -Protocol TCP -LocalPort '443','8443-8445' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/icmp-echo' -Direction Inbound -Action Allow -Enabled True -Protocol ICMPv4 -IcmpType 8 -RemoteAddress '10.9.8.0/24','10.9.9.9/32' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/icmp-echo' -Direction Inbound -Action Allow -Enabled True -Protocol ICMPv6 -IcmpType 128 -RemoteAddress '2001:db8:9::/64' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/ipsec' -Direction Inbound -Action Allow -Enabled True -Protocol 50 -RemoteAddress '10.9.8.0/24','10.9.9.9/32','2001:db8:9::/64' | Out-Null
            # 'site/sip' is for a peer without addresses
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/snmp: dashboards' -Direction Inbound -Action Allow -Enabled True -Protocol UDP -LocalPort '161' -RemoteAddress '10.9.8.0/24','10.9.9.9/32','2001:db8:9::/64' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/syslog' -Direction Outbound -Action Allow -Enabled True -Protocol UDP -RemotePort '514' -RemoteAddress '10.9.8.0/24','10.9.9.9/32','2001:db8:9::/64' | Out-Null
            $old | Remove-NetFirewallRule
        "#]],
    );
}

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

/// A rule is in the text with all its ports, or a warning names it. Rules for nobody permit nothing; internal ports are refused
/// with the rest where a target has no reasons; what may leave anyhow needs no rule.
#[test]
fn no_rule_of_any_role_is_dropped_in_silence() {
    let mut compared = 0;
    for (name, text) in every_role(embedded().unwrap(), "eth0") {
        let (site, compiled) = compiled(&text);
        for target in Target::ALL {
            let Export { text, warnings } = export(target, &site, &compiled, None).unwrap();
            let lines = lines_by_rule(target, &text);
            for rule in &compiled.ruleset.rules {
                let is_refused_with_the_rest = rule.action == Action::Internal;
                let needs_none = rule.direction == Direction::Outbound
                    && rule.action == Action::Permit
                    && !compiled.ruleset.settings.outbound_judged;
                let is_for_nobody = rule.prefixes.as_ref().is_some_and(|prefixes| prefixes.is_empty());
                let warned = warnings.iter().any(|warning| warning.contains(&rule.id));
                let Some(lines) = lines.get(&rule.id) else {
                    let is_said = warned || is_refused_with_the_rest || needs_none || is_for_nobody;
                    assert!(is_said, "{target:?} of {name}: {rule:#?}\n{text}");
                    continue;
                };
                let Match::Ports { ports, .. } = &rule.matches else { continue };
                for range in ports.iter().filter(|range| **range != (0..=u16::MAX)) {
                    let (start, end) = (range.start(), range.end());
                    let words = match target {
                        _ if start == end => vec![start.to_string()],
                        Target::Nft | Target::Windows => vec![format!("{start}-{end}")],
                        Target::Iptables => vec![format!("{start}:{end}")],
                        Target::IosAcl => vec!["range".to_owned(), start.to_string(), end.to_string()],
                    };
                    let found = lines.windows(words.len()).any(|found| found == words);
                    assert!(found, "{target:?} of {name}: {words:?} of {rule:#?}: {lines:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 5000, "{compared}");
}

/// The words of all lines that stand for a rule, by its id: port ranges are a word each.
fn lines_by_rule(target: Target, text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut remark = None;
    for line in text.lines() {
        let between = |before: &str, after: &str| {
            let (_, rest) = line.split_once(before)?;
            rest.split_once(after).map(|(name, _)| name.to_owned())
        };
        let name = match target {
            Target::Nft => between("comment \"", "\""),
            Target::Iptables => between("--comment \"", "\""),
            Target::Windows => between("-DisplayName 'enforcer ", "'"),
            Target::IosAcl => {
                if let Some(name) = line.strip_prefix(" remark ") {
                    remark = Some(name.to_owned());
                    continue;
                }
                remark.clone()
            }
        };
        let Some(name) = name else { continue };
        // The operator's reason follows the id.
        let id = name.split(':').next().unwrap_or_default().to_owned();
        let words = line.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | ':')).map(str::to_owned);
        found.entry(id).or_default().extend(words);
    }
    found
}

#[test]
fn every_warning_is_in_the_header() {
    for (_, text) in every_role(embedded().unwrap(), "eth0") {
        let (site, compiled) = compiled(&text);
        for target in Target::ALL {
            let Export { text, warnings } = export(target, &site, &compiled, None).unwrap();
            let header = text.lines().take_while(|line| line.starts_with(['#', '!']));
            let words: String = header.flat_map(|line| line[1..].split_whitespace()).collect();
            for warning in warnings {
                let squeezed: String = warning.split_whitespace().collect();
                assert!(words.contains(&squeezed), "{target:?}: {warning}\n{text}");
            }
        }
    }
}

#[test]
fn audit_refuses_nothing_and_enforce_does() {
    for (name, text) in every_role(embedded().unwrap(), "eth0") {
        let (site, compiled) = compiled(&text);
        for target in Target::ALL {
            for (mode, expected) in [(Mode::Audit, false), (Mode::Enforce, true)] {
                let text = export(target, &site, &compiled, Some(mode)).unwrap().text;
                let refuses = match target {
                    Target::Nft => {
                        text.lines().any(|line| line.split(' ').any(|word| word == "drop" || word == "reject"))
                    }
                    Target::Iptables => {
                        text.lines().any(|line| line.ends_with("-j DROP") || line.ends_with("-j REJECT"))
                    }
                    // The firewall that is turned on refuses by its own defaults.
                    Target::Windows => ["Block -Enabled True", "Action Block\n", "Profile -All -Enabled"]
                        .iter()
                        .any(|refusal| text.contains(refusal)),
                    Target::IosAcl => text.lines().any(|line| line.starts_with(" deny")),
                };
                assert_eq!(refuses, expected, "{target:?} of {name} in {mode:?}\n{text}");
            }
        }
    }
}

/// Where every rule for a protocol is in audit, whom they do not name is counted, and not refused.
#[test]
fn a_protocol_of_rules_in_audit_is_refused_to_nobody() {
    let (site, compiled) = compiled(
        "interfaces: [eth0]\nmode: enforce\nroles: []\nallow:\n  \
         - {name: esp, protocol: esp, from: [10.0.0.1], mode: audit}\n  - {name: gre, protocol: gre, from: [10.0.0.1]}\n",
    );
    for (target, esp, gre) in [
        (Target::Nft, "ip protocol 50 counter accept", "ip protocol 47 counter accept"),
        (
            Target::Iptables,
            "-A ENFORCER-IN -p 50 -m comment --comment \"in audit\" -j ACCEPT",
            "-A ENFORCER-IN -p 47 -m comment --comment \"in audit\" -j ACCEPT",
        ),
        (Target::IosAcl, " permit 50 any any log", " permit 47 any any log"),
    ] {
        let text = export(target, &site, &compiled, None).unwrap().text;
        assert!(text.contains(esp) && !text.contains(gre), "{text}");
    }
}

/// The firewall must never be without the rules of both: those that were, or those that come.
#[test]
fn windows_removes_what_was_after_what_comes_is_there() {
    let text = exported(Target::Windows, "interfaces: [eth0]\nmode: enforce\nroles: [finesse]\n").text;
    let at = |what: &str| text.rfind(what).unwrap_or_else(|| panic!("{what} in {text}"));
    let order = ["$old = @(Get-Net", "New-NetFirewallRule", "Set-NetFirewallProfile", "$old | Remove-NetFirewallRule"];
    assert!(order.map(at).is_sorted(), "{text}");
}

/// PowerShell reads U+2018 to U+201B as `'`, and Windows PowerShell the bytes of a letter as letters of a code page.
#[test]
fn no_letter_of_a_site_ends_a_string_of_powershell() {
    let quotes = "‘’‚‛“”„ é'' ; Remove-Item C: #";
    let site = format!(
        "interfaces: [eth0]\nroles: []\nallow:\n  - {{name: a, protocol: tcp, ports: [1], reason: '{quotes}'}}\n"
    );
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("a’b.yaml", site), catalogue).unwrap();
    let compiled = compile(&site, catalogue, date(2026, 8, 1)).unwrap();
    let text = export(Target::Windows, &site, &compiled, None).unwrap().text;
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("'enforcer site/a: ??????? ?'' ; Remove-Item C: #'"), "{text}");
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

/// A comment of iptables holds bytes, and its last one ends no letter in the middle.
#[test]
fn a_comment_of_iptables_is_as_long_as_it_may_be() {
    let reason = "ü".repeat(300);
    let site = format!(
        "interfaces: [eth0]\nroles: []\nallow:\n  - {{name: a, protocol: tcp, ports: [1], reason: {reason}}}\n"
    );
    let text = exported(Target::Iptables, &site).text;
    let longest = text.split("--comment \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::len).max();
    assert!(longest.is_some_and(|bytes| (254..=255).contains(&bytes)), "{longest:?}");
}

/// A packet of a VLAN is judged on the interface below, too: the stricter mode holds, and the entry of its own comes first.
#[test]
fn a_vlan_with_an_entry_of_its_own_is_met_before_the_interface_below() {
    for (below, vlan) in [("audit", "enforce"), ("enforce", "audit")] {
        let site =
            format!("interfaces: [{{name: eth0, mode: {below}}}, {{name: eth0.7, mode: {vlan}}}]\nroles: [finesse]\n");
        let text = exported(Target::Nft, &site).text;
        let at = |line: &str| text.find(line).unwrap_or_else(|| panic!("{line} in {text}"));
        assert!(at("iifname \"eth0.7\" counter drop") < at("iifname \"eth0.*\" counter"), "{text}");
    }
}

/// A guest's port and an interface of the host may meet in one packet; each is judged in a table of its own.
#[test]
fn hosts_and_guests_are_judged_apart() {
    let site =
        "interfaces: [eth0, {name: 'tap*', protects: guest, mode: enforce}, tap9]\noutbound: role\nroles: [finesse]\n";
    let text = exported(Target::Nft, site).text;
    let (hosts, guests) = text.split_once("table inet enforcer_guests {").unwrap();
    assert!(!hosts.contains("\"tap*\"") && !guests.contains("\"eth0\" jump"), "{text}");
    assert!(hosts.contains("iifname \"tap9\" jump inbound"), "{text}");
    // What is named is a host, though the pattern fits.
    for side in ["iifname", "oifname"] {
        let at = |line: String| guests.find(&line).unwrap_or_else(|| panic!("{line} in {text}"));
        let named = at(format!("{side} \"tap9\" accept comment \"not judged here\""));
        assert!(named < at(format!("{side} \"tap*\" jump")), "{text}");
    }
    let iptables = exported(Target::Iptables, site).text;
    let at = |line: &str| iptables.find(line).unwrap_or_else(|| panic!("{line} in {iptables}"));
    assert!(
        at("-A ENFORCER-FORWARD -o tap9 -m comment --comment \"not judged here\" -j RETURN")
            < at("-A ENFORCER-FORWARD -o tap+ -m comment --comment \"inbound\" -j ENFORCER-IN"),
        "{iptables}"
    );
}

#[test]
fn an_interface_that_would_need_quotes_is_refused() {
    for name in ["et\"h0", "e*0", "eth?"] {
        let (site, compiled) = compiled(&format!("interfaces: ['{name}']\nroles: [finesse]\n"));
        for target in Target::ALL {
            let error = export(target, &site, &compiled, None).unwrap_err();
            assert!(matches!(error, Error::Interface(_)), "{error}");
        }
    }
}

/// What is named keeps its own mode, also where a pattern covers it.
#[test]
fn a_pattern_is_for_the_rest() {
    let (site, compiled) =
        compiled("interfaces: [{name: 'tap*', mode: audit}, {name: tap3, mode: enforce}]\nroles: [finesse]\n");
    let nft = export(Target::Nft, &site, &compiled, None).unwrap().text;
    let (named, any) =
        (nft.find("iifname \"tap3\" counter drop").unwrap(), nft.find("iifname \"tap*\" counter accept").unwrap());
    assert!(named < any, "{nft}");
    assert!(!nft.contains("device \"tap*\""), "{nft}");
    let iptables = export(Target::Iptables, &site, &compiled, None).unwrap().text;
    assert!(iptables.contains("-A ENFORCER-NOT-IN -i tap+ -m comment"), "{iptables}");
}

#[test]
fn a_line_break_in_a_file_name_begins_no_line() {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("a\nflush ruleset", SMALL), catalogue).unwrap();
    let compiled = compile(&site, catalogue, date(2026, 8, 1)).unwrap();
    for target in Target::ALL {
        let text = export(target, &site, &compiled, None).unwrap().text;
        assert!(!text.lines().any(|line| line.starts_with("flush")), "{text}");
    }
}

#[test]
fn a_line_break_in_a_reason_begins_no_line() {
    let (site, compiled) =
        compiled(&SMALL.replace("reason: dashboards", "reason: \"a\\nflush ruleset\\n:INPUT ACCEPT\""));
    for target in Target::ALL {
        let text = export(target, &site, &compiled, None).unwrap().text;
        assert!(text.contains("flush ruleset"), "the reason is written: {text}");
        assert!(!text.lines().any(|line| line.starts_with("flush") || line.starts_with(":INPUT ACC")), "{text}");
    }
}

const SMALL: &str = "\
interfaces: [eth0, {name: eth1, mode: audit}]
mode: enforce
outbound: role
icmp_echo: peers
roles: []
peers:
  monitoring: [10.9.9.9, 10.9.8.0/24, '2001:db8:9::/64']
  phones: []
allow:
  - {name: https, protocol: tcp, ports: [443, 8443-8445]}
  - {name: snmp, protocol: udp, ports: [161], from: [monitoring], reason: dashboards}
  - {name: sip, protocol: tcp, ports: [5060], from: [phones]}
  - {name: ipsec, protocol: esp, from: [monitoring]}
  - {name: syslog, direction: out, protocol: udp, ports: [514], to: [monitoring]}
deny:
  - {name: no-telnet, protocol: tcp, ports: [23]}
";

#[track_caller]
fn check(target: Target, expected: &Expect) {
    let (site, compiled) = compiled(SMALL);
    expected.assert_eq(&export(target, &site, &compiled, None).unwrap().text);
}

fn exported(target: Target, text: &str) -> Export {
    let (site, compiled) = compiled(text);
    export(target, &site, &compiled, None).unwrap()
}

fn compiled(text: &str) -> (Site, Compiled) {
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("site.yaml", text), catalogue).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let compiled = compile(&site, catalogue, date(2026, 8, 1)).unwrap();
    (site, compiled)
}
