//! A plan: the policy to apply, and the interfaces.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::claims::Claims;
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
    /// Whether packets for other hosts are judged; `None`: as the ruleset says.
    pub scope: Option<Scope>,
    /// What a guest behind it may claim to be.
    pub claims: Claims,
    /// The modes that the operator and the site file name for it.
    pub said: Said,
}

/// What `apply` does if the site file would end enforcement and no option names the mode.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ending {
    /// Enforcement ends, because the operator has agreed.
    Allowed,
    /// `apply` fails and changes nothing.
    #[default]
    Refused,
    /// Enforcement continues; the rest of the policy is applied.
    Held,
}

/// The modes that are named for an interface, by their origin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Said {
    /// By `--mode`, or by the record that is restored.
    pub asked: SaidModes,
    /// By the site file.
    pub site: SaidModes,
    /// The modes of the site file when it was last applied, if a record is restored.
    pub settled: Option<SaidModes>,
}

/// The policy to apply, the interfaces, and the options of `apply`.
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
    /// Time for the operator to confirm; `None`: the change is permanent at once.
    pub confirm_within: Option<Duration>,
    /// The source of the policy, to be saved for the next boot.
    pub source: Source,
    /// Which packets the programs log. Not saved: after the next boot nothing is logged.
    pub bpf_log: BpfLog,
    /// Who applies the plan.
    pub caller: Caller,
}

/// Who applies a plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// An operator, who can choose other options if the plan is refused.
    Operator,
    /// Boot or the agent. They apply a policy that was active before; a refusal would leave the host open.
    Keeper,
}

/// Which packets the programs log.
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
