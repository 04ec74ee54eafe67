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
    /// The deadline that was armed before; `None`: there was none.
    pub lifted: Option<Pending>,
    /// The pin of the inbound program.
    pub pin: PathBuf,
    /// Problems that did not stop the apply, one sentence each.
    pub warnings: Vec<String>,
}
