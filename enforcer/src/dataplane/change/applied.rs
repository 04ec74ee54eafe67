//! What an `apply` did, an interface at a time.

use std::path::PathBuf;

use crate::dataplane::kinds::Attached;
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::mode::resulting::Resulting;
use crate::policy::modes::Modes;

/// What was done on one interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Its name.
    pub interface: String,
    /// Inbound, with why this hook.
    pub inbound: Attached,
    /// Outbound.
    pub outbound: Attached,
    /// Modes that were in force before; `None`: it was not protected.
    pub before: Option<Modes>,
    /// Modes in force now.
    pub modes: Modes,
    /// Why they are so.
    pub resulting: Resulting,
    /// Flows made for conversations that this host had opened before; of the host, the same on every interface.
    pub seeded: usize,
    /// The deadline that is armed now.
    pub deadline: Option<Pending>,
    /// The deadline that was armed before.
    pub lifted: Option<Pending>,
    /// The pin of the inbound program.
    pub pin: PathBuf,
    /// What went wrong beside, in sentences.
    pub warnings: Vec<String>,
}
