//! Maps whose address stands in the programs. aya makes such maps of global variables, but has no place for one that is there
//! already, and writes zeros into it; so these are made here, and the object gets their descriptors before aya reads it.

use std::path::PathBuf;

use aya::maps::MapData;
use aya_obj::generated::{BPF_F_MMAPABLE, BPF_PSEUDO_MAP_VALUE, bpf_map_type};
use enforcer_common::layout::Direct;

use super::error::{DataplaneError, Doing as _};
use super::pins::open_map;

/// Bytes of an instruction. One that loads a 64-bit constant is two.
const INSTRUCTION: usize = 8;
/// `BPF_LD | BPF_DW | BPF_IMM`.
const LOAD_CONSTANT: u8 = 0x18;

/// Where such a map is.
pub(super) enum Place {
    /// Pinned here, by us if it is not yet.
    Pinned(PathBuf),
    /// Pinned here by whoever made it.
    Found(PathBuf),
    /// Nowhere: it is for one object alone.
    Unpinned,
}

/// One map for each [`Direct`].
pub(super) struct DirectMaps(Vec<MapData>);

impl DirectMaps {
    /// Opens those that are there, and makes the others.
    ///
    /// # Errors
    /// When one cannot be opened, made or pinned.
    pub(super) fn open_or_make(place: impl Fn(Direct) -> Place) -> Result<Self, DataplaneError> {
        let open_or_make = |direct: Direct| {
            let path = match place(direct) {
                Place::Pinned(path) => path,
                Place::Found(path) => return open_map(&path),
                Place::Unpinned => return make(direct),
            };
            if path.exists() {
                return open_map(&path);
            }
            let map = make(direct)?;
            map.pin(&path).doing(|| format!("cannot pin a map at {}", path.display()))?;
            Ok(map)
        };
        Direct::ALL.into_iter().map(open_or_make).collect::<Result<_, _>>().map(Self)
    }

    /// One of them.
    pub(super) fn map(&self, direct: Direct) -> &MapData {
        &self.0[direct as usize]
    }

    /// The object, whose programs then use these maps.
    pub(super) fn written_into(&self, object: &[u8]) -> Vec<u8> {
        use std::os::fd::{AsFd as _, AsRawFd as _};

        let mut object = object.to_vec();
        for position in placeholders(&object) {
            let at = position.at;
            let descriptor = self.map(position.direct).fd().as_fd().as_raw_fd();
            #[expect(clippy::cast_possible_truncation, reason = "it is 2, and has the high half of a byte")]
            let source = (BPF_PSEUDO_MAP_VALUE as u8) << 4;
            object[at + 1] |= source;
            object[at + 4..at + INSTRUCTION].copy_from_slice(&descriptor.to_ne_bytes());
            // Where in the value: at its beginning.
            object[at + INSTRUCTION + 4..at + 2 * INSTRUCTION].fill(0);
        }
        object
    }
}

fn make(direct: Direct) -> Result<MapData, DataplaneError> {
    let kind = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    let map = aya_obj::Map::new_from_params(kind, 4, direct.size(), 1, BPF_F_MMAPABLE);
    MapData::create(map, direct.name(), None).doing(|| format!("cannot make the map {}", direct.name()))
}

/// An instruction that loads the placeholder of a map.
#[derive(Debug, Eq, PartialEq)]
struct Placeholder {
    /// Offset in the object, in bytes.
    at: usize,
    direct: Direct,
}

/// Where an object speaks of these maps. Sections of instructions begin at multiples of their length.
fn placeholders(object: &[u8]) -> Vec<Placeholder> {
    let (instructions, _) = object.as_chunks::<INSTRUCTION>();
    let found = instructions.windows(2).enumerate().filter_map(|(number, two)| {
        let [[LOAD_CONSTANT, register, 0, 0, low @ ..], [0, 0, 0, 0, high @ ..]] = two else { return None };
        let constant = u64::from(u32::from_ne_bytes(*low)) | u64::from(u32::from_ne_bytes(*high)) << 32;
        let direct = Direct::ALL.into_iter().find(|direct| direct.placeholder() == constant)?;
        (register >> 4 == 0).then_some(Placeholder { at: number * INSTRUCTION, direct })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::super::load::OBJECT;
    use super::*;

    #[test]
    fn every_placeholder_of_every_map_is_found() {
        let found = placeholders(OBJECT);
        for direct in Direct::ALL {
            assert!(found.iter().any(|one| one.direct == direct), "no program uses {}", direct.name());
        }
        // Wherever the bytes stand in which all placeholders are alike, aligned or not.
        let [_, low @ .., _, _, _, _] = Direct::ServicesIn.placeholder().to_le_bytes();
        let [_, _, _, _, high @ ..] = Direct::ServicesIn.placeholder().to_le_bytes();
        let pattern = [&low[..], &[0; 4], &high].concat();
        assert_eq!(OBJECT.windows(pattern.len()).filter(|bytes| *bytes == pattern).count(), found.len());
    }
}
