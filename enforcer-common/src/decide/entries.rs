//! From entries of the tables to outcomes, in either direction.

use core::hint::cold_path;

use crate::frame::Frame;
use crate::layout::Config;
use crate::outcome::Outcome;
use crate::packet::{self, Address, Link};
use crate::tables::Tables;
use crate::{Direction, Entry, EntryKind, Reason, ServiceIndex};

/// What the policy says of a service and a remote address.
#[inline(always)]
pub(super) fn look_up<A: Address, T: Tables>(
    tables: &T,
    direction: Direction,
    index: ServiceIndex,
    remote: A,
) -> Entry {
    let entry = tables.service(direction, index);
    if entry.kind() as u8 == EntryKind::Permit as u8 {
        // Asked first: most packets are.
        return entry;
    }
    let scoped = match direction {
        Direction::Inbound => Config::SCOPED_IN,
        Direction::Outbound => Config::SCOPED_OUT,
    };
    if entry.kind() as u8 == EntryKind::Scoped as u8 && tables.has(scoped) {
        cold_path();
        return tables.scoped(direction, entry.number(), remote.column(tables, direction));
    }
    entry
}

/// The outcome of an entry, where nothing but a rule permits.
#[inline(always)]
pub(super) fn permit_or_refuse(entry: Entry, unlisted: Reason) -> Outcome {
    if entry.kind() as u8 == EntryKind::Permit as u8 {
        return Outcome::by_rule(Reason::Rule, entry.number(), false);
    }
    refuse(entry, unlisted)
}

/// The outcome of an entry that does not permit.
#[inline(always)]
pub(super) fn refuse(entry: Entry, unlisted: Reason) -> Outcome {
    let audit = entry.has(Entry::AUDIT);
    match entry.kind() {
        EntryKind::Deny => Outcome::by_rule(Reason::Denied, entry.number(), audit),
        EntryKind::Internal => Outcome::by_rule(Reason::Internal, entry.number(), audit),
        EntryKind::Peer => Outcome::by_rule(Reason::Peer, entry.number(), audit),
        // A row of the matrix is never a row again, and what permits is not refused. Both fail closed.
        EntryKind::None | EntryKind::Permit | EntryKind::Scoped => Outcome::new(unlisted),
    }
}

/// Judges a frame that is neither IPv4 nor IPv6, in either direction.
#[inline(always)]
pub(super) fn judge_link<F: Frame, T: Tables>(frame: &F, tables: &T, direction: Direction, link: &Link) -> Outcome {
    if let Some(outcome) = packet::link_control(frame, link) {
        return outcome;
    }
    let entry = tables.service(direction, ServiceIndex::ethertype(link.ethertype));
    permit_or_refuse(entry, Reason::Ethertype)
}
