//! Conversations that the policies in force cut already.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use crate::dataplane::{policies_after_change, protected};
use crate::host::links::Link;
use crate::host::snapshot::Snapshot;
use crate::host::sockets::Socket;
use crate::protect::live::{Coverage, Cut, cuts};

/// Conversations that the policies in force cut already: they are still there, because nobody has told their ends. Policies that
/// cannot be read back cut nothing.
#[must_use]
pub fn cut_already(snapshot: &Snapshot, links: &[Link], routes: &BTreeMap<IpAddr, u32>) -> HashSet<Socket> {
    let in_force = protected(&[]).and_then(|all| policies_after_change(&all, None)).unwrap_or_default();
    let mut found = HashSet::new();
    for (loaded, outlook) in in_force {
        let coverage = Coverage::new(&outlook, links, &snapshot.addresses, routes);
        found.extend(cuts(snapshot, loaded.lookup(), &coverage).into_iter().map(|Cut { socket, .. }| socket));
    }
    found
}
