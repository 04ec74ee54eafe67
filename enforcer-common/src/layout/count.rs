//! What is counted: packets by rule and by reason, and numbers about the tables themselves.

use crate::verdict::{Direction, Reason};

/// Rules that can be counted for one interface: the 10,000 of a site's own, and those of its roles.
pub const RULE_SLOTS: u32 = 12_288;

/// Outcomes that are counted apart, for each direction and reason.
pub const OUTCOMES: u32 = 2;

/// Entries of the reason counters: a power of two, to which a mask bounds an index.
pub const REASON_SLOTS: u32 = 2 * OUTCOMES * 32;

/// Where the counter of a reason stands: `would_drop` apart from what really passed or was dropped.
#[must_use]
#[inline(always)]
pub const fn reason_index(direction: Direction, would_drop: bool, reason: Reason) -> u32 {
    ((direction as u32) * OUTCOMES + would_drop as u32) * 32 + reason as u32
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Counter {
    /// Packets; at tc a super-packet counts as its segments.
    pub packets: u64,
    /// Bytes as the hook saw them, link header included.
    pub bytes: u64,
}

/// Packets and bytes of a rule, and when it last matched.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct RuleCounter {
    /// Packets and bytes.
    pub counter: Counter,
    /// Jiffies of the last match; 0: never.
    pub last: u64,
}

/// Numbers about the tables themselves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Statistic {
    /// Flows made by an outbound packet.
    FlowsMade = 0,
    /// Flows made anew by an outbound packet in mid-conversation: evicted, or older than the programs.
    FlowsRevived = 1,
    /// Refused conversations remembered.
    DenialsRemembered = 2,
}

/// Entries of the statistics map.
pub const STATISTICS: u32 = 8;
