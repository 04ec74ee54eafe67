//! Hooks and attach modes, with their names in records and in JSON.

use serde::{Deserialize, Serialize};

/// How a direction was attached.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// The hook and the attach mode.
    pub attach_mode: AttachMode,
    /// The reason for this choice, in words; may be empty.
    pub why: String,
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// XDP: before the kernel allocates a packet buffer.
    Xdp,
    /// Traffic control, ingress or egress.
    Tc,
}

/// The attach mode of a program.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttachMode {
    /// XDP in the driver of the interface.
    Native,
    /// XDP emulated behind the driver.
    Generic,
    /// tc by a link (Linux 6.6).
    Tcx,
    /// tc by a filter on the clsact qdisc.
    Clsact,
}

impl Hook {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        }
    }
}

impl AttachMode {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// The hook of an attach mode.
pub(in crate::dataplane) const fn hook_of(mode: AttachMode) -> Hook {
    match mode {
        AttachMode::Native | AttachMode::Generic => Hook::Xdp,
        AttachMode::Tcx | AttachMode::Clsact => Hook::Tc,
    }
}

/// How a direction is attached.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct DirectionRecord {
    /// The hook.
    pub hook: Hook,
    /// The hook and the attach mode.
    pub attach_mode: AttachMode,
}
