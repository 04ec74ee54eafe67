//! Where things are pinned, and what is found there.
//!
//! ```text
//! /sys/fs/bpf/enforcer/eth0/inbound            the program in force; outbound likewise
//! /sys/fs/bpf/enforcer/eth0/v1/                link_inbound, link_outbound, CONTROL, RULES, REASONS, record
//! /sys/fs/bpf/enforcer/eth0/v1/g7/             the programs of generation 7
//! /sys/fs/bpf/enforcer/host:4026531840/v1/     flows, fragments, own addresses: of the network namespace
//! /sys/fs/bpf/enforcer/host:4026531840/v1/g7/  the policy of generation 7: port tables, prefixes, and the rules by name
//! ```
//! An interface name cannot hold a colon, so the two never collide.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use enforcer_common::Direction;
use enforcer_common::layout::LAYOUT_VERSION;

use super::error::{DataplaneError, at};
use super::record::{InterfaceRecord, read_record};

/// The folder of everything that is ours.
pub(super) const ROOT: &str = "/sys/fs/bpf/enforcer";
const BPFFS: &str = "/sys/fs/bpf";

/// The pins of one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfacePins {
    dir: PathBuf,
}

impl InterfacePins {
    /// The pins of `interface` in this network namespace: the plain path, or `IF@NETNS` where an interface of the same name in
    /// another namespace was first.
    pub(super) fn of(interface: &str, netns: u64) -> Result<Self, DataplaneError> {
        let plain = Self { dir: Path::new(ROOT).join(escape(interface)) };
        let qualified = Self { dir: Path::new(ROOT).join(format!("{}@{netns}", escape(interface))) };
        if qualified.exists() {
            return Ok(qualified);
        }
        let other = plain.record()?.is_some_and(|record| record.netns != netns);
        Ok(if other { qualified } else { plain })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether anything is there.
    pub(super) fn exists(&self) -> bool {
        self.dir.exists()
    }

    /// The program in force.
    #[must_use]
    pub fn program(&self, direction: Direction) -> PathBuf {
        self.dir.join(direction.name())
    }

    /// The folder of this layout.
    pub(super) fn state(&self) -> PathBuf {
        self.dir.join(format!("v{LAYOUT_VERSION}"))
    }

    /// A map.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.state().join(name)
    }

    /// The link that holds a program on its hook.
    pub(super) fn link(&self, direction: Direction) -> PathBuf {
        self.state().join(format!("link_{}", direction.name()))
    }

    /// The programs of a generation.
    pub(super) fn generation(&self, number: u64) -> PathBuf {
        self.state().join(format!("g{number}"))
    }

    /// What was recorded when the interface was protected; `None` where nothing is, or not by this layout.
    pub(super) fn record(&self) -> Result<Option<InterfaceRecord>, DataplaneError> {
        read_record(&self.state().join("record"))
    }

    /// Whether a record is there, and of this network namespace; reads no more of it than that.
    fn is_of(&self, netns: u64) -> bool {
        #[derive(serde::Deserialize)]
        struct Whose {
            netns: u64,
        }
        matches!(read_record::<Whose>(&self.state().join("record")), Ok(Some(record)) if record.netns == netns)
    }

    /// Layout versions that are there, other than ours.
    pub(super) fn other_layouts(&self) -> Vec<String> {
        let names = names_in(&self.dir);
        names.into_iter().filter(|name| name.starts_with('v') && *name != format!("v{LAYOUT_VERSION}")).collect()
    }
}

/// The pins of a network namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HostPins {
    dir: PathBuf,
}

