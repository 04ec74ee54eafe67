//! The script for nftables.

use enforcer::policy::export::Target;
use expect_test::expect;

use super::check;

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
