//! The same policy for another firewall: nftables, iptables, Windows Firewall, an access list of a router. Pure text.
//!
//! Each target says in its header what it does otherwise and what it cannot express; [`Export::warnings`] has the same
//! sentences. Nothing is left out in silence.

mod ios;
mod iptables;
mod nft;
pub(in crate::policy::export) mod ordered;
mod windows;

use enforcer_common::Mode;

use crate::policy::compile::Compiled;
use crate::policy::site::Site;

/// What a policy can be written for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Target {
    /// nftables: a file for `nft -f`.
    Nft,
    /// iptables: a script around `iptables-restore` and `ip6tables-restore`.
    Iptables,
    /// Windows Firewall: PowerShell.
    Windows,
    /// Cisco IOS: extended access lists for the router in front of the host.
    IosAcl,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 4] = [Self::Nft, Self::Iptables, Self::Windows, Self::IosAcl];
}

/// A policy in the words of another firewall.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Export {
    /// What is loaded there; begins with comments that repeat the warnings.
    pub text: String,
    /// What this target does otherwise, or cannot express of this policy.
    pub warnings: Vec<String>,
}

/// Why a policy cannot be written for a target.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would need quoting, which not every target has.
    #[error(
        "the interface `{0}` cannot be named in an export; letters, digits, `.`, `-`, `_` and `@` can, and a `*` at the end"
    )]
    Interface(String),
}

/// Writes a policy for a target. `mode` is that of every interface; without it the site's, else `audit`.
///
/// # Errors
/// An interface has a name that the targets cannot write.
pub fn export(target: Target, site: &Site, compiled: &Compiled, mode: Option<Mode>) -> Result<Export, Error> {
    let plan = ordered::Plan::new(site, &compiled.ruleset, mode)?;
    Ok(match target {
        Target::Nft => nft::write(&plan),
        Target::Iptables => iptables::write(&plan),
        Target::Windows => windows::write(&plan),
        Target::IosAcl => ios::write(&plan),
    })
}
