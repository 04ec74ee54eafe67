//! Lines of a file for `nft`, and the words in them.

use std::fmt::Write;
use std::ops::RangeInclusive;

use enforcer_common::Direction;

use crate::policy::export::ordered::{Family, List, Plan, Remote, range, shortened as shortened_to};
use crate::policy::ruleset::Rule;

/// Bytes of the longest comment of a rule (`NFTNL_UDATA_COMMENT_MAXLEN`, with the final zero).
const COMMENT: usize = 127;

/// Lines, indented by the blocks they are in.
#[derive(Default)]
pub(super) struct Text {
    pub(super) written: String,
    depth: usize,
}

impl Text {
    pub(super) fn line(&mut self, line: &str) {
        let indented = if line.is_empty() { 0 } else { self.depth };
        // Writing to a string cannot fail.
        let _ = writeln!(self.written, "{}{line}", "\t".repeat(indented));
    }

    pub(super) fn block(&mut self, head: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line("}");
    }

    pub(super) fn ports(&mut self, field: &str, ports: &[RangeInclusive<u16>], then: &str) {
        match ports {
            [] => {}
            [all] if *all == (0..=u16::MAX) => self.line(then),
            ports => self.line(&format!("{field} {} {then}", braced(ports))),
        }
    }

    /// A rule, for the families in which its peers have addresses.
    pub(super) fn rule(&mut self, plan: &Plan<'_>, rule: &Rule, matches: &str, families: &[Family], then: &str) {
        if let Some(reason) = plan.reason(rule) {
            self.line(&format!("# {reason}"));
        }
        let space = if matches.is_empty() { "" } else { " " };
        match plan.remote(rule) {
            Remote::Any => self.line(&format!("{matches}{space}{then}")),
            Remote::Nobody => self.line(&format!("# `{}` is for a peer without addresses", rule.id)),
            Remote::List(list) => {
                for family in families.iter().filter(|family| list.prefixes.iter().any(|net| family.has(net))) {
                    let remote = format!("{} @{}", family.remote(rule.direction), family.set(list));
                    self.line(&format!("{matches}{space}{remote} {then}"));
                }
            }
        }
    }
}

/// Text as the comment of a rule.
pub(super) fn shortened(text: &str) -> &str {
    shortened_to(text, COMMENT)
}

pub(super) fn braced(ports: &[RangeInclusive<u16>]) -> String {
    let ranges: Vec<String> = ports.iter().map(|ports| range(ports, "-")).collect();
    format!("{{ {} }}", ranges.join(", "))
}

impl Family {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }

    pub(super) fn any_port(self) -> &'static str {
        match self {
            Self::V4 => "any_port_v4",
            Self::V6 => "any_port_v6",
        }
    }

    pub(super) fn set(self, list: &List) -> String {
        format!("{}_{}", list.name, if self == Self::V4 { "v4" } else { "v6" })
    }

    pub(super) fn remote(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Self::V4, Direction::Inbound) => "ip saddr",
            (Self::V4, Direction::Outbound) => "ip daddr",
            (Self::V6, Direction::Inbound) => "ip6 saddr",
            (Self::V6, Direction::Outbound) => "ip6 daddr",
        }
    }
}
