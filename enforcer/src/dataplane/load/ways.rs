//! The dispatcher of a pending change: loading it, and the programs between which it decides.
//!
//! Arrays and dispatchers are pinned in the folder of the generation that waits. Such a pin is also the sign that a dispatcher may be on the
//! hook, so it goes only after the hook has its program itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::SchedClassifier;
use aya_obj::generated::bpf_map_type;
use enforcer_common::Direction;
use enforcer_common::way_back::Way;

use crate::dataplane::error::{Context as _, DataplaneError, at};

/// The programs of a change that waits, and of what was confirmed last, in the order of [`Direction::ALL`].
pub(in crate::dataplane) struct Ways([MapData; 2]);

impl Ways {
    /// Makes the arrays and pins them in the folder of a generation. They are empty.
    pub(in crate::dataplane) fn make(folder: &Path) -> Result<Self, DataplaneError> {
        let make = |direction: Direction| -> Result<MapData, DataplaneError> {
            let kind = bpf_map_type::BPF_MAP_TYPE_PROG_ARRAY as u32;
            let path = array(folder, direction);
            let context = || format!("cannot make the map {}", path.display());
            let map = aya_obj::Map::new_from_params(kind, 4, 4, Way::COUNT, 0);
            let map = MapData::create(map, "WAYS", None).with_context(context)?;
            map.pin(&path).with_context(context)?;
            Ok(map)
        };
        let [inbound, outbound] = Direction::ALL.map(make);
        Ok(Self([inbound?, outbound?]))
    }

    /// The array of a direction.
    pub(in crate::dataplane) fn array(&self, direction: Direction) -> &MapData {
        &self.0[direction as usize]
    }

    /// Puts the programs into the arrays: those of the generation that waits, and those of the generation that was confirmed last.
    ///
    /// # Errors
    /// When the kernel refuses one beside the dispatcher: they were not loaded in the same way.
    pub(in crate::dataplane) fn fill(self, pending: &Path, confirmed: &Path) -> Result<(), DataplaneError> {
        for (direction, data) in Direction::ALL.into_iter().zip(self.0) {
            let context = || format!("the kernel does not take both {} programs", direction.name());
            let mut array =
                ProgramArray::try_from(Map::from_map_data(data).with_context(context)?).with_context(context)?;
            for (way, folder) in [(Way::Pending, pending), (Way::Confirmed, confirmed)] {
                // Of whatever type it is: only its descriptor is used.
                let program = SchedClassifier::from_pin(folder.join(direction.name())).with_context(context)?;
                array.set(way as u32, program.fd().with_context(context)?, 0).with_context(context)?;
            }
        }
        Ok(())
    }
}

/// The pin of the dispatcher of a direction.
pub(in crate::dataplane) fn dispatcher(folder: &Path, direction: Direction) -> PathBuf {
    folder.join(format!("pending_{}", direction.name()))
}

/// Whether a dispatcher of a generation may be on a hook.
pub(in crate::dataplane) fn has_dispatcher(folder: &Path) -> bool {
    Direction::ALL
        .into_iter()
        .any(|direction| dispatcher(folder, direction).exists() || array(folder, direction).exists())
}

/// The program of a generation for the hook: the dispatcher while there is one.
pub(in crate::dataplane) fn for_hook(folder: &Path, direction: Direction) -> PathBuf {
    let dispatcher = dispatcher(folder, direction);
    if dispatcher.exists() { dispatcher } else { folder.join(direction.name()) }
}

/// Removes dispatchers and arrays. No hook has one of them.
pub(in crate::dataplane) fn remove(folder: &Path) -> Result<(), DataplaneError> {
    let dispatchers = Direction::ALL.map(|direction| dispatcher(folder, direction));
    // The arrays last: until then the dispatchers are found again.
    for path in dispatchers.into_iter().chain(Direction::ALL.map(|direction| array(folder, direction))) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The pin of the array of a direction.
fn array(folder: &Path, direction: Direction) -> PathBuf {
    folder.join(format!("ways_{}", direction.name()))
}