impl HostPins {
    pub(super) fn of(netns: u64) -> Self {
        Self { dir: Path::new(ROOT).join(format!("host:{netns}")) }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn state(&self) -> PathBuf {
        self.dir.join(format!("v{LAYOUT_VERSION}"))
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.state().join(name)
    }

    pub(super) fn generation(&self, number: u64) -> PathBuf {
        self.state().join(format!("g{number}"))
    }

    /// Numbers of the generations that are there.
    pub(super) fn generations(&self) -> Vec<u64> {
        let names = names_in(&self.state());
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_prefix('g')?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// An interface of this network namespace that has pins of ours.
#[derive(Clone, Debug)]
pub struct Protected {
    /// Its name.
    pub interface: String,
    /// Its pins.
    pub pins: InterfacePins,
    /// What was recorded at the last `apply`.
    pub record: InterfaceRecord,
}

/// Every protected interface of this network namespace, by name; with `only`, those.
///
/// # Errors
/// When the pins cannot be read, or when a name in `only` is not protected.
pub fn protected(only: &[String]) -> Result<Vec<Protected>, DataplaneError> {
    let netns = netns()?;
    let mut found = Vec::new();
    for name in names_in(Path::new(ROOT)) {
        if name.starts_with("host:") {
            continue;
        }
        let pins = InterfacePins { dir: Path::new(ROOT).join(&name) };
        // What another network namespace has, whatever wrote it, is none of our business.
        if !pins.is_of(netns) {
            continue;
        }
        if let Some(record) = pins.record()?
            && record.netns == netns
        {
            found.push(Protected { interface: record.interface.clone(), pins, record });
        }
    }
    found.sort_by(|a, b| a.interface.cmp(&b.interface));
    if only.is_empty() {
        return Ok(found);
    }
    for name in only {
        if !found.iter().any(|one| one.interface == *name) {
            let others: Vec<&str> = found.iter().map(|one| one.interface.as_str()).collect();
            let others = if others.is_empty() {
                "no interface is".to_owned()
            } else {
                format!("protected: {}", others.join(", "))
            };
            return Err(DataplaneError::NotProtected(format!(
                "interface `{name}` is not protected by enforcer ({others})"
            )));
        }
    }
    found.retain(|one| only.contains(&one.interface));
    Ok(found)
}

/// Inode number of this network namespace.
pub(super) fn netns() -> Result<u64, DataplaneError> {
    let path = Path::new("/proc/self/ns/net");
    Ok(fs::metadata(path).map_err(at(path.to_owned()))?.ino())
}

/// Makes sure that pins made here will be there tomorrow: that `/sys/fs/bpf` is a bpffs, and the one that PID 1 sees.
pub(super) fn check_bpffs() -> Result<(), DataplaneError> {
    if let Some(error) = wrong_bpffs_here() {
        return Err(error);
    }
    let path = Path::new(BPFFS);
    if is_bpffs(path) {
        return Ok(());
    }
    nix::mount::mount(Some("bpf"), path, Some("bpf"), nix::mount::MsFlags::empty(), Some("mode=0700")).map_err(
        |error| {
            DataplaneError::NotAllowed(format!(
                "{BPFFS} is not a BPF file system and cannot be mounted ({error}); run `mount -t bpf bpf {BPFFS}`"
            ))
        },
    )
}

/// Why pins made here would not be there tomorrow, where that is so.
pub(super) fn wrong_bpffs_here() -> Option<DataplaneError> {
    let (path, of_init) = (Path::new(BPFFS), bpffs_of_init());
    let of_init = of_init.as_path();
    let is_private = if is_bpffs(path) {
        let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev());
        // Where nobody above can be looked at (it takes CAP_SYS_PTRACE), ours is taken for the right one.
        device(of_init).is_ok_and(|init| device(path).is_ok_and(|ours| ours != init))
    } else {
        is_bpffs(of_init)
    };
    is_private.then(wrong_bpffs)
}

/// The BPF file system as PID 1 sees it, or where that cannot be looked at (in a container) the eldest process above this one
/// that can: `ip netns exec` gives only what it starts a file system of its own.
fn bpffs_of_init() -> PathBuf {
    let of = |pid: i32| PathBuf::from(format!("/proc/{pid}/root{BPFFS}"));
    let parent = |pid: i32| procfs::process::Process::new(pid).and_then(|process| process.stat()).map(|stat| stat.ppid);
    let mut eldest = of(1);
    if fs::metadata(&eldest).is_ok() {
        return eldest;
    }
    let mut pid = i32::try_from(std::process::id()).unwrap_or(0);
    while let Ok(above) = parent(pid)
        && above > 1
    {
        if fs::metadata(of(above)).is_ok() {
            eldest = of(above);
        }
        pid = above;
    }
    eldest
}

fn is_bpffs(path: &Path) -> bool {
    use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
    statfs(path).is_ok_and(|answer| answer.filesystem_type() == BPF_FS_MAGIC)
}

fn wrong_bpffs() -> DataplaneError {
    DataplaneError::Refused(format!(
        "{BPFFS} is not the BPF file system of this machine but a private one, as `ip netns exec` makes: pins would vanish \
         with this command. Enter only the network namespace instead: `nsenter --net=/run/netns/NAME enforcer ..`"
    ))
}

/// Makes a folder that only root can enter.
pub(super) fn make_dir(path: &Path) -> Result<(), DataplaneError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path.to_owned()))
}

/// Removes a folder of pins and all that is in it. That it is not there is fine.
pub(super) fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Names in a folder, sorted; none where it cannot be read.
pub(super) fn names_in(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// An interface name as a file name on bpffs, which admits no dot.
fn escape(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_interface_gets_a_name_without_a_dot() {
        assert_eq!(escape("eth0.100"), "eth0%2e100");
        assert_eq!(escape("a%2eb"), "a%252eb");
    }
}
