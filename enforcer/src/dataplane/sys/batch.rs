//! Reads and fills whole maps with a few system calls (`BPF_MAP_LOOKUP_BATCH`, `BPF_MAP_UPDATE_BATCH`, Linux 5.6), which aya does not
//! offer. If the kernel has no batch calls for a map type, entries are read one by one. Reading does not change the age of LRU entries.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::Pod;
use aya::maps::MapData;
use aya_obj::generated::bpf_cmd;

use super::bpf::{bpf, no_attributes};
use super::one_by_one;

/// Entries that one call reads.
const ROOM: usize = 4096;
/// The largest number of entries expected in one hash bucket; beyond it the kernel would answer `ENOSPC` again and again.
const MOST_ROOM: usize = 1 << 22;

/// The kernel's position in the map: opaque, at most as long as the longest key.
#[derive(Clone, Copy, Default)]
struct Position([u64; 8]);

/// Every entry of a hash map or trie, none of them twice. Entries added or removed meanwhile may be missing or present.
pub(in crate::dataplane) fn hash_entries<K: Pod + Default, V: Pod + Default>(
    data: &MapData,
) -> io::Result<Vec<(K, V)>> {
    let mut found = Vec::new();
    each_batch(data, |keys: &[K], values: &[V]| found.extend(keys.iter().copied().zip(values.iter().copied())))?;
    Ok(found)
}

/// The number of entries of a hash map. It needs memory for [`ROOM`] entries, whatever the size of the map.
pub(in crate::dataplane) fn count_entries<K: Pod + Default, V: Pod + Default>(data: &MapData) -> io::Result<u64> {
    let mut count = 0;
    each_batch(data, |keys: &[K], _: &[V]| count += keys.len() as u64)?;
    Ok(count)
}

/// About how many entries a hash map has, by one system call that reads [`ROOM`] of them; exact if there are no more. The error is about
/// one part in sixty.
///
/// A hash map is read bucket by bucket, and the kernel's position is the number of the next bucket (`__htab_map_lookup_and_delete_batch` in
/// `kernel/bpf/hashtab.c`); it has as many buckets as the next power of two of its entries (`htab_map_alloc`). A position that cannot be
/// such a number makes this count every entry.
pub(in crate::dataplane) fn estimate_entries<K: Pod + Default, V: Pod + Default>(data: &MapData) -> io::Result<u64> {
    check_sizes::<K>(data, size_of::<V>())?;
    let (mut keys, mut values) = (vec![K::default(); ROOM], vec![V::default(); ROOM]);
    // SAFETY: both buffers hold `ROOM` elements of the sizes that the map has, as was checked above.
    let step = unsafe { step(data, None, keys.as_mut_ptr().cast(), values.as_mut_ptr().cast(), ROOM) };
    let Ok(Step { count, next }) = step else { return count_entries::<K, V>(data) };
    let Some(Position([word, ..])) = next else { return Ok(count as u64) };
    let [a, b, c, d, ..] = word.to_ne_bytes();
    let read = u64::from(u32::from_ne_bytes([a, b, c, d]));
    let buckets = u64::from(data.info().map_err(io::Error::other)?.max_entries()).next_power_of_two();
    if (1..=buckets).contains(&read) { Ok(count as u64 * buckets / read) } else { count_entries::<K, V>(data) }
}

