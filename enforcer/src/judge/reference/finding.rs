//! Why a packet passes or is refused, before the mode is asked.

use super::policy::Ruling;
use enforcer_common::Reason;

/// What a packet was judged to be, before the mode has its say.
#[derive(Clone, Copy)]
pub(super) struct Finding {
    pub(super) reason: Reason,
    pub(super) rule: Option<usize>,
    pub(super) audited: bool,
}

impl From<Reason> for Finding {
    fn from(reason: Reason) -> Self {
        Self { reason, rule: None, audited: false }
    }
}

impl Finding {
    /// What a ruling means where nothing but rules permits.
    pub(super) fn of(ruling: Ruling, unlisted: Reason) -> Self {
        let (reason, rule, audited) = match ruling {
            Ruling::Permit { rule, .. } => (Reason::Rule, rule, false),
            Ruling::Deny { rule, audit } => (Reason::Denied, rule, audit),
            Ruling::Peer { rule, audit } => (Reason::Peer, rule, audit),
            Ruling::Internal { rule, audit } => (Reason::Internal, rule, audit),
            Ruling::Nothing => return unlisted.into(),
        };
        Self { reason, rule: Some(rule), audited }
    }
}
