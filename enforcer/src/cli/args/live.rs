//! What `apply` and `mode enforce` do about the connections of this moment: say which would be cut, ask, and protect the
//! operator's own.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, IsTerminal as _};
use std::net::IpAddr;

use enforcer_common::{Direction, Entry, EntryKind};
use serde::Serialize;

use crate::cli::print::table::{print, table};
use crate::cli::{Failure, Output, Terminal};
use crate::dataplane::{Loaded, Outlook, cut_already};
use crate::host::links::{Link, LinksError, links, outgoing_interfaces};
use crate::host::sockets::{Owners, Socket, TCP};
use crate::policy::ruleset::{Lookup, Ruleset};
use crate::protect::live::{Coverage, Cut, LiveError, Session, Snapshot, cuts, own_sessions, refusal};

/// What may happen to live connections.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Live connections")]
pub struct LiveArgs {
    /// Go on without asking when live connections would be cut.
    #[arg(long)]
    pub yes: bool,
    /// Stop, with exit code 4, when a live connection would be cut.
    #[arg(long, conflicts_with = "yes")]
    pub abort_if_cut: bool,
    /// Go on even if that cuts your own SSH session.
    #[arg(long)]
    pub force: bool,
}

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

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<LinksError> for Failure {
    fn from(error: LinksError) -> Self {
        Self::Failed(error.into())
    }
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
    pub direction: &'static str,
    /// Why.
    pub reason: &'static str,
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

fn names_rule(entry: Entry) -> bool {
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

impl LiveArgs {
    /// Says which connections would be cut, and asks where somebody can answer.
    ///
    /// # Errors
    /// [`Failure::Refused`] when they must not be cut.
    pub fn settle(self, cut: &[CutConnection], may_ask: bool, output: &mut Output<'_>) -> Result<(), Failure> {
        if cut.is_empty() {
            return Ok(());
        }
        let connections = if cut.len() == 1 { "1 live connection" } else { &format!("{} live connections", cut.len()) };
        writeln!(output.errors, "{connections} would be cut:\n{}", cut_table(cut, output.terminal))?;
        let refused =
            |why: &str| Failure::Refused(anyhow::anyhow!("{connections} would be cut, and {why}; nothing was changed"));
        if self.abort_if_cut {
            return Err(refused("--abort-if-cut was given"));
        }
        if self.yes || !may_ask || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(());
        }
        write!(output.errors, "Go on? [y/N] ")?;
        output.errors.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(refused("you did not say yes")),
        }
    }
}

fn describe(cut: &Cut, rules: &impl Rules, owners: &Owners) -> CutConnection {
    let Cut { socket, direction, reason, entry } = cut;
    CutConnection {
        protocol: protocol_name(socket.protocol),
        local: socket.local.to_string(),
        remote: socket.remote.to_string(),
        process: owners.of(socket.inode).map(ToString::to_string),
        direction: direction.name(),
        reason: reason.name(),
        rule: rules.id(*direction, *entry),
    }
}

/// `tcp` or `udp`.
pub(in crate::cli) const fn protocol_name(protocol: u8) -> &'static str {
    if protocol == TCP { "tcp" } else { "udp" }
}

/// The list, for a person. Messages go to standard error, whose width nobody knows when results go elsewhere.
pub(in crate::cli) fn cut_table(cut: &[CutConnection], terminal: Terminal) -> String {
    let terminal = Terminal { color_out: terminal.color_err, ..terminal };
    let mut rows = table(terminal, &["PROTOCOL", "LOCAL", "REMOTE", "PROCESS", "WHY"]);
    for one in cut {
        let why = match &one.rule {
            Some(rule) => format!("{} ({rule})", one.reason),
            None => one.reason.to_owned(),
        };
        let process = one.process.clone().unwrap_or_else(|| "?".to_owned());
        rows.add_row([one.protocol.to_owned(), one.local.clone(), one.remote.clone(), process, why]);
    }
    print(&rows)
}
