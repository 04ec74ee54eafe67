//! Renamed interfaces: found by the interface index in their links.

use std::collections::BTreeSet;

use enforcer_common::Direction;

use crate::dataplane::error::DataplaneError;
use crate::dataplane::hook::attach::has_filter;
use crate::dataplane::mode::active;
use crate::dataplane::pin::pins::InterfacePins;
use crate::dataplane::pin::protected::{Protected, all_protected};
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::sys::pinned_link::held;
use crate::host::links::Link;

/// What the interface is called now that a record speaks of, where that is another name and what was applied judges it still.
pub(in crate::dataplane) fn new_name(pins: &InterfacePins, record: &InterfaceRecord) -> Option<String> {
    let name = nix::net::if_::if_indextoname(record.index).ok()?.into_string().ok()?;
    // The number may have been given to another interface.
    (name != record.interface && judges(pins, record)).then_some(name)
}

/// Every protected interface of this network namespace, by name; with `only`, those. A renamed interface has the name that it has now,
/// and the one under which it was protected as long as no other interface has that. The record is that of the policy that judges.
///
/// # Errors
/// When the pins cannot be read, or when a name in `only` is not protected.
pub fn protected(only: &[String]) -> Result<Vec<Protected>, DataplaneError> {
    let mut found = all_protected()?;
    for one in &mut found {
        one.record = active::record(&one.pins, one.record.clone())?;
    }
    if only.is_empty() {
        return Ok(found);
    }
    let called: Vec<Option<String>> = found.iter().map(|one| new_name(&one.pins, &one.record)).collect();
    let mut wanted = BTreeSet::new();
    for name in only {
        wanted.insert(named(name, &found, &called)?);
    }
    Ok(found.into_iter().enumerate().filter(|(at, _)| wanted.contains(at)).map(|(_, one)| one).collect())
}

/// The place of the protected interface that has this name, now or when it was protected. `called` are the names of those that were
/// renamed since.
fn named(name: &str, found: &[Protected], called: &[Option<String>]) -> Result<usize, DataplaneError> {
    if let Some(at) = called.iter().position(|called| called.as_deref() == Some(name)) {
        return Ok(at);
    }
    let known = found.iter().position(|one| one.interface == name);
    match known.map(|at| (at, called[at].as_deref())) {
        Some((at, Some(called))) if nix::net::if_::if_nametoindex(name).is_ok() => {
            Err(DataplaneError::NotProtected(format!(
                "interface `{name}` is not protected by enforcer: the one that was called {} is called {called} now; use \
                 `--interface {called}`",
                found[at].interface
            )))
        }
        Some((at, _)) => Ok(at),
        None => {
            let others = found.iter().zip(called).map(|(one, called)| match called {
                Some(called) => format!("{called} (protected as {})", one.interface),
                None => one.interface.clone(),
            });
            let others = others.collect::<Vec<_>>().join(", ");
            let others = if others.is_empty() { "no interface is".to_owned() } else { format!("protected: {others}") };
            Err(DataplaneError::NotProtected(format!("interface `{name}` is not protected by enforcer ({others})")))
        }
    }
}

/// The protected interface among these that is now called so, and was called otherwise.
#[must_use]
pub fn once_called<'a>(all: &'a [Protected], link: &Link) -> Option<&'a Protected> {
    let mut others = all.iter().filter(|one| one.record.index == link.index && one.interface != link.name);
    others.find(|one| judges(&one.pins, &one.record))
}

pub(crate) fn judges(pins: &InterfacePins, record: &InterfaceRecord) -> bool {
    Direction::ALL.into_iter().any(|direction| {
        held(&pins.link(direction)).is_some_and(|held| held.interface == record.index)
            || has_filter(record.index, direction, record.protects) && pins.clsact_marker(direction).exists()
    })
}
