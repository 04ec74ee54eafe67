//! Reads and fills whole maps with one or two system calls for each entry, for kernels without batch calls.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::Pod;
use aya::maps::MapData;
use aya_obj::generated::{bpf_attr, bpf_cmd};

use super::bpf::{bpf, no_attributes};

/// Calls `each` with the entries of a map. The caller has checked that keys and values have the sizes of the map's.
pub(super) fn each<K: Pod + Default, V: Pod + Default>(
    data: &MapData,
    mut each: impl FnMut(&[K], &[V]),
) -> io::Result<()> {
    let mut last = None;
    loop {
        let mut key = K::default();
        let mut attributes = of(data, last.as_ref());
        attributes.__bindgen_anon_2.__bindgen_anon_1.next_key = (&raw mut key).expose_provenance() as u64;
        // SAFETY: both keys live until after the call and are as long as the map's.
        match unsafe { bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attributes) } {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
            Err(error) => return Err(error),
        }
        last = Some(key);
        let mut value = [V::default()];
        // SAFETY: there is room for a value.
        if unsafe { look_up(data, &key, value.as_mut_ptr())? } {
            each(&[key], &value);
        }
    }
}

/// Calls `each` for every element of a per-CPU array, with its values on all CPUs. The value has the size of the map's, a multiple of
/// eight bytes.
pub(super) fn per_cpu<V: Pod + Default>(
    data: &MapData,
    cpus: usize,
    mut each: impl FnMut(u32, &[V]),
) -> io::Result<()> {
    let count = data.info().map_err(io::Error::other)?.max_entries();
    let mut values = vec![V::default(); cpus];
    for key in 0..count {
        // SAFETY: there is room for a value of each CPU that there can be.
        if unsafe { look_up(data, &key, values.as_mut_ptr())? } {
            each(key, &values);
        }
    }
    Ok(())
}

/// Writes entries into a map. Keys and values have the sizes of the map's.
pub(super) fn write<K: Pod, V: Pod>(data: &MapData, entries: &[(K, V)]) -> io::Result<()> {
    for (key, value) in entries {
        let mut attributes = of(data, Some(key));
        attributes.__bindgen_anon_2.__bindgen_anon_1.value = (&raw const *value).expose_provenance() as u64;
        // SAFETY: key and value live until after the call and are as long as the map's. The kernel only reads them.
        unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attributes)? };
    }
    Ok(())
}

/// Whether there is such an entry; its value is then written to `value`.
///
/// # Safety
/// The key is as long as the map's, and `value` has room for a value of the map (for one of each possible CPU, if it is per-CPU).
unsafe fn look_up<K, V>(data: &MapData, key: &K, value: *mut V) -> io::Result<bool> {
    let mut attributes = of(data, Some(key));
    attributes.__bindgen_anon_2.__bindgen_anon_1.value = value.expose_provenance() as u64;
    // SAFETY: as the caller promises.
    match unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attributes) } {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The attributes of a command about one entry.
fn of<K>(data: &MapData, key: Option<&K>) -> bpf_attr {
    let mut attributes = no_attributes();
    attributes.__bindgen_anon_2.map_fd = data.fd().as_fd().as_raw_fd().cast_unsigned();
    attributes.__bindgen_anon_2.key = key.map_or(0, |key| (&raw const *key).expose_provenance() as u64);
    attributes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aya_obj::generated::{BPF_F_NO_PREALLOC, bpf_map_type};

    use super::*;
    use crate::dataplane::sys::batch;

    fn map(kind: bpf_map_type, key: u32, value: u32, flags: u32) -> Option<MapData> {
        let map = aya_obj::Map::new_from_params(kind as u32, key, value, 64, flags);
        // Host tests may run on a machine where creating maps is not permitted.
        MapData::create(map, "ONE_BY_ONE", None).ok()
    }

    #[test]
    fn the_same_is_read_and_written_as_in_batches() {
        let kind = bpf_map_type::BPF_MAP_TYPE_LPM_TRIE;
        let (Some(ours), Some(theirs)) = (map(kind, 8, 4, BPF_F_NO_PREALLOC), map(kind, 8, 4, BPF_F_NO_PREALLOC))
        else {
            return;
        };
        // A prefix of an IPv4 address: its length, and the address.
        let entries: Vec<([u32; 2], u32)> = (0..40).map(|number| ([32, number], number * 3)).collect();
        write(&ours, &entries).unwrap();
        batch::write_entries(&theirs, &entries).unwrap();
        for map in [&ours, &theirs] {
            let mut found = BTreeMap::new();
            each(map, |keys: &[[u32; 2]], values: &[u32]| found.extend([(keys[0], values[0])])).unwrap();
            assert_eq!(found, entries.iter().copied().collect());
            assert_eq!(found, batch::hash_entries::<[u32; 2], u32>(map).unwrap().into_iter().collect());
        }
    }

    #[test]
    fn every_element_of_a_per_cpu_array_is_seen() {
        let Some(map) = map(bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 0) else { return };
        let cpus = aya::util::nr_cpus().unwrap();
        let values: Vec<u64> = (1..).take(cpus).collect();
        let mut attributes = of(&map, Some(&5_u32));
        attributes.__bindgen_anon_2.__bindgen_anon_1.value = values.as_ptr().expose_provenance() as u64;
        // SAFETY: a value for each CPU.
        unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attributes) }.unwrap();
        let (mut single, mut batches) = (Vec::new(), Vec::new());
        per_cpu(&map, cpus, |key, values: &[u64]| single.push((key, values.to_vec()))).unwrap();
        batch::per_cpu_elements(&map, |key, values: &[u64]| batches.push((key, values.to_vec()))).unwrap();
        assert_eq!(single, batches);
        assert_eq!((single.len(), &single[5]), (64, &(5, values)));
    }
}
