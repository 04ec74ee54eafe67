//! The result of `apply` for each interface.

use std::path::PathBuf;

use crate::dataplane::kinds::Attached;
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::mode::resulting::Resulting;
use crate::policy::modes::Modes;

/// The result of `apply` on one interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Its name.
    pub interface: String,
    /// How inbound is attached, with the reason.
    pub inbound: Attached,
    /// How outbound is attached; `None`: it is not.
    pub outbound: Attached,
    /// The modes before; `None`: the interface was not protected.
    pub before: Option<Modes>,
    /// The active modes.
    pub modes: Modes,
    /// The reasons for the modes.
    pub resulting: Resulting,
    /// Flows made for conversations that this host had opened before; of the host, the same on every interface.
    pub seeded: usize,
    /// The armed deadline; `None`: there is none.
    pub deadline: Option<Pending>,
    /// What the kernel does by itself at that deadline.
    pub at_deadline: AtDeadline,
    /// The deadline that was armed before; `None`: there was none.
    pub lifted: Option<Pending>,
    /// The pin of the inbound program.
    pub pin: PathBuf,
    /// Problems that did not stop the apply, one sentence each.
    pub warnings: Vec<String>,
}

/// What the kernel does by itself if a change is not confirmed in time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum AtDeadline {
    /// Nothing: there is no deadline.
    #[default]
    Nothing,
    /// It judges by the policy that was confirmed last.
    Confirmed {
        /// The hash of that policy.
        policy_hash: String,
        /// The deadline, in nanoseconds of the boot clock.
        at: u64,
    },
    /// The new policy is in audit, for this reason.
    Audit(String),
}

/// Why the kernel cannot go back by itself where the new programs are not on the hooks of the old ones.
pub(in crate::dataplane) const OTHER_HOOK: &str = "the policy before is on another hook";

impl AtDeadline {
    /// Sets the deadline.
    pub(in crate::dataplane) const fn set(&mut self, deadline: u64) {
        if let Self::Confirmed { at, .. } = self {
            *at = deadline;
        }
    }
}
