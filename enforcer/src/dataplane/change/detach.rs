//! Detaches the programs from an interface, and removes everything enforcer created for it, in whatever state it is.

use std::fs;
use std::path::Path;

use enforcer_common::Direction;

use super::refresh::write_addresses;
use super::takeover;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::hook::attach::{MADE_CLSACT, remove_clsact, remove_pins, take_off};
use crate::dataplane::hook::renamed::new_name;
use crate::dataplane::kinds::AttachMode;
use crate::dataplane::mode::active;
use crate::dataplane::mode::pending::Pending;
use crate::dataplane::pin::host_slot::THIS_MACHINE;
use crate::dataplane::pin::lock::lock;
use crate::dataplane::pin::pins::{self, HostPins, InterfacePins, Owner, ROOT};
use crate::dataplane::pin::protected::{Protected, all_protected};
use crate::dataplane::pin::record::InterfaceRecord;
use crate::dataplane::read::running::Running;
use crate::dataplane::read::totals;
use crate::dataplane::sys::pinned_link::held;
use crate::host::netns::{is_alive, own};
use crate::policy::modes::Modes;
use crate::state::last_good::State;

/// The result of detaching one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Removed {
    /// Name of the interface.
    pub interface: String,
    /// The modes before; `None`: unknown.
    pub modes: Option<Modes>,
    /// Problems that were found, one sentence each.
    pub found: Vec<String>,
}

/// Detaches the programs and removes all pins, of the interfaces with these names or of all interfaces of this network namespace.
/// Also removes the pins of network namespaces that no longer exist.
///
/// # Errors
/// When a named interface is not protected, or something cannot be removed. What was already removed stays removed, and the call
/// can be repeated.
pub fn detach(only: &[String]) -> Result<Vec<Removed>, DataplaneError> {
    let _lock = lock()?;
    let netns = own()?;
    let found = remains(netns, only)?;
    // A renamed interface is known by the name that it has now, too.
    let only: Vec<String> = only
        .iter()
        .map(|name| found.iter().find(|one| one.is_called(name)).map_or(name, |one| &one.interface).clone())
        .collect();
    for name in &only {
        if !found.iter().any(|one| one.interface == *name) {
            let others: Vec<&str> = found.iter().map(|one| one.interface.as_str()).collect();
            return Err(DataplaneError::NotProtected(if others.is_empty() {
                format!("interface `{name}` is not protected by enforcer (no interface is)")
            } else {
                format!("interface `{name}` is not protected by enforcer (protected: {})", others.join(", "))
            }));
        }
    }
    let mut removed = Vec::new();
    for one in found.into_iter().filter(|one| only.is_empty() || only.contains(&one.interface)) {
        let modes = one.modes(netns);
        let record = one.record.as_ref().ok().and_then(Option::as_ref).filter(|record| record.netns == netns);
        let running = record.and_then(|record| Running::open(&one.pins, record));
        let mut found = one.remove(netns)?;
        found.extend(running.and_then(|running| running.still()));
        removed.push(Removed { modes, found, interface: one.interface });
    }
    remove_hosts(netns)?;
    let host = HostPins::of(netns);
    if host.state().exists()
        && all_protected().is_ok_and(|left| left.iter().all(|one| one.record.slot() != THIS_MACHINE))
    {
        host.remove_slot_of_this_machine()?;
    }
    if !removed.is_empty() {
        // The addresses of guests that are gone are nobody's.
        write_addresses(&host)?;
    }
    Ok(removed)
}

/// Removes the policy that is saved for the next boot, for an interface without pins.
///
/// # Errors
/// When it cannot be removed.
pub fn forget_kept(interface: &str) -> Result<(), DataplaneError> {
    let _lock = lock()?;
    let pins = InterfacePins::of(interface, own()?)?;
    State::of(pins.name()).forget().with_context(|| format!("{interface} would be protected by the next boot"))
}

/// The pins of an interface, complete or not.
struct Remains {
    interface: String,
    pins: InterfacePins,
    record: Result<Option<InterfaceRecord>, DataplaneError>,
    owner: Option<Owner>,
}

/// Everything that belongs to a network namespace, or to none that is still there. What another version has made and nobody can
/// tell whose it is, only by its name.
fn remains(netns: u64, named: &[String]) -> Result<Vec<Remains>, DataplaneError> {
    let mut found = Vec::new();
    for pins in pins::all() {
        // The record of another version may have another format.
        let record = if pins.is_own_layout() { pins.record() } else { Ok(None) };
        let owner = pins.owner().ok().flatten();
        let interface = owner.as_ref().map_or_else(|| pins.interface_by_name(), |owner| owner.interface.clone());
        let is_ours = match &owner {
            Some(owner) => owner.netns == netns || !is_alive(owner.netns),
            // Pins by which nobody is named are everybody's.
            None => pins.is_own_layout() || named.contains(&interface),
        };
        if is_ours {
            found.push(Remains { interface, pins, record, owner });
        }
    }
    found.sort_by(|a, b| a.interface.cmp(&b.interface));
    Ok(found)
}

impl Remains {
    /// Whether the interface has this name now, and another one when it was protected.
    fn is_called(&self, name: &str) -> bool {
        let record = self.record.as_ref().ok().and_then(Option::as_ref);
        record.is_some_and(|record| new_name(&self.pins, record).as_deref() == Some(name))
    }

