//! The options of the agent.

use std::net::SocketAddr;
use std::time::Duration;

use crate::dataplane::BpfLog;
use crate::observe::syslog::Destination;
use crate::policy::source::{HookChoice, Named};

/// The options of the agent.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the policy is read from.
    pub policy: Named,
    /// The hook that the operator chose.
    pub hook: HookChoice,
    /// Time within which a change of the site file must be confirmed; `None`: no confirmation is needed.
    pub confirm_within: Option<Duration>,
    /// Which packets the programs log.
    pub bpf_log: BpfLog,
    /// Where refused packets are told.
    pub events: Option<Destination>,
    /// Address at which metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Interval at which programs and tables in the kernel are compared with the policy.
    pub check: Duration,
    /// Detach all interfaces when the agent stops.
    pub detach_on_exit: bool,
    /// Replace the policy of another host of an estate.
    pub replace: bool,
    /// Apply even if this cuts the SSH session from which the agent was started.
    pub force: bool,
}
