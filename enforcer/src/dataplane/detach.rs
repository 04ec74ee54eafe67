//! Removing everything of ours from an interface, and nothing else.

use std::fs;

use enforcer_common::Direction;

use super::attach::{AttachMode, take_off};
use super::error::{DataplaneError, at};
use super::pins::{HostPins, Protected, ROOT, protected, remove_dir};

/// What was removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Removed {
    /// From which interface.
    pub interface: String,
    /// What was not as it should have been, in sentences.
    pub found: Vec<String>,
}

/// Takes the programs off the hooks and removes all pins.
///
/// # Errors
/// When something of ours cannot be removed; what was removed before stays removed, and the call can be repeated.
pub fn detach(interfaces: &[Protected]) -> Result<Vec<Removed>, DataplaneError> {
    let mut removed = Vec::new();
    for one in interfaces {
        removed.push(Removed { interface: one.interface.clone(), found: detach_one(one)? });
    }
    if let Some(one) = interfaces.first()
        && protected(&[])?.is_empty()
    {
        let host = HostPins::of(one.record.netns);
        remove_dir(host.dir()).map_err(at(host.dir().to_owned()))?;
        // Only when no other network namespace has anything there.
        let _ = fs::remove_dir(ROOT);
    }
    Ok(removed)
}

fn detach_one(one: &Protected) -> Result<Vec<String>, DataplaneError> {
    let mut found = Vec::new();
    for direction in Direction::ALL {
        let Some(record) = one.record.direction(direction) else { continue };
        let is_link = record.attach_mode != AttachMode::Clsact;
        if is_link && !one.pins.link(direction).exists() {
            found.push(format!("the {} link had been removed already", direction.name()));
        }
        take_off(&one.interface, &one.pins, direction, one.record.protects, record.attach_mode)?;
    }
    if one.pins.map("made_clsact").exists() {
        match super::attach::remove_clsact(&one.interface) {
            Ok(true) => {}
            Ok(false) => found.push("the clsact qdisc stays: filters of others are on it".to_owned()),
            Err(error) => found.push(format!("the clsact qdisc stays: {error}")),
        }
    }
    remove_dir(one.pins.dir()).map_err(at(one.pins.dir().to_owned()))?;
    Ok(found)
}
