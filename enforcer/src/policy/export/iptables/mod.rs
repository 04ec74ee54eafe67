//! iptables: a shell script that feeds `iptables-restore` and `ip6tables-restore`, a transaction for each table of each.
//!
//! Only chains of our own are written (`ENFORCER-*`), each built-in chain calls one of them, and what an earlier script has left
//! goes in the transaction that brings the new ones. Peers are chains that accept or refuse by source, because iptables has no
//! sets of its own.
//!
//! What passes between two interfaces is met twice, and judged at each. An accept ends the table that it is in and no other, so
//! what is received is judged in `filter` and what is sent in `mangle`.

mod rules;

use std::fmt::Write;

use enforcer_common::Direction;

use super::Export;
use crate::policy::export::ordered::{Family, Plan, is_never_asked};
use crate::policy::ruleset::{Action, Match};
use rules::Rules;

/// What is ours in a table, from `iptables-save`: calls from built-in chains that are not those of today go, and so do all chains
/// but those that are called from there, which keep their place among the operator's rules.
const FUNCTIONS: &str = r#"set -e
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
"#;

/// A table, and with it the side of a packet that is judged there.
#[derive(Clone, Copy, PartialEq)]
enum Table {
    /// What an interface receives.
    Filter,
    /// What an interface sends.
    Mangle,
}

pub(super) fn write(plan: &Plan<'_>) -> Export {
    let warnings = warnings(plan);
    let mut text = "#!/bin/sh\n".to_owned();
    for line in plan.header("iptables", &warnings) {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text.push_str(FUNCTIONS);
    for family in Family::ALL {
        let program = if family == Family::V4 { "iptables" } else { "ip6tables" };
        // All of it before any of it is loaded: `iptables-save` shall not read what `iptables-restore` is changing.
        text.push_str("input=$(\n");
        for table in [Table::Filter, Table::Mangle] {
            let (name, rules, hooks) = (table.name(), Rules::written(plan, family, table), table.hooks().join(" "));
            // Writing to a string cannot fail.
            let _ = write!(text, "begin {program} {name}\ncat <<'END'\n{rules}END\nend {hooks}\n");
        }
        let _ = writeln!(text, ")\nprintf '%s\\n' \"$input\" | {program}-restore --noflush");
    }
    Export { text, warnings }
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Mangle => "mangle",
        }
    }

    /// The built-in chains that call ours.
    const fn hooks(self) -> [&'static str; 2] {
        match self {
            Self::Filter => ["INPUT", "FORWARD"],
            Self::Mangle => ["FORWARD", "OUTPUT"],
        }
    }

    /// Whether what goes this way belongs to guests here: what a host receives is inbound, and what a guest sends is received.
    fn guests(self, direction: Direction) -> bool {
        (self == Self::Filter) != (direction == Direction::Inbound)
    }

    /// An interface as the side that is judged here.
    fn side(self, interface: &str) -> String {
        format!("{} {interface}", if self == Self::Filter { "-i" } else { "-o" })
    }
}

fn warnings(plan: &Plan<'_>) -> Vec<String> {
    let mut warnings = vec![
        "tags: packets of a VLAN are judged where its interface is called `PARENT.NUMBER`; name other VLAN interfaces \
         among the protected ones"
            .to_owned(),
        "frames that are not IP are not judged: iptables does not see them".to_owned(),
        "fragments: conntrack puts datagrams together before a rule sees them; the reasons `fragment` and `tiny-fragment` do \
         not occur"
            .to_owned(),
        "headers: what the kernel's own IP code throws away is not counted as `malformed`; the number of IPv6 extension \
         headers has no limit"
            .to_owned(),
        "conversations: conntrack also looks at checksums, TCP flags and sequence numbers, answers leave only where their \
         question was seen, and its timeouts are sysctls (net.netfilter.nf_conntrack_*)"
            .to_owned(),
        "changes: IPv4 and IPv6 are two transactions, and so are the tables `filter` and `mangle` of each; there is no deadline and no list of connections that would be cut"
            .to_owned(),
    ];
    for rule in &plan.ruleset.rules {
        if matches!(rule.matches, Match::Ethertype(_)) {
            warnings.push(Plan::left_out(rule, "iptables does not see ethertypes"));
        } else if is_never_asked(&rule.matches) {
            warnings.push(Plan::left_out(rule, "its packets are judged by ports or types, under `enforcer` too"));
        } else if rule.answer_any && rule.action == Action::Permit {
            warnings.push(format!(
                "`{}`: its server answers from another port, which takes a conntrack helper, such as `modprobe nf_conntrack_tftp` and \
                 `iptables -t raw -A OUTPUT -p udp --dport 69 -j CT --helper tftp`",
                rule.id
            ));
        }
    }
    if plan.interfaces.iter().any(|interface| interface.guest) {
        warnings.push(
            "guests: what a bridge passes to a guest meets these rules only with br_netfilter \
             (net.bridge.bridge-nf-call-iptables=1 and -ip6tables=1)"
                .to_owned(),
        );
    }
    warnings
}

fn judges_outbound(plan: &Plan<'_>) -> bool {
    plan.ruleset.settings.outbound_judged || plan.rules(Direction::Outbound, Action::Deny).next().is_some()
}