/// Calls `each` with the entries of a hash map, in chunks of one system call.
fn each_batch<K: Pod + Default, V: Pod + Default>(data: &MapData, mut each: impl FnMut(&[K], &[V])) -> io::Result<()> {
    const { assert!(size_of::<K>() <= size_of::<Position>()) };
    check_sizes::<K>(data, size_of::<V>())?;
    let mut room = ROOM;
    let (mut keys, mut values) = (vec![K::default(); room], vec![V::default(); room]);
    let mut from = None;
    loop {
        // SAFETY: both buffers hold `room` elements of the sizes that the map has, as was checked above.
        let step = unsafe { step(data, from.as_ref(), keys.as_mut_ptr().cast(), values.as_mut_ptr().cast(), room) };
        match step {
            Err(error) if has_no_batches(&error) => return one_by_one::each(data, each),
            Ok(Step { count, next }) => {
                each(&keys[..count], &values[..count]);
                match next {
                    Some(next) => from = Some(next),
                    None => return Ok(()),
                }
            }
            // A bucket holds more entries than there is room for: repeat with a larger buffer.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < MOST_ROOM => {
                room *= 2;
                (keys, values) = (vec![K::default(); room], vec![V::default(); room]);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Calls `each` for every element of a per-CPU array, with its values on all possible CPUs.
pub(in crate::dataplane) fn per_cpu_elements<V: Pod + Default>(
    data: &MapData,
    mut each: impl FnMut(u32, &[V]),
) -> io::Result<()> {
    // The kernel rounds each CPU's value up to eight bytes; ours are made of such words.
    const { assert!(size_of::<V>().is_multiple_of(8)) };
    check_sizes::<u32>(data, size_of::<V>())?;
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
    // Limits the memory on machines with many CPUs.
    let room = (ROOM / cpus).max(16);
    let (mut keys, mut values) = (vec![0_u32; room], vec![V::default(); room * cpus]);
    let mut from = None;
    loop {
        // SAFETY: `room` keys, and as many values for each CPU; the sizes were checked above.
        let step = unsafe { step(data, from.as_ref(), keys.as_mut_ptr().cast(), values.as_mut_ptr().cast(), room) };
        let Step { count, next } = match step {
            Err(error) if has_no_batches(&error) => return one_by_one::per_cpu(data, cpus, each),
            step => step?,
        };
        for (key, values) in keys.iter().zip(values.chunks(cpus)).take(count) {
            each(*key, values);
        }
        match next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

/// Writes entries into a map, replacing existing ones.
pub(in crate::dataplane) fn write_entries<K: Pod, V: Pod>(data: &MapData, entries: &[(K, V)]) -> io::Result<()> {
    check_sizes::<K>(data, size_of::<V>())?;
    for entries in entries.chunks(ROOM) {
        let keys: Vec<K> = entries.iter().map(|(key, _)| *key).collect();
        let values: Vec<V> = entries.iter().map(|(_, value)| *value).collect();
        let mut attributes = no_attributes();
        attributes.batch.keys = keys.as_ptr().expose_provenance() as u64;
        attributes.batch.values = values.as_ptr().expose_provenance() as u64;
        attributes.batch.count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        attributes.batch.map_fd = data.fd().as_fd().as_raw_fd().cast_unsigned();
        // SAFETY: both buffers live until after the call and hold `count` elements of the sizes that the map has, as was checked
        // above. The kernel only reads them.
        match unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attributes) } {
            Err(error) if has_no_batches(&error) => one_by_one::write(data, entries)?,
            answer => drop(answer?),
        }
    }
    Ok(())
}

/// Whether an error means that the kernel has no batch calls for this map type: tries and per-CPU arrays before 5.13.
fn has_no_batches(error: &io::Error) -> bool {
    /// `include/linux/errno.h`. The kernel returns it to user space although it is meant for internal use.
    const ENOTSUPP: i32 = 524;
    error.raw_os_error() == Some(ENOTSUPP)
}

fn check_sizes<K>(data: &MapData, value: usize) -> io::Result<()> {
    let info = data.info().map_err(io::Error::other)?;
    let (keys, values) = (info.key_size() as usize, info.value_size() as usize);
    if (keys, values) == (size_of::<K>(), value) {
        return Ok(());
    }
    Err(io::Error::other(format!("the map holds keys of {keys} and values of {values} bytes, which are not ours")))
}

struct Step {
    count: usize,
    next: Option<Position>,
}

/// Makes one system call.
///
/// # Safety
/// `keys` and `values` have room for as many keys and values of this map.
unsafe fn step(
    data: &MapData,
    from: Option<&Position>,
    keys: *mut libc::c_void,
    values: *mut libc::c_void,
    room: usize,
) -> io::Result<Step> {
    let mut next = Position::default();
    let mut attributes = no_attributes();
    attributes.batch.in_batch = from.map_or(0, |from| from.0.as_ptr().expose_provenance() as u64);
    attributes.batch.out_batch = next.0.as_mut_ptr().expose_provenance() as u64;
    attributes.batch.keys = keys.expose_provenance() as u64;
    attributes.batch.values = values.expose_provenance() as u64;
    attributes.batch.count = u32::try_from(room).unwrap_or(u32::MAX);
    attributes.batch.map_fd = data.fd().as_fd().as_raw_fd().cast_unsigned();
    // SAFETY: the addresses in the attributes are those of memory of ours that outlives the call, and the caller promises that there
    // is room for what the kernel writes.
    let answer = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attributes) };
    // SAFETY: the attributes are those of this command, which also writes the number.
    let count = (unsafe { attributes.batch.count } as usize).min(room);
    match answer {
        Ok(_) => Ok(Step { count, next: Some(next) }),
        // The end of the map; the last entries come with this error.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Step { count, next: None }),
        Err(error) => Err(error),
    }
}
