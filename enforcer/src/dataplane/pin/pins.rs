//! The paths of pins, and reading what is pinned there.
//!
//! ```text
//! /sys/fs/bpf/enforcer/eth0/inbound                   the active program; `outbound` beside it
//! /sys/fs/bpf/enforcer/eth0/v<LAYOUT>/                link_inbound, link_outbound, RULES, REASONS, record
//! /sys/fs/bpf/enforcer/eth0/v<LAYOUT>/g7/             the programs of generation 7, and CONTROL with their modes
//! /sys/fs/bpf/enforcer/tap3/v<LAYOUT>/                the same, and flows, fragments, denied flows: the slot of a guest
//! /sys/fs/bpf/enforcer/host:4026531840/v<LAYOUT>/     flows, fragments, own addresses: the slot of this machine
//! /sys/fs/bpf/enforcer/host:4026531840/v<LAYOUT>/g7/  the policy of generation 7: port tables, prefixes, rules by name
//! /sys/fs/bpf/enforcer/moving:4026531840:5/           an interface that was renamed, while its folder is moved
//! ```
//! An interface name cannot hold a colon, so none of them collide.

use std::path::{Path, PathBuf};
use std::{fs, io};

use enforcer_common::Direction;
use enforcer_common::layout::{LAYOUT_VERSION, MAPS, MapOwner, map};
use serde::{Deserialize, Serialize};

use super::record::InterfaceRecord;
use crate::dataplane::error::{DataplaneError, at};
use crate::dataplane::pin::document::{read_record, write_record};
use crate::dataplane::pin::folder::{escape, names_in, remove_dir, unescape};
use crate::dataplane::sys::pinned_link::held;
use crate::host::netns::is_alive;

/// The folder of all pins of enforcer.
pub(in crate::dataplane) const ROOT: &str = "/sys/fs/bpf/enforcer";

/// The pins of one interface, of this layout or of another version's layout (to take the interface over, or to remove them).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfacePins {
    dir: PathBuf,
    /// Name of the folder of the layout.
    pub(super) layout: String,
}

impl InterfacePins {
    /// The pins of `interface` in this network namespace: the plain path, or `IF@NETNS` where an interface of the same name in
    /// another namespace was first.
    pub(in crate::dataplane) fn of(interface: &str, netns: u64) -> Result<Self, DataplaneError> {
        let plain = Self::in_folder(&escape(interface));
        let qualified = Self::in_folder(&format!("{}@{netns}", escape(interface)));
        if qualified.exists() {
            return Ok(qualified);
        }
        match plain.clone().found().owner()? {
            Some(owner) if owner.netns == netns => Ok(plain),
            Some(owner) if is_alive(owner.netns) => Ok(qualified),
            Some(owner) => plain.reuse(&owner),
            None => Ok(plain),
        }
    }

    /// The pins in a folder, of this layout.
    pub(in crate::dataplane) fn in_folder(name: &str) -> Self {
        Self { dir: Path::new(ROOT).join(name), layout: own_layout() }
    }

    /// The same pins, but of another layout if only that one has a record.
    fn found(self) -> Self {
        if self.map("record").exists() {
            return self;
        }
        self.of_other_version().unwrap_or(self)
    }

    /// The newest pins that another version of enforcer made for this interface.
    pub(in crate::dataplane) fn of_other_version(&self) -> Option<Self> {
        let number = |name: &str| name.strip_prefix('v').and_then(|number| number.parse::<u32>().ok());
        let others = names_in(&self.dir).into_iter().filter(|name| *name != self.layout);
        let layout = others.filter(|name| number(name).is_some()).max_by_key(|name| number(name))?;
        Some(Self { dir: self.dir.clone(), layout })
    }

    /// Whether they have the layout of this version of enforcer.
    pub(in crate::dataplane) fn is_own_layout(&self) -> bool {
        self.layout == own_layout()
    }

    /// The name of the layout's folder.
    #[must_use]
    pub fn layout(&self) -> &str {
        &self.layout
    }

