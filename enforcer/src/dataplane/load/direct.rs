//! Maps that programs access by a constant address, like global variables ([`Direct`]).
//!
//! aya cannot reuse an existing map for a global variable: it would overwrite the value with zeros. So these maps are created here, and
//! their descriptors are written into the instructions of the object before aya parses it. The largest part number of a map with several
//! parts is written into the instructions as well, where it costs no load.

use std::path::{Path, PathBuf};

use aya::maps::MapData;
use aya_obj::generated::{BPF_F_MMAPABLE, BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE, bpf_map_type};
use enforcer_common::Direction;
use enforcer_common::layout::{Direct, MapRow, Parts};
use enforcer_common::way_back::Way;

use super::per_cpu;
use super::ways::Ways;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::sys::open::open_map;

/// Bytes of an instruction. Loading a 64-bit constant takes two instructions.
const INSTRUCTION: usize = 8;
/// `BPF_LD | BPF_DW | BPF_IMM`.
const LOAD_CONSTANT: u8 = 0x18;
/// `BPF_ALU | BPF_AND | BPF_K`.
const MASK: u8 = 0x54;

/// Where a map is pinned.
pub(in crate::dataplane) enum Place {
    /// Pinned at this path; created and pinned if it does not exist.
    Pinned(PathBuf),
    /// Pinned at this path, where it must exist.
    Found(PathBuf),
    /// Not pinned: only one object uses it.
    Unpinned,
}

/// One map for each [`Direct`].
pub(in crate::dataplane) struct DirectMaps {
    /// Indexed by the number of each [`Direct`].
    maps: Vec<MapData>,
    counts: Counts,
}

/// Parts of a value.
#[derive(Clone, Copy)]
struct Counts {
    cpus: u32,
    ranges: u32,
}

impl Counts {
    const fn of(self, parts: Parts) -> u32 {
        match parts {
            Parts::One => 1,
            Parts::Cpus => self.cpus,
            Parts::Ranges => self.ranges,
        }
    }

    /// Bytes of a value.
    const fn bytes(self, direct: Direct) -> u32 {
        direct.size() * self.of(direct.parts())
    }
}

impl DirectMaps {
    /// Opens the maps that exist and creates the others, with room for at least `ranges` address ranges.
    ///
    /// # Errors
    /// When a map cannot be opened, created or pinned, or has an unexpected size; or when the number of possible CPUs is unknown.
    pub(in crate::dataplane) fn open_or_make(
        ranges: u32,
        place: impl Fn(&MapRow) -> Place,
    ) -> Result<Self, DataplaneError> {
        let counts = Counts { cpus: per_cpu::parts()?, ranges: Parts::of(ranges) };
        let open_or_make = |direct: Direct| {
            let path = match place(direct.row()) {
                Place::Pinned(path) => path,
                Place::Found(path) => return open(direct, counts, &path),
                Place::Unpinned => return make(direct, counts),
            };
            if path.exists() {
                return open(direct, counts, &path);
            }
            let map = make(direct, counts)?;
            map.pin(&path).with_context(|| format!("cannot pin a map at {}", path.display()))?;
            Ok(map)
        };
        Ok(Self { maps: Direct::ALL.into_iter().map(open_or_make).collect::<Result<_, _>>()?, counts })
    }

    /// The map with this number.
    pub(in crate::dataplane) fn map(&self, direct: Direct) -> &MapData {
        &self.maps[direct as usize]
    }

    /// The object, with the descriptors of these maps in place of the placeholders. Without `ways`, its dispatchers cannot be loaded.
    pub(in crate::dataplane) fn written_into(&self, object: &[u8], ways: Option<&Ways>) -> Vec<u8> {
        let mut object = object.to_vec();
        for position in placeholders(&object) {
            let at = position.at;
            let number = match position.of {
                Of::Map(direct) => name_map(&mut object, at, BPF_PSEUDO_MAP_VALUE, self.map(direct)),
                Of::Ways(direction) => match ways {
                    Some(ways) => name_map(&mut object, at, BPF_PSEUDO_MAP_FD, ways.array(direction)),
                    None => continue,
                },
                Of::LastPart(parts) => self.counts.of(parts) - 1,
            };
            object[at + 4..at + INSTRUCTION].copy_from_slice(&number.to_ne_bytes());
        }
        object
    }
}

/// Makes an instruction that loads a constant load a map, or the address of its value, and returns the descriptor.
fn name_map(object: &mut [u8], at: usize, source: u32, map: &MapData) -> u32 {
    use std::os::fd::{AsFd as _, AsRawFd as _};

    #[expect(clippy::cast_possible_truncation, reason = "it is 1 or 2, and has the high half of a byte")]
    let source = (source as u8) << 4;
    object[at + 1] |= source;
    // Where in the value: at its beginning.
    object[at + INSTRUCTION + 4..at + 2 * INSTRUCTION].fill(0);
    map.fd().as_fd().as_raw_fd().cast_unsigned()
}

