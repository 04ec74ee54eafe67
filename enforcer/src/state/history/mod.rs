//! What was in force when: one line of JSON for each change of policy or mode, and totals now and then.
//!
//! The kernel knows what is in force now and nothing of before. This file answers how long audit ran, and on which days; a verdict
//! about packets never depends on it. It is bounded, its lines are written whole, and one that cannot be read is passed over.

mod file;
mod spans;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dataplane::VerdictCounts;
use crate::policy::modes::Modes;

pub use file::{History, HistoryError, Log};
pub use spans::{AuditTime, Span, audit_time, spans};

/// A line of the history.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// The name of the interface's pins.
    pub interface: String,
    /// The boot in which it happened: a program does not outlive its kernel.
    pub boot: String,
    /// The modes from then on.
    #[serde(default)]
    pub modes: Option<Modes>,
    /// When they end by themselves.
    #[serde(default)]
    pub until: Option<Until>,
    /// Hash of the policy in force.
    #[serde(default)]
    pub policy_hash: Option<String>,
    /// What was counted so far.
    #[serde(default)]
    pub totals: Option<Totals>,
}

/// What happened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A policy was put in force.
    Applied,
    /// The modes were set.
    Mode,
    /// What waited to be confirmed was.
    Confirmed,
    /// It was not, and what was in force before came back.
    Restored,
    /// The interface is no longer protected.
    Detached,
    /// The site file says audit, and enforcement goes on.
    Held,
    /// Inbound is judged at tc from here on: the driver did not run the program of native XDP.
    Hook,
    /// Nothing; totals alone.
    Sample,
}

impl Event {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Mode => "mode",
            Self::Confirmed => "confirmed",
            Self::Restored => "restored",
            Self::Detached => "detached",
            Self::Held => "held",
            Self::Hook => "hook",
            Self::Sample => "sample",
        }
    }
}

/// A deadline.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Until {
    /// When.
    pub at: Timestamp,
    /// A change window, after which both directions enforce again; else both are in audit unless it is confirmed.
    pub window: bool,
}

/// Totals of both directions.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// Towards the host.
    pub inbound: DirectionTotals,
    /// From the host.
    pub outbound: DirectionTotals,
}

/// Packets of a direction.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DirectionTotals {
    /// Permitted.
    pub pass: u64,
    /// Dropped.
    pub drop: u64,
    /// Refused, but let through in audit.
    pub would_drop: u64,
}

impl From<VerdictCounts> for DirectionTotals {
    fn from(counts: VerdictCounts) -> Self {
        Self { pass: counts.pass.packets, drop: counts.drop.packets, would_drop: counts.would_drop.packets }
    }
}

impl DirectionTotals {
    /// What came since an earlier count; all of it where the counters began anew.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        if self.pass < before.pass || self.drop < before.drop || self.would_drop < before.would_drop {
            return self;
        }
        Self {
            pass: self.pass - before.pass,
            drop: self.drop - before.drop,
            would_drop: self.would_drop - before.would_drop,
        }
    }
}

/// The boot that is going on.
#[must_use]
pub fn this_boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}
