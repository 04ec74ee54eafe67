//! How the agent is to work.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::dataplane::BpfLog;
use crate::policy::source::{HookChoice, Named};

/// How the agent is to work.
#[derive(Clone, Debug)]
pub struct Options {
    /// The policy.
    pub policy: Named,
    /// The hook.
    pub hook: HookChoice,
    /// Changes of the site file have to be confirmed within this time.
    pub confirm_within: Option<Duration>,
    /// What the programs write lines about.
    pub bpf_log: BpfLog,
    /// Where refused packets are written, as JSON lines.
    pub events: Option<PathBuf>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// How often everything in force is compared with what should be.
    pub check: Duration,
    /// Take protection away at the end.
    pub detach_on_exit: bool,
    /// Go on even if that cuts the SSH session that the agent was started from.
    pub force: bool,
}