    /// The active modes; `None`: no program is attached, or they cannot be read.
    fn modes(&self, netns: u64) -> Option<Modes> {
        let record = self.record.as_ref().ok()?.as_ref().filter(|record| record.netns == netns)?;
        nix::net::if_::if_indextoname(record.index).ok()?;
        active::modes(&self.pins).ok()
    }

    fn remove(&self, netns: u64) -> Result<Vec<String>, DataplaneError> {
        let Self { interface, pins, record, owner } = self;
        let mut found = Vec::new();
        let is_here = owner.as_ref().is_none_or(|owner| owner.netns == netns);
        if !is_here {
            found.push("its network namespace no longer exists; its pins are removed".to_owned());
        }
        match record {
            Ok(Some(record)) => self.describe(record, is_here, &mut found),
            Ok(None) if !pins.is_own_layout() => found.push(format!(
                "it was protected by another version of enforcer (layout {}); what was counted since the totals were saved last \
                 is gone",
                pins.layout()
            )),
            Ok(None) => found.push("the record is missing: an apply was killed, or pins were removed by hand".to_owned()),
            Err(error) => found.push(format!("{error}: removed without the record")),
        }
        if let Ok(Some(pending)) = Pending::read(pins)
            && pending.is_armed()
        {
            found.push(format!("its deadline of {} is removed with it", pending.at()));
        }
        if is_here && let Ok(Some(record)) = record {
            let (interface, pins, record) = (interface.clone(), pins.clone(), record.clone());
            match totals::save(&Protected { interface, pins, record }) {
                Ok(said) => found.extend(said),
                Err(error) => found.push(format!("{:#}", anyhow::Error::from(error))),
            }
        }
        if is_here {
            self.remove_filters(&mut found)?;
        }
        remove_pins(pins.dir())?;
        State::of(pins.name())
            .forget()
            .with_context(|| format!("{interface} is detached, but would be protected by the next boot"))?;
        Ok(found)
    }

    /// Notes differences between the record and the interface.
    fn describe(&self, record: &InterfaceRecord, is_here: bool, found: &mut Vec<String>) {
        let Self { interface, pins, .. } = self;
        if is_here {
            match nix::net::if_::if_nametoindex(interface.as_str()) {
                index
                    if index != Ok(record.index)
                        && let Some(name) = new_name(pins, record) =>
                {
                    found.push(format!("the interface is called {name} now; its programs were still attached"));
                }
                Err(_) => found.push("the interface is no longer in this network namespace".to_owned()),
                Ok(index) if index != record.index => {
                    found.push("the interface was deleted and created again, so it was unprotected".to_owned());
                }
                Ok(_) => {}
            }
        }
        for direction in Direction::ALL {
            let Some(attached) = record.direction(direction) else { continue };
            if attached.attach_mode == AttachMode::Clsact {
                continue;
            }
            match held(&pins.link(direction)) {
                None => found.push(format!("the {} link had been removed already", direction.name())),
                Some(held) if held.interface == 0 => {
                    found.push(format!(
                        "the {} link had lost its interface: the interface was deleted, or another process detached the link",
                        direction.name()
                    ));
                }
                Some(_) => {}
            }
        }
    }

    /// Removes the filters. They have no pins and are found by their handle.
    fn remove_filters(&self, found: &mut Vec<String>) -> Result<(), DataplaneError> {
        let Self { pins, record, .. } = self;
        // The name that it has now.
        let renamed = record.as_ref().ok().and_then(Option::as_ref).and_then(|record| new_name(pins, record));
        let interface = renamed.as_ref().unwrap_or(&self.interface);
        if nix::net::if_::if_nametoindex(interface.as_str()).is_err() {
            return Ok(());
        }
        let protects = record.as_ref().ok().and_then(Option::as_ref).map(|record| record.protects);
        let protects = protects.or_else(|| takeover::protects(pins)).unwrap_or_default();
        for direction in Direction::ALL {
            take_off(interface, pins, direction, protects, AttachMode::Clsact)?;
        }
        if pins.map(MADE_CLSACT).exists() {
            match remove_clsact(interface) {
                Ok(true) => {}
                Ok(false) => found.push("the clsact qdisc stays: filters of others are on it".to_owned()),
                Err(error) => found.push(format!("the clsact qdisc stays: {:#}", anyhow::Error::from(error))),
            }
        }
        Ok(())
    }
}

/// Removes the pins of whole network namespaces: of this one if no interface in it is protected any more, and of those that no longer
/// exist.
fn remove_hosts(netns: u64) -> Result<(), DataplaneError> {
    let left = pins::all();
    let owners: Vec<u64> = left.iter().filter_map(|pins| Some(pins.owner().ok()??.netns)).collect();
    let is_unknown = |pins: &InterfacePins| !pins.is_own_layout() && !matches!(pins.owner(), Ok(Some(_)));
    let others_stay = left.iter().any(is_unknown);
    for host in HostPins::all() {
        let is_over = host == netns || !is_alive(host);
        if is_over && !owners.contains(&host) {
            let host = HostPins::of(host);
            if others_stay { host.remove_own_layout()? } else { host.remove()? }
        }
    }
    // Only when no other network namespace has anything there.
    let _ = fs::remove_dir(Path::new(ROOT));
    Ok(())
}
