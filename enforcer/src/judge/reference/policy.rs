//! What the rules say, read one after the other.

use std::net::IpAddr;

use enforcer_common::{Direction, Mode};

use crate::policy::ruleset::{Action, Match, Rule, Ruleset};

/// What the rules say of a service and a remote address. Rules are named by their index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ruling {
    /// Permitted by this rule.
    Permit {
        /// The first that permits.
        rule: usize,
        /// The server answers from another port.
        answer_any: bool,
    },
    /// Refused by this deny rule.
    Deny {
        /// The first that denies.
        rule: usize,
        /// It is in audit by itself.
        audit: bool,
    },
    /// Rules name the service, but for other addresses.
    Peer {
        /// The first that names the service.
        rule: usize,
        /// All of them are in audit by themselves.
        audit: bool,
    },
    /// The service is for the host itself.
    Internal {
        /// The first that says so.
        rule: usize,
        /// All that say so are in audit by themselves.
        audit: bool,
    },
    /// No rule names it.
    Nothing,
}

impl Ruling {
    /// Whether it permits.
    #[must_use]
    pub const fn permits(self) -> bool {
        matches!(self, Self::Permit { .. })
    }
}

/// What a packet asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// A port of an IP protocol that has ports.
    Port {
        /// 6, 17 or 132.
        protocol: u8,
        /// Destination port of the direction.
        port: u16,
    },
    /// An IP protocol.
    Protocol(u8),
    /// An ethertype.
    Ethertype(u16),
    /// An answer to ping.
    Echo,
}

impl Asked {
    /// Whether a rule is about this.
    #[must_use]
    pub fn is_matched_by(self, rule: &Rule) -> bool {
        match (&rule.matches, self) {
            (Match::Ports { protocol, ports }, Self::Port { protocol: asked, port }) => {
                *protocol == asked && ports.iter().any(|range| range.contains(&port))
            }
            (Match::Protocol(protocol), Self::Protocol(asked)) => *protocol == asked,
            (Match::Ethertype(ethertype), Self::Ethertype(asked)) => *ethertype == asked,
            (Match::Echo, Self::Echo) => true,
            (Match::Ports { .. } | Match::Protocol(_) | Match::Ethertype(_) | Match::Echo, _) => false,
        }
    }
}

/// Whether a rule is for this remote address; frames without one are matched by rules for any.
#[must_use]
pub fn is_for(rule: &Rule, remote: Option<IpAddr>) -> bool {
    match (rule.prefixes.as_deref(), remote) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(prefixes), Some(remote)) => prefixes.iter().any(|net| net.contains(&remote)),
    }
}

/// Reads the rules: a deny that enforces beats one in audit by itself, deny beats permit, permit beats internal, and the first
/// of the deciding kind is named.
#[must_use]
pub fn ruling(ruleset: &Ruleset, direction: Direction, asked: Asked, remote: Option<IpAddr>) -> Ruling {
    let naming: Vec<(usize, &Rule)> = ruleset
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.direction == direction && asked.is_matched_by(rule))
        .collect();
    let audits = |rule: &Rule| rule.mode == Some(Mode::Audit);
    for audit in [false, true] {
        for (index, rule) in &naming {
            if rule.action == Action::Deny && audits(rule) == audit && is_for(rule, remote) {
                return Ruling::Deny { rule: *index, audit };
            }
        }
    }
    let mut permits =
        naming.iter().filter(|(_, rule)| rule.action == Action::Permit && is_for(rule, remote)).peekable();
    if let Some((first, _)) = permits.peek() {
        return Ruling::Permit { rule: *first, answer_any: permits.any(|(_, rule)| rule.answer_any) };
    }
    let refusing = || naming.iter().filter(|(_, rule)| rule.action != Action::Deny);
    let audit = refusing().all(|(_, rule)| audits(rule));
    if let Some((rule, _)) = naming.iter().find(|(_, rule)| rule.action == Action::Permit) {
        return Ruling::Peer { rule: *rule, audit };
    }
    match naming.iter().find(|(_, rule)| rule.action == Action::Internal) {
        Some((rule, _)) => Ruling::Internal { rule: *rule, audit },
        None => Ruling::Nothing,
    }
}
