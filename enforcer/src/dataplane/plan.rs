//! What to put in force, and where.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::modes::{Protects, SaidModes};
use crate::policy::ruleset::{Ruleset, Scope};
use crate::policy::source::{HookChoice, Source};

/// An interface to protect.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedInterface {
    /// Its name.
    pub name: String,
    /// Who is behind it.
    pub protects: Protects,
    /// Whose packets are judged; `None`: as the ruleset says.
    pub scope: Option<Scope>,
    /// What is said about its modes.
    pub said: Said,
}

/// What happens where a site file would end enforcement without anybody asking for that by name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ending {
    /// It ends: somebody has agreed.
    Allowed,
    /// Nothing is changed.
    #[default]
    Refused,
    /// Enforcement goes on, and the rest of the policy is applied.
    Held,
}

/// What is said about the modes of an interface that is to be protected.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Said {
    /// By name: `--mode`, or what was recorded and is restored.
    pub asked: SaidModes,
    /// By the site file.
    pub site: SaidModes,
    /// What the site file said when it was last applied, where that is restored with it.
    pub settled: Option<SaidModes>,
}

/// What to put in force, and where.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The ruleset.
    pub ruleset: &'a Ruleset,
    /// Where it came from, for `status`.
    pub origin: String,
    /// The interfaces.
    pub interfaces: Vec<PlannedInterface>,
    /// The hook.
    pub hook: HookChoice,
    /// What happens where the site file would end enforcement.
    pub ending: Ending,
    /// How long the operator has to confirm it; `None`: it is for good.
    pub confirm_within: Option<Duration>,
    /// What the policy was compiled from, to be kept for the next boot.
    pub source: Source,
    /// What the programs write lines about. Not kept: at the next boot it is nothing.
    pub bpf_log: BpfLog,
    /// Who wants it.
    pub caller: Caller,
}

/// Who wants a plan in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// An operator, who can choose something else.
    Operator,
    /// Boot or the agent. They put in force what was in force: to refuse that would leave the host open.
    Keeper,
}

/// What the programs write lines about.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BpfLog {
    /// No log; the verifier removes the code.
    #[default]
    Off,
    /// Each refused packet.
    Debug,
    /// Every packet.
    Trace,
}

impl BpfLog {
    /// The word used on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// `AYA_LOG_LEVEL`: the highest number of a [`log::Level`] that is written.
    pub(in crate::dataplane) const fn level(self) -> &'static u8 {
        match self {
            Self::Off => &0,
            Self::Debug => &4,
            Self::Trace => &5,
        }
    }
}
