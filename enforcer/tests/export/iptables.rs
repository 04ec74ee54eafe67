//! The scripts for iptables.

use enforcer::policy::export::Target;
use expect_test::expect;

use super::{check, exported};

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
