//! Live connections of this moment, and which of them a change would cut.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use enforcer_common::{Direction, Entry, EntryKind, Reason};
use serde::Serialize;

use super::already::cut_already;
use crate::dataplane::{Loaded, Outlook};
use crate::failure::Failure;
use crate::host::links::{Link, links, outgoing_interfaces};
use crate::host::snapshot::Snapshot;
use crate::host::sockets::{Owners, Socket, TCP};
use crate::policy::ruleset::{Lookup, Ruleset};
use crate::protect::live::{Coverage, Cut, Session, cuts, own_sessions, refusal};

/// Connections and interfaces at the moment of a command.
pub struct Moment {
    /// Sockets and addresses.
    pub snapshot: Snapshot,
    /// Interfaces.
    pub links: Vec<Link>,
    /// By which interfaces remote addresses are reached.
    routes: BTreeMap<IpAddr, u32>,
    sessions: Vec<Session>,
    already: HashSet<Socket>,
}

/// A connection that would be cut, with what a person wants to know of it.
#[derive(Clone, Debug, Serialize)]
pub struct CutConnection {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// This host's end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// Whose it is, where that is known.
    pub process: Option<String>,
    /// The packets of this direction would be dropped.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
    /// The rule that decides, where one does.
    pub rule: Option<String>,
}

/// Names the rule behind an entry.
pub trait Rules {
    /// The id of the rule, where the entry names one.
    fn id(&self, direction: Direction, entry: Entry) -> Option<String>;
}

impl Rules for Ruleset {
    fn id(&self, _: Direction, entry: Entry) -> Option<String> {
        names_rule(entry).then(|| self.rules.get(usize::from(entry.number())).map(|rule| rule.id.clone()))?
    }
}

impl Rules for Loaded {
    fn id(&self, direction: Direction, entry: Entry) -> Option<String> {
        names_rule(entry).then(|| self.rule(direction, entry.number()).map(|rule| rule.id.clone()))?
    }
}

pub(crate) fn names_rule(entry: Entry) -> bool {
    !matches!(entry.kind(), EntryKind::None | EntryKind::Scoped)
}

impl Moment {
    /// Looks.
    ///
    /// # Errors
    /// When the kernel does not tell its sockets, addresses, interfaces or routes.
    pub fn now() -> Result<Self, Failure> {
        let (snapshot, links) = (Snapshot::read()?, links()?);
        let sessions = own_sessions(&snapshot);
        let mut remotes = snapshot.remotes();
        remotes.extend(sessions.iter().map(|session| session.remote.ip()));
        let routes = outgoing_interfaces(&remotes)?;
        let already = cut_already(&snapshot, &links, &routes);
        Ok(Self { snapshot, links, routes, sessions, already })
    }

    /// Connections that a policy would cut and that nothing cuts now.
    ///
    /// # Errors
    /// When the kernel does not tell its routes.
    pub fn cuts(
        &self,
        policy: Lookup<'_>,
        rules: &impl Rules,
        outlook: &[Outlook],
    ) -> Result<Vec<CutConnection>, Failure> {
        let mut found = cuts(&self.snapshot, policy, &self.coverage(outlook));
        found.retain(|cut| !self.already.contains(&cut.socket));
        let owners = if found.is_empty() { Owners::default() } else { Owners::read() };
        Ok(found.into_iter().map(|cut| describe(&cut, rules, &owners)).collect())
    }

    /// Why a policy is refused: it would cut the session in which this command runs.
    ///
    /// # Errors
    /// When the kernel does not tell its routes; [`Failure::Refused`] with the rule that is needed.
    pub fn guard_ssh(&self, policy: Lookup<'_>, outlook: &[Outlook]) -> Result<(), Failure> {
        match refusal(&self.sessions, policy, &self.coverage(outlook)) {
            Some(text) => Err(Failure::Refused(anyhow::Error::msg(text))),
            None => Ok(()),
        }
    }

    fn coverage(&self, outlook: &[Outlook]) -> Coverage {
        Coverage::new(outlook, &self.links, &self.snapshot.addresses, &self.routes)
    }
}

pub(crate) fn describe(cut: &Cut, rules: &impl Rules, owners: &Owners) -> CutConnection {
    let Cut { socket, direction, reason, entry } = cut;
    CutConnection {
        protocol: protocol_name(socket.protocol),
        local: socket.local.to_string(),
        remote: socket.remote.to_string(),
        process: owners.of(socket.inode).map(ToString::to_string),
        direction: *direction,
        reason: *reason,
        rule: rules.id(*direction, *entry),
    }
}

/// `tcp` or `udp`.
pub const fn protocol_name(protocol: u8) -> &'static str {
    if protocol == TCP { "tcp" } else { "udp" }
}
