//! Which mode `apply` would leave on each interface, and why: for `check`, `preflight` and `apply --dry-run`.

use enforcer_common::Mode;
use serde::Serialize;

use crate::cli::args::interfaces::require_root;
use crate::dataplane::{Ending, Resulting, resulting_modes};
use crate::failure::Failure;
use crate::host::links::links;
use crate::policy::modes::SaidModes;
use crate::policy::site::{self, Site};
use crate::protect::interfaces::planned;

/// The mode that an interface would get.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ModeOutlook {
    /// The interface, or a pattern.
    pub interface: String,
    /// `None`: that depends on what is in force where the policy is applied.
    #[serde(flatten)]
    pub modes: SaidModes,
    /// Why, in a sentence.
    pub why: String,
}

/// The modes that `apply` would leave: on the interfaces that are here, and in words for the others.
///
/// # Errors
/// When the interfaces or the pins cannot be read.
pub fn of_site(site: &Site) -> Result<Vec<ModeOutlook>, Failure> {
    let mut found = Vec::new();
    // Without privileges nobody can tell what is in force.
    let links = if require_root().is_ok() { links()? } else { Vec::new() };
    let here = planned(site, None, &links).interfaces;
    let resulting = resulting_modes(&here, Ending::Allowed, &links)?;
    for (planned, resulting) in here.iter().zip(resulting) {
        found.push(match resulting {
            Some((_, resulting)) => of_resulting(&planned.name, &resulting),
            None => elsewhere(&planned.name, planned.said.site),
        });
    }
    let is_missing = |one: &&site::Interface| one.is_pattern() && !here.iter().any(|planned| one.covers(&planned.name));
    found.extend(site.interfaces.iter().filter(is_missing).map(|one| elsewhere(&one.name, site.modes_of(one))));
    Ok(found)
}

fn of_resulting(interface: &str, resulting: &Resulting) -> ModeOutlook {
    let mut why = resulting.reasons();
    if resulting.ended_by_site().next().is_some() {
        why += "; this ends enforcement, so `apply` off a terminal needs `--mode audit` or `--yes`";
    }
    ModeOutlook {
        interface: interface.to_owned(),
        modes: SaidModes { inbound: Some(resulting.modes.inbound), outbound: Some(resulting.modes.outbound) },
        why,
    }
}

/// What can be said without knowing what is in force.
fn elsewhere(interface: &str, said: SaidModes) -> ModeOutlook {
    let word = |mode: Option<Mode>| mode.unwrap_or(Mode::Audit).name();
    let (inbound, outbound) = (word(said.inbound), word(said.outbound));
    let modes =
        if inbound == outbound { inbound.to_owned() } else { format!("inbound {inbound}, outbound {outbound}") };
    let why = format!(
        "{modes} where it is new; where it is protected, the mode in force stays unless the site file says another one than when it \
         was last applied"
    );
    ModeOutlook { interface: interface.to_owned(), modes: SaidModes::default(), why }
}
