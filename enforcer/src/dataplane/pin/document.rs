//! Records are documents kept in maps: written in pieces, read as a whole.

use std::fs;
use std::path::Path;

use aya::maps::{Array, Map, MapData};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dataplane::error::{Context as _, DataplaneError, error_number};

pub(super) const CHUNK: usize = 4096;

/// Reads a record; `None`: it does not exist.
pub(in crate::dataplane) fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DataplaneError> {
    let data = match MapData::from_pin(path) {
        Ok(data) => data,
        Err(error) if error_number(&error) == Some(libc::ENOENT) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open the record {}", path.display())),
    };
    let read = || -> Result<Vec<u8>, aya::maps::MapError> {
        let map: Array<MapData, [u8; CHUNK]> = Map::from_map_data(data)?.try_into()?;
        let mut bytes = Vec::new();
        for chunk in map.iter() {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("cannot read the record {}", path.display()))?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let record = serde_json::from_slice(text)
        .with_context(|| format!("the record {} is not one of this version of enforcer", path.display()))?;
    Ok(Some(record))
}

/// Writes a record atomically, replacing an existing one.
pub(in crate::dataplane) fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<(), DataplaneError> {
    let context = || format!("cannot write the record {}", path.display());
    let text = serde_json::to_vec(record).with_context(context)?;
    let new = path.with_file_name("new_record");
    // A process that was killed at this point left it behind.
    let _ = fs::remove_file(&new);
    let count = u32::try_from(text.len() / CHUNK + 1).unwrap_or(u32::MAX);
    let mut map: Array<MapData, [u8; CHUNK]> = Array::create(count, 0).with_context(context)?;
    for (index, part) in (0..count).zip(text.chunks(CHUNK)) {
        let mut chunk = [0; CHUNK];
        chunk[..part.len()].copy_from_slice(part);
        map.set(index, chunk, 0).with_context(context)?;
    }
    map.pin(&new).with_context(context)?;
    fs::rename(&new, path).with_context(context)
}
