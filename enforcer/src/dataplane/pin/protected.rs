//! The protected interfaces, found by their pins.

use std::collections::BTreeSet;

use super::owners::check_folders;
use crate::dataplane::error::DataplaneError;
use crate::dataplane::pin::document::read_record;
use crate::dataplane::pin::lock::{Reading, reading};
use crate::dataplane::pin::pins::{HostPins, InterfacePins, all};
use crate::dataplane::pin::record::{InterfaceRecord, PolicyRecord};
use crate::host::netns::own;
use crate::policy::modes::Protects;

/// An interface of this network namespace that has pins.
#[derive(Clone, Debug)]
pub struct Protected {
    /// Its name.
    pub interface: String,
    /// Its pins.
    pub pins: InterfacePins,
    /// The record of the last `apply`.
    pub record: InterfaceRecord,
}

impl Protected {
    /// Reads the record again. The caller holds the lock if it goes on to read the maps of the policy, which the next policy removes.
    pub(in crate::dataplane) fn now(&self) -> Result<(Reading, Self), DataplaneError> {
        let reading = reading()?;
        let record = self.pins.record()?.unwrap_or_else(|| self.record.clone());
        Ok((reading, Self { record, ..self.clone() }))
    }
}

/// Interfaces of this network namespace that another version of enforcer protects, with its layout, by name.
///
/// # Errors
/// When the network namespace of this process cannot be determined.
pub fn of_other_versions() -> Result<Vec<(String, String)>, DataplaneError> {
    let netns = own()?;
    let others = all().into_iter().filter(|pins| !pins.is_own_layout());
    let mut found: Vec<(String, String)> = others
        .filter_map(|pins| match pins.owner() {
            Ok(Some(owner)) => (owner.netns == netns).then(|| (owner.interface, pins.layout.clone())),
            // The record has another format and does not name its namespace.
            _ => {
                let name = pins.interface_by_name();
                nix::net::if_::if_nametoindex(name.as_str()).is_ok().then(|| (name, pins.layout.clone()))
            }
        })
        .collect();
    found.sort();
    Ok(found)
}

/// Every protected interface of this network namespace, by name.
///
/// # Errors
/// When the pins cannot be read.
pub(in crate::dataplane) fn all_protected() -> Result<Vec<Protected>, DataplaneError> {
    check_folders()?;
    let netns = own()?;
    let mut found = Vec::new();
    // Pins of other network namespaces are skipped, whatever version made them.
    for pins in all().into_iter().filter(InterfacePins::is_own_layout) {
        match pins.record() {
            Ok(Some(record)) if record.netns == netns => {
                found.push(Protected { interface: record.interface.clone(), pins, record });
            }
            Err(error) if pins.is_of(netns) => return Err(error),
            _ => {}
        }
    }
    found.sort_by(|a, b| a.interface.cmp(&b.interface));
    Ok(found)
}

/// The interfaces that protect this machine, by index.
///
/// # Errors
/// When the pins cannot be read.
pub(in crate::dataplane) fn interfaces_of_this_machine() -> Result<BTreeSet<u32>, DataplaneError> {
    Ok(of_this_machine(&all_protected()?))
}

/// Those of them that protect this machine, by index.
pub(in crate::dataplane) fn of_this_machine(protected: &[Protected]) -> BTreeSet<u32> {
    protected.iter().filter(|one| one.record.protects == Protects::Host).map(|one| one.record.index).collect()
}

/// The recorded policy of an interface.
pub(in crate::dataplane) fn policy(record: &InterfaceRecord) -> Result<PolicyRecord, DataplaneError> {
    let path = HostPins::of(record.netns).generation(record.generation).join("ruleset");
    read_record(&path)?.ok_or_else(|| {
        DataplaneError::NotProtected(format!(
            "the ruleset of {} is gone from {}; run `enforcer apply` again",
            record.interface,
            path.display()
        ))
    })
}