/// The number of address ranges that a map has room for.
///
/// # Errors
/// When it cannot be opened.
pub(in crate::dataplane) fn room_for_ranges(path: &Path) -> Result<u32, DataplaneError> {
    let info = open_map(path)?.info().with_context(|| format!("cannot look at the map {}", path.display()))?;
    Ok(info.value_size() / Direct::Ranges4.size())
}

/// Opens an existing map and checks its size; with a wrong size the verifier would refuse the programs with a long listing.
fn open(direct: Direct, counts: Counts, path: &Path) -> Result<MapData, DataplaneError> {
    let map = open_map(path)?;
    let info = map.info().with_context(|| format!("cannot look at the map {}", path.display()))?;
    let (found, wanted) = (info.value_size(), counts.bytes(direct));
    if found != wanted {
        return Err(DataplaneError::NotAllowed(format!(
            "the map {} holds {found} bytes and not {wanted}: it is none of ours; remove it and run `enforcer apply` again",
            path.display()
        )));
    }
    Ok(map)
}

fn make(direct: Direct, counts: Counts) -> Result<MapData, DataplaneError> {
    let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    let map = aya_obj::Map::new_from_params(kind, 4, counts.bytes(direct), 1, BPF_F_MMAPABLE);
    MapData::create(map, direct.name(), None).with_context(|| format!("cannot make the map {}", direct.name()))
}

/// An instruction with a placeholder.
struct Placeholder {
    /// Offset in the object, in bytes.
    at: usize,
    of: Of,
}

/// The meaning of a placeholder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    /// The address of a map's value.
    Map(Direct),
    /// The array between whose programs the dispatcher of a direction decides.
    Ways(Direction),
    /// The largest part number.
    LastPart(Parts),
}

/// The placeholders of an object. Sections of instructions begin at multiples of the length of an instruction.
fn placeholders(object: &[u8]) -> Vec<Placeholder> {
    let (instructions, _) = object.as_chunks::<INSTRUCTION>();
    let found = instructions.windows(2).enumerate().filter_map(|(number, two)| {
        let (register, of) = match two {
            [[LOAD_CONSTANT, register, 0, 0, low @ ..], [0, 0, 0, 0, high @ ..]] => {
                let constant = u64::from(u32::from_ne_bytes(*low)) | u64::from(u32::from_ne_bytes(*high)) << 32;
                let map = Direct::ALL.into_iter().find(|direct| direct.placeholder() == constant).map(Of::Map);
                let is_array = |direction: &Direction| Way::placeholder(*direction as u32) == constant;
                (register, map.or_else(|| Direction::ALL.into_iter().find(is_array).map(Of::Ways))?)
            }
            [[MASK, register, 0, 0, mask @ ..], _] => {
                let mask = u32::from_ne_bytes(*mask);
                (register, Of::LastPart(Parts::COUNTED.into_iter().find(|parts| parts.placeholder() == mask)?))
            }
            _ => return None,
        };
        (register >> 4 == 0).then_some(Placeholder { at: number * INSTRUCTION, of })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::load::object::OBJECT;

    #[test]
    fn every_placeholder_is_found() {
        let found = placeholders(OBJECT);
        let all = Direct::ALL.into_iter().map(Of::Map).chain(Parts::COUNTED.map(Of::LastPart));
        for of in all.chain(Direction::ALL.map(Of::Ways)) {
            assert!(found.iter().any(|one| one.of == of), "no program uses {of:?}");
        }
        // Search for the bytes that all placeholders share, at any alignment.
        let [_, low @ .., _, _, _, _] = Direct::ServicesIn.placeholder().to_le_bytes();
        let [_, _, _, _, high @ ..] = Direct::ServicesIn.placeholder().to_le_bytes();
        let times = |pattern: &[u8]| OBJECT.windows(pattern.len()).filter(|bytes| *bytes == pattern).count();
        let of_parts = found.iter().filter(|one| matches!(one.of, Of::LastPart(_))).count();
        let of_maps = found.iter().filter(|one| matches!(one.of, Of::Map(_))).count();
        assert_eq!(times(&[&low[..], &[0; 4], &high].concat()), of_maps);
        assert_eq!(
            Parts::COUNTED.map(|parts| times(&parts.placeholder().to_le_bytes())).iter().sum::<usize>(),
            of_parts
        );
    }
}
