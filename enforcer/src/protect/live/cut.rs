//! The cut list: live conversations that a policy would not let begin.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use enforcer_common::numbers::{DNS, NTP};
use enforcer_common::{Direction, Entry, EntryKind, Reason, ServiceIndex};

use super::Coverage;
use crate::host::snapshot::Snapshot;
use crate::host::sockets::{Socket, State, UDP};
use crate::policy::ruleset::Lookup;

/// A live conversation that would be cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// The socket.
    pub socket: Socket,
    /// Which packets of it would be dropped.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
    /// What decides: names the rule, where one does.
    pub entry: Entry,
}

impl Snapshot {
    /// Remote addresses of all live conversations.
    #[must_use]
    pub fn remotes(&self) -> BTreeSet<IpAddr> {
        self.on_the_wire().filter(|socket| socket.is_live()).map(|socket| socket.remote.ip()).collect()
    }
}

/// Conversations that would be cut. What peers opened is judged as a new inbound conversation; what this host opened goes on by
/// its flow, unless outbound is enforced and refuses it.
#[must_use]
pub fn cuts(snapshot: &Snapshot, policy: Lookup<'_>, coverage: &Coverage) -> Vec<Cut> {
    let mut found = Vec::new();
    for socket in snapshot.on_the_wire().filter(|socket| socket.is_live()) {
        let enforces = |direction| coverage.enforces_on(direction, socket.local, socket.remote);
        let cut = if snapshot.sockets.opened_here(socket) {
            if enforces(Direction::Outbound) { outbound(policy, socket) } else { None }
        } else if enforces(Direction::Inbound) {
            inbound(policy, socket.protocol, socket.local, socket.remote)
        } else {
            None
        };
        if let Some((direction, reason, entry)) = cut {
            found.push(Cut { socket: *socket, direction, reason, entry });
        }
    }
    found.sort_by_key(|cut| (cut.socket.protocol, cut.socket.local, cut.socket.remote));
    found
}

/// Why a new inbound conversation would be refused.
pub(super) fn inbound(
    policy: Lookup<'_>,
    protocol: u8,
    local: SocketAddr,
    remote: SocketAddr,
) -> Option<(Direction, Reason, Entry)> {
    let service = ServiceIndex::port(protocol, local.port())?;
    let entry = policy.entry(Direction::Inbound, service, remote.ip());
    let reason = match entry.kind() {
        EntryKind::Permit => return None,
        _ if entry.has(Entry::AUDIT) => return None,
        EntryKind::Deny => Reason::Denied,
        EntryKind::Internal => Reason::Internal,
        EntryKind::Peer => Reason::Peer,
        EntryKind::None | EntryKind::Scoped => Reason::NoRule,
    };
    Some((Direction::Inbound, reason, entry))
}

/// Why what this host sends in a conversation that it opened would be refused; mirrors `decide/outbound.rs`.
fn outbound(policy: Lookup<'_>, socket: &Socket) -> Option<(Direction, Reason, Entry)> {
    let Socket { protocol, local, remote, state, .. } = *socket;
    let entry = policy.entry(Direction::Outbound, ServiceIndex::port(protocol, remote.port())?, remote.ip());
    let answered_by_rule = state != State::Asking
        && policy.entry(Direction::Inbound, ServiceIndex::port(protocol, local.port())?, remote.ip()).kind()
            == EntryKind::Permit;
    let is_infrastructure = remote.port() == DNS || (protocol == UDP && remote.port() == NTP);
    let reason = match entry.kind() {
        EntryKind::Permit => return None,
        _ if entry.has(Entry::AUDIT) || answered_by_rule => return None,
        EntryKind::Deny => Reason::Denied,
        _ if !policy.outbound_judged || is_infrastructure => return None,
        EntryKind::None | EntryKind::Internal | EntryKind::Peer | EntryKind::Scoped => Reason::NoConnection,
    };
    Some((Direction::Outbound, reason, entry))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use enforcer_common::{Mode, SourceClass};

    use super::*;
    use crate::dataplane::Modes;
    use crate::host::sockets::{Sockets, TCP};
    use crate::policy::ruleset::Table;

    fn table(services: &[(ServiceIndex, Entry)]) -> Table {
        Table { services: services.iter().copied().collect(), matrix: Vec::new(), columns: 1 }
    }

    fn socket(local: &str, remote: &str, state: State) -> Socket {
        let [local, remote] = [local, remote].map(|text| text.parse().unwrap());
        Socket { protocol: TCP, local, remote, state, uid: 0, inode: 7, only_v6: false, opener: None }
    }

    fn snapshot() -> Snapshot {
        let listener = |port: u16| socket(&format!("0.0.0.0:{port}"), "0.0.0.0:0", State::Listening);
        let sockets = Sockets::of(vec![
            listener(22),
            listener(4444),
            listener(5001),
            socket("10.0.0.1:22", "10.0.0.9:50000", State::Open),
            socket("10.0.0.1:4444", "10.0.0.9:50001", State::Open),
            socket("10.0.0.1:5001", "10.0.0.9:50002", State::ClosedThere),
            socket("10.0.0.1:40000", "10.0.0.9:443", State::Open),
            socket("127.0.0.1:4444", "127.0.0.1:50003", State::Open),
            socket("10.0.0.1:4444", "10.0.0.9:50004", State::Closing),
        ]);
        Snapshot { sockets, ..Snapshot::default() }
    }

    fn found(modes: Modes, inbound: &[(ServiceIndex, Entry)], judged: bool) -> Vec<String> {
        let tables = [table(inbound), table(&[])];
        let prefixes: BTreeMap<_, SourceClass> = BTreeMap::new();
        let policy = Lookup { tables: &tables, prefixes: &prefixes, outbound_judged: judged };
        let cut = cuts(&snapshot(), policy, &Coverage::everywhere(modes));
        cut.iter().map(|cut| format!("{} {} {}", cut.direction.name(), cut.socket.local, cut.reason.name())).collect()
    }

    fn permit(port: u16) -> (ServiceIndex, Entry) {
        (ServiceIndex::tcp(port), Entry::new(EntryKind::Permit, 0))
    }

    #[test]
    fn what_a_peer_opened_on_a_port_without_a_rule_is_cut() {
        let internal = (ServiceIndex::tcp(5001), Entry::new(EntryKind::Internal, 1));
        assert_eq!(
            found(Modes::both(Mode::Enforce), &[permit(22), internal], false),
            ["inbound 10.0.0.1:4444 no-rule", "inbound 10.0.0.1:5001 internal"]
        );
    }

    #[test]
    fn nothing_is_cut_in_audit_or_by_a_rule_in_audit() {
        assert_eq!(found(Modes::both(Mode::Audit), &[permit(22)], true), Vec::<String>::new());
        let counted = |port| (ServiceIndex::tcp(port), Entry::new(EntryKind::Peer, 1).with(Entry::AUDIT));
        let rules = [permit(22), counted(4444), counted(5001)];
        assert_eq!(found(Modes::both(Mode::Enforce), &rules, false), Vec::<String>::new());
    }

    #[test]
    fn what_this_host_opened_is_cut_only_by_enforced_outbound_rules() {
        let modes = Modes { inbound: Mode::Audit, outbound: Mode::Enforce };
        assert_eq!(found(modes, &[], true), ["outbound 10.0.0.1:40000 no-connection"]);
        assert_eq!(found(modes, &[], false), Vec::<String>::new());
    }
}
