//! The policy that refuses the flows, and the same with a change.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::Direction;
use enforcer_common::frame::Bytes;
use jiff::civil::Date;

use super::additions::Additions;
use super::kinds::{Denied, Tried};
use crate::judge::explain::Found;
use crate::judge::host::Host;
use crate::judge::tables::HostTables;
use crate::judge::tuple::Tuple;
use crate::policy::catalogue::Catalogue;
use crate::policy::compile::compile;
use crate::policy::ruleset::Ruleset;
use crate::policy::site::{Site, from_tree};
use crate::text::diagnostic::Text;
use crate::text::yaml::{Limits, Node, parse, write};

/// A client's port, where none is known.
const CLIENT_PORT: u16 = 50_000;

/// The policy that refuses the flows.
#[derive(Debug)]
pub struct Base<'a> {
    /// The site.
    pub site: &'a Site,
    /// The tree that it was read from.
    pub tree: &'a Node,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// What they compile to.
    pub ruleset: &'a Ruleset,
    /// Decides which entries have expired.
    pub today: Date,
    host: Host,
}

impl<'a> Base<'a> {
    /// A policy and the tree of its site.
    #[must_use]
    pub fn new(site: &'a Site, tree: &'a Node, catalogue: &'a Catalogue, ruleset: &'a Ruleset, today: Date) -> Self {
        Self { site, tree, catalogue, ruleset, today, host: Host::default() }
    }

    /// The same policy with a change.
    pub(super) fn with(&self, additions: &Additions) -> Result<Changed, String> {
        let tree = additions.add_to(self.tree);
        // Read from its text, as an operator's `enforcer check` would.
        let text = Text::new("suggestion", write(&tree));
        let first = |findings: &[crate::text::diagnostic::Diagnostic]| {
            let message = findings.first().map(ToString::to_string).unwrap_or_default();
            format!("the site with the suggestion is not accepted: {message}")
        };
        let tree = parse(&text, Limits::SITE).map_err(|findings| first(&findings))?;
        let site = from_tree(text, &tree, self.catalogue, Vec::new(), false).map_err(|findings| first(&findings.0))?;
        let compiled = compile(&site, self.catalogue, self.today).map_err(|error| error.to_string())?;
        Ok(Changed { ruleset: compiled.ruleset, host: Host::default() })
    }

    /// Its decisions.
    pub(super) fn tables(&self) -> Judge<'_> {
        Judge::new(self.ruleset, &self.host)
    }
}

/// A policy with a change.
#[derive(Debug)]
pub(super) struct Changed {
    pub ruleset: Ruleset,
    host: Host,
}

impl Changed {
    pub(super) fn tables(&self) -> Judge<'_> {
        Judge::new(&self.ruleset, &self.host)
    }
}

/// Decisions about new conversations: what is remembered of one direction must not answer for the other.
pub(super) struct Judge<'a> {
    tables: [HostTables<'a>; 2],
}

impl<'a> Judge<'a> {
    fn new(ruleset: &'a Ruleset, host: &'a Host) -> Self {
        Self { tables: [HostTables::new(ruleset, host), HostTables::new(ruleset, host)] }
    }

    /// What is decided about a packet that starts such a flow; `None` where it cannot be made up from what is known of it.
    pub(super) fn judge(&self, flow: &Denied) -> Option<Found> {
        let tuple = tuple(flow)?;
        let frame = tuple.frame();
        let outcome = self.tables[flow.direction as usize].judge(flow.direction, &Bytes::new(&frame)).outcome;
        Some(Found { reason: outcome.reason(), rule: outcome.rule().map(usize::from), audited: outcome.is_audited() })
    }
}

fn tuple(flow: &Denied) -> Option<Tuple> {
    let remote = flow.remote?;
    let fitting: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let local = flow.local.filter(|local| local.is_ipv4() == remote.is_ipv4()).unwrap_or(fitting);
    let (source, destination) = match flow.direction {
        Direction::Inbound => (remote, local),
        Direction::Outbound => (local, remote),
    };
    let (protocol, ports) = match flow.tried {
        Tried::Port { protocol, port } => (protocol, Some((CLIENT_PORT, port))),
        Tried::Protocol(protocol) => (protocol, None),
        Tried::Icmp { .. } | Tried::Ethertype(_) => return None,
    };
    Some(Tuple { direction: flow.direction, protocol, source, destination, ports })
}
