//! Programs, maps and links by the kernel's numbers: which of those that were once ours are still there.
//!
//! Numbers are never given twice, so what was seen once and is still listed later has not been freed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use aya::programs::ProgramInfo;
use serde_json::Value;

use crate::bpf;

/// Numbers of BPF objects, by kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Objects {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
}

impl Objects {
    /// Adds what is pinned below a folder, and what that uses. What goes away meanwhile is left out.
    pub fn add_pinned(&mut self, folder: &Path) {
        for path in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                self.add_pinned(&path);
            } else if let Ok(object) = bpf::pinned(&path) {
                self.add_described(&description(&object));
                let used = ProgramInfo::from_pin(&path).and_then(|program| program.map_ids());
                self.maps.extend(used.ok().flatten().into_iter().flatten());
            }
        }
    }

    /// Adds what a process has open.
    pub fn add_open(&mut self, process: u32) {
        let folder = format!("/proc/{process}/fdinfo");
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            self.add_described(&fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }

    /// Adds objects.
    pub fn add(&mut self, more: &Self) {
        self.programs.extend(&more.programs);
        self.maps.extend(&more.maps);
        self.links.extend(&more.links);
    }

    /// Those of these that bpftool still lists.
    ///
    /// # Panics
    /// When there is no bpftool, or it prints no JSON.
    #[must_use]
    #[track_caller]
    pub fn alive(&self) -> Self {
        Self {
            programs: &self.programs & &listed("prog"),
            maps: &self.maps & &listed("map"),
            links: &self.links & &listed("link"),
        }
    }

    /// Those of these that are not among others.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self {
            programs: &self.programs - &others.programs,
            maps: &self.maps - &others.maps,
            links: &self.links - &others.links,
        }
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.programs.len() + self.maps.len() + self.links.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the kernel accounts for the maps, by the names of those, as bpftool says.
    ///
    /// # Panics
    /// When there is no bpftool, or it prints no JSON.
    #[must_use]
    #[track_caller]
    pub fn memory(&self) -> BTreeMap<String, u64> {
        let mut memory = BTreeMap::new();
        for map in bpftool("map") {
            if number(&map["id"]).is_some_and(|id| self.maps.contains(&id)) {
                let name = map["name"].as_str().unwrap_or_default().to_owned();
                *memory.entry(name).or_default() += map["bytes_memlock"].as_u64().unwrap_or(0);
            }
        }
        memory
    }

    /// What the kernel says of a descriptor: a link has the number of its program beside its own.
    fn add_described(&mut self, text: &str) {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok());
        self.links.extend(field("link_id:"));
        self.programs.extend(field("prog_id:"));
        self.maps.extend(field("map_id:"));
    }
}

fn description(object: &OwnedFd) -> String {
    fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd())).unwrap_or_default()
}

#[track_caller]
fn listed(kind: &str) -> BTreeSet<u32> {
    bpftool(kind).iter().filter_map(|one| number(&one["id"])).collect()
}

#[track_caller]
fn bpftool(kind: &str) -> Vec<Value> {
    let output = Command::new("bpftool").args(["--json", kind, "show"]).output().expect("bpftool is there");
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("bpftool {kind} show: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    json.as_array().cloned().unwrap_or_default()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::bpf::{Kind, instruction};

    #[test]
    fn what_is_open_is_alive_and_what_is_closed_is_gone() {
        let code = [instruction(0xb7, [0, 0], 0, 2), instruction(0x95, [0, 0], 0, 0)];
        let (program, map) = (bpf::load(Kind::Tc, "gone", &code).unwrap(), bpf::program_array().unwrap());
        let ids = [bpf::id(&program).unwrap(), bpf::id(&map).unwrap()];
        let mut ours = Objects::default();
        ours.add_open(std::process::id());
        assert!(ours.programs.contains(&ids[0]) && ours.maps.contains(&ids[1]), "{ids:?} of {ours:?}");
        let ours = Objects { programs: [ids[0]].into(), maps: [ids[1]].into(), links: BTreeSet::new() };
        assert_eq!(ours.alive(), ours);
        assert_eq!(ours.memory().len(), 1, "the map without a name");
        drop((program, map));
        // The kernel frees them when nobody looks at them any more.
        let end = Instant::now() + Duration::from_secs(60);
        while !ours.alive().is_empty() {
            assert!(Instant::now() < end, "still there: {:?}", ours.alive());
        }
    }
}
