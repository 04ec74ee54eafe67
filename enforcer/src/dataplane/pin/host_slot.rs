//! Slots of protected hosts. Slot 0 is this machine, and each guest port has a slot of its own. What one slot remembers is pinned apart
//! from what every other slot remembers, so no packet of one host can change what belongs to another host.

use std::collections::BTreeSet;
use std::path::PathBuf;

use enforcer_common::layout::{Config, MapOwner, MapRow};

use crate::dataplane::error::DataplaneError;
use crate::dataplane::pin::pins::{HostPins, InterfacePins};
use crate::dataplane::pin::protected::Protected;
use crate::dataplane::pin::record::InterfaceRecord;
use crate::policy::modes::Protects;

/// The slot of this machine.
pub(in crate::dataplane) const THIS_MACHINE: u32 = 0;

/// A slot, and where its maps are pinned.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::dataplane) struct HostSlot {
    /// Its number.
    pub(in crate::dataplane) number: u32,
    folder: PathBuf,
}

impl HostSlot {
    /// The slot with this number, of the interface with these pins.
    pub(in crate::dataplane) fn new(number: u32, interface: &InterfacePins, host: &HostPins) -> Self {
        Self { number, folder: if number == THIS_MACHINE { host.state() } else { interface.state() } }
    }

    /// The slot of this machine.
    #[cfg(test)]
    pub(in crate::dataplane) fn of_this_machine(host: &HostPins) -> Self {
        Self { number: THIS_MACHINE, folder: host.state() }
    }

    /// The slot that an interface is protected with.
    pub(in crate::dataplane) fn of(protected: &Protected) -> Self {
        let Protected { pins, record, .. } = protected;
        Self::new(record.slot(), pins, &HostPins::of(record.netns))
    }

    /// The slots of these interfaces, each once, with the first interface of each.
    pub(in crate::dataplane) fn each(protected: &[Protected]) -> Vec<(Self, &Protected)> {
        let mut found = BTreeSet::new();
        let slots = protected.iter().map(|one| (Self::of(one), one));
        slots.filter(|(slot, _)| found.insert(slot.clone())).collect()
    }

    /// The numbers that these interfaces have.
    pub(in crate::dataplane) fn taken(protected: &[Protected]) -> BTreeSet<u32> {
        protected.iter().map(|one| one.record.slot()).collect()
    }

    /// Whether it belongs to a guest.
    pub(in crate::dataplane) const fn is_guest(&self) -> bool {
        self.number != THIS_MACHINE
    }

    /// A map.
    pub(in crate::dataplane) fn map(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl InterfaceRecord {
    /// The slot of the protected host; 0: this machine.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.config.slot
    }
}

/// Where a map is pinned: with the policy, the interface, the slot or the network namespace that it belongs to.
pub(in crate::dataplane) fn pin_of(
    map: &MapRow,
    interface: &InterfacePins,
    slot: &HostSlot,
    host: &HostPins,
    generation: u64,
) -> PathBuf {
    match map.owner {
        MapOwner::Policy => host.generation(generation).join(map.name),
        MapOwner::Modes => interface.generation(generation).join(map.name),
        MapOwner::Interface => interface.map(map.name),
        MapOwner::Slot => slot.map(map.name),
        MapOwner::Host => host.map(map.name),
    }
}

/// The slot for an interface, which is then taken. A port keeps the slot that it has, as long as it is protected.
///
/// # Errors
/// When every slot is in use.
pub(in crate::dataplane) fn choose(
    protects: Protects,
    old: Option<u32>,
    taken: &mut BTreeSet<u32>,
) -> Result<u32, DataplaneError> {
    if protects == Protects::Host {
        return Ok(THIS_MACHINE);
    }
    let kept = old.filter(|slot| *slot != THIS_MACHINE);
    let slot = kept.or_else(|| (THIS_MACHINE + 1..=Config::LAST_SLOT).find(|slot| !taken.contains(slot)));
    let slot = slot.ok_or_else(|| {
        DataplaneError::Refused(format!(
            "{} guest ports are protected in this network namespace, and there is no room for more; run `enforcer detach --interface` for \
             one that is no longer needed",
            Config::LAST_SLOT
        ))
    })?;
    taken.insert(slot);
    Ok(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_gets_the_first_slot_that_is_free_and_keeps_it() {
        let choose = |protects, old, taken: &[u32]| {
            let mut taken = taken.iter().copied().collect();
            let slot = choose(protects, old, &mut taken).unwrap();
            assert!(slot == THIS_MACHINE || taken.contains(&slot));
            slot
        };
        assert_eq!(choose(Protects::Guest, None, &[]), 1);
        assert_eq!(choose(Protects::Guest, None, &[0, 1, 3]), 2);
        assert_eq!(choose(Protects::Guest, Some(7), &[1, 7]), 7);
        // Protected by a version that had no slots for guests.
        assert_eq!(choose(Protects::Guest, Some(0), &[1]), 2);
        assert_eq!(choose(Protects::Host, Some(0), &[0, 1]), 0);
    }

    #[test]
    fn what_a_guest_remembers_is_pinned_with_its_port_and_nowhere_else() {
        let (interface, host) = (InterfacePins::in_folder("tap3"), HostPins::of(1));
        assert_eq!(HostSlot::new(1, &interface, &host).map("FLOWS4"), interface.map("FLOWS4"));
        assert_eq!(HostSlot::new(THIS_MACHINE, &interface, &host).map("FLOWS4"), host.map("FLOWS4"));
    }

    #[test]
    fn one_guest_port_too_many_is_refused_by_a_sentence_with_the_limit() {
        let error = choose(Protects::Guest, None, &mut (1..=255).collect()).unwrap_err();
        assert!(matches!(error, DataplaneError::Refused(_)), "{error}");
        assert!(error.to_string().starts_with("255 guest ports are protected"), "{error}");
        assert_eq!(choose(Protects::Guest, Some(9), &mut (1..=255).collect()).unwrap(), 9);
    }
}
