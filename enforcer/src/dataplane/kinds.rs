//! Hooks and ways of attaching, as words of the record and of JSON.

use serde::{Deserialize, Serialize};

/// How a direction was attached.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// How.
    pub attach_mode: AttachMode,
    /// Why so; empty where nothing needs to be said.
    pub why: String,
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Before the kernel makes a packet of it.
    Xdp,
    /// Traffic control, ingress or egress.
    Tc,
}

/// How it is attached.
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

/// Where a mode attaches.
pub(in crate::dataplane) const fn hook_of(mode: AttachMode) -> Hook {
    match mode {
        AttachMode::Native | AttachMode::Generic => Hook::Xdp,
        AttachMode::Tcx | AttachMode::Clsact => Hook::Tc,
    }
}

/// How a direction is attached.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct DirectionRecord {
    /// Where.
    pub hook: Hook,
    /// How.
    pub attach_mode: AttachMode,
}