    /// Removes pins of a deleted namespace from this path.
    fn reuse(self, owner: &Owner) -> Result<Self, DataplaneError> {
        let found = self.clone().found();
        let held = Direction::ALL.iter().filter_map(|direction| held(&found.link(*direction)));
        if let Some(held) = held.into_iter().find(|held| held.interface != 0) {
            // A hardware interface outlives its namespace: it moves to the initial one, with its programs.
            return Err(DataplaneError::Refused(format!(
                "{} belongs to {} of a network namespace that is gone, and its program is still on the interface with index \
                 {}; run `enforcer detach --interface {}` first",
                self.dir.display(),
                owner.interface,
                held.interface,
                owner.interface
            )));
        }
        remove_dir(&self.dir).map_err(at(self.dir.clone()))?;
        Ok(self)
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of the folder, unique for each interface of this machine.
    #[must_use]
    pub fn name(&self) -> &str {
        self.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Whether the folder exists.
    pub(in crate::dataplane) fn exists(&self) -> bool {
        self.dir.exists()
    }

    /// The path of the active program.
    #[must_use]
    pub fn program(&self, direction: Direction) -> PathBuf {
        self.dir.join(direction.name())
    }

    /// The folder of the layout.
    pub(in crate::dataplane) fn state(&self) -> PathBuf {
        self.dir.join(&self.layout)
    }

    /// The path of a map.
    pub(in crate::dataplane) fn map(&self, name: &str) -> PathBuf {
        self.state().join(name)
    }

    /// The path of the link of a program.
    pub(in crate::dataplane) fn link(&self, direction: Direction) -> PathBuf {
        self.state().join(format!("link_{}", direction.name()))
    }

    /// The path of the mark that the filter with our handle is ours.
    pub(in crate::dataplane) fn clsact_marker(&self, direction: Direction) -> PathBuf {
        self.map(&format!("clsact_{}", direction.name()))
    }

    /// The folder of the programs of a generation.
    pub(in crate::dataplane) fn generation(&self, number: u64) -> PathBuf {
        self.state().join(format!("g{number}"))
    }

    /// The control map of a generation.
    pub(in crate::dataplane) fn control(&self, generation: u64) -> PathBuf {
        self.generation(generation).join(map::CONTROL)
    }

    /// The record of the interface; `None`: it is not protected, or by another layout.
    pub(in crate::dataplane) fn record(&self) -> Result<Option<InterfaceRecord>, DataplaneError> {
        read_record(&self.state().join("record"))
    }

    /// Whether they were created in this network namespace.
    pub(super) fn is_of(&self, netns: u64) -> bool {
        matches!(self.owner(), Ok(Some(owner)) if owner.netns == netns)
    }

    /// The owner of the pins. It is written first, while the record is written last.
    pub(in crate::dataplane) fn owner(&self) -> Result<Option<Owner>, DataplaneError> {
        match read_record(&self.map("record")) {
            Ok(Some(owner)) => Ok(Some(owner)),
            _ => read_record(&self.map("owner")),
        }
    }

    /// Writes the owner of the pins.
    pub(in crate::dataplane) fn write_owner(
        &self,
        interface: &str,
        netns: u64,
        index: u32,
    ) -> Result<(), DataplaneError> {
        let interface = interface.to_owned();
        write_record(&self.map("owner"), &Owner { interface, netns, index })
    }

    /// The interface according to the name of the folder, for folders without an owner.
    pub(in crate::dataplane) fn interface_by_name(&self) -> String {
        let name = self.name();
        unescape(name.rsplit_once('@').map_or(name, |(name, _)| name))
    }
}

/// The name of the folder of our layout.
fn own_layout() -> String {
    format!("v{LAYOUT_VERSION}")
}

/// The owner of pins.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::dataplane) struct Owner {
    /// Name of the interface.
    pub(in crate::dataplane) interface: String,
    /// Inode number of its network namespace.
    pub(in crate::dataplane) netns: u64,
    /// Index.
    pub(in crate::dataplane) index: u32,
}

/// The pins of a network namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::dataplane) struct HostPins {
    dir: PathBuf,
}

impl HostPins {
    pub(in crate::dataplane) fn of(netns: u64) -> Self {
        Self { dir: Path::new(ROOT).join(format!("host:{netns}")) }
    }

    /// The folder.
    pub(in crate::dataplane) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes everything, of whatever layout.
    pub(in crate::dataplane) fn remove(&self) -> Result<(), DataplaneError> {
        remove_dir(&self.dir).map_err(at(self.dir.clone()))
    }

    /// Removes the pins of this layout, and the folder if no other version has pins there.
    pub(in crate::dataplane) fn remove_own_layout(&self) -> Result<(), DataplaneError> {
        remove_dir(&self.state()).map_err(at(self.state()))?;
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }

    /// Removes the maps of the slot of this machine, where guests alone are protected.
    pub(in crate::dataplane) fn remove_slot_of_this_machine(&self) -> Result<(), DataplaneError> {
        for row in MAPS.iter().filter(|row| row.owner == MapOwner::Slot) {
            let path = self.map(row.name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes layouts of other versions that no interface of the network namespace uses.
    pub(in crate::dataplane) fn remove_unused_layouts(&self) -> Result<(), DataplaneError> {
        let netns = self.dir.file_name().and_then(|name| name.to_str()?.strip_prefix("host:")?.parse().ok());
        // Pins without a known owner may belong to this namespace.
        let is_here = |pins: &InterfacePins| pins.owner().ok().flatten().is_none_or(|owner| Some(owner.netns) == netns);
        let here = all().into_iter().filter(is_here);
        let of_interfaces: Vec<String> = here.flat_map(|pins| names_in(&pins.dir)).collect();
        let is_unused = |name: &String| *name != own_layout() && !of_interfaces.contains(name);
        for name in names_in(&self.dir).into_iter().filter(is_unused) {
            let folder = self.dir.join(name);
            remove_dir(&folder).map_err(at(folder))?;
        }
        Ok(())
    }

    pub(in crate::dataplane) fn state(&self) -> PathBuf {
        self.dir.join(format!("v{LAYOUT_VERSION}"))
    }

    pub(in crate::dataplane) fn map(&self, name: &str) -> PathBuf {
        self.state().join(name)
    }

    pub(in crate::dataplane) fn generation(&self, number: u64) -> PathBuf {
        self.state().join(format!("g{number}"))
    }

    /// The inode numbers of the namespaces that have pins.
    pub(in crate::dataplane) fn all() -> Vec<u64> {
        let names = names_in(Path::new(ROOT));
        names.iter().filter_map(|name| name.strip_prefix("host:")?.parse().ok()).collect()
    }

    /// The numbers of the existing generations.
    pub(in crate::dataplane) fn generations(&self) -> Vec<u64> {
        let names = names_in(&self.state());
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_prefix('g')?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// The pins of every interface, in all namespaces and states.
pub(in crate::dataplane) fn all() -> Vec<InterfacePins> {
    let names = names_in(Path::new(ROOT)).into_iter().filter(|name| !name.starts_with("host:"));
    names.map(|name| InterfacePins::in_folder(&name).found()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_interface_gets_a_name_without_a_dot() {
        assert_eq!(escape("eth0.100"), "eth0%2e100");
        assert_eq!(escape("a%2eb"), "a%252eb");
        for name in ["eth0.100", "a%b.c"] {
            assert_eq!(unescape(&escape(name)), name);
        }
    }
}
