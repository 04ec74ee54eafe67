//! Servers of this host that nobody would reach.

use std::collections::BTreeSet;

use enforcer_common::{Direction, Entry, EntryKind, Reason, ServiceIndex};
use serde::Serialize;

use crate::host::sockets::{Owners, Sockets, TCP};
use crate::policy::ruleset::Ruleset;

/// Something that listens on a port that no rule permits to anybody.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Where it listens.
    pub local: String,
    /// Whose it is, where that is known.
    pub process: Option<String>,
    /// Why nobody would reach it: `no-rule`, `internal`, `denied`, or `peer` where a rule has no addresses.
    pub reason: Reason,
    /// The rule that says so, where there is one.
    pub rule: Option<String>,
}

/// Listeners that a policy permits to nobody; those on loopback addresses are no business of the wire.
#[must_use]
pub fn unpermitted(ruleset: &Ruleset, sockets: &Sockets, owners: &Owners) -> Vec<Listener> {
    let table = ruleset.table(Direction::Inbound);
    let of_wire = sockets.listeners().filter(|socket| !socket.local.ip().is_loopback() && socket.local.port() != 0);
    let found: BTreeSet<Listener> = of_wire
        .filter_map(|socket| {
            let service = ServiceIndex::port(socket.protocol, socket.local.port())?;
            let entry = table.services.get(&service).copied().unwrap_or(Entry::NONE);
            let reason = match entry.kind() {
                // It depends on the source: somebody is let in.
                EntryKind::Permit | EntryKind::Scoped => return None,
                EntryKind::None => Reason::NoRule,
                EntryKind::Internal => Reason::Internal,
                EntryKind::Deny => Reason::Denied,
                EntryKind::Peer => Reason::Peer,
            };
            let rule = ruleset.rules.get(usize::from(entry.number())).filter(|_| entry.kind() != EntryKind::None);
            Some(Listener {
                protocol: if socket.protocol == TCP { "tcp" } else { "udp" },
                local: socket.local.to_string(),
                process: owners.of(socket.inode).map(ToString::to_string),
                reason,
                rule: rule.map(|rule| rule.id.clone()),
            })
        })
        .collect();
    found.into_iter().collect()
}
