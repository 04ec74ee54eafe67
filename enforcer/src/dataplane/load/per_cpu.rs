//! Maps of one value with a part for each CPU ([`Parts::Cpus`]): the number of parts on this machine, and reading and writing them.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use enforcer_common::layout::{Direct, Parts};

use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::sys::mapped::with_memory;

/// The file that lists the possible CPUs as ranges: `0-7`, or `0,2-3`.
const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// The number of parts of such a value on this machine.
///
/// # Errors
/// When the list of possible CPUs cannot be read.
pub(in crate::dataplane) fn parts() -> Result<u32, DataplaneError> {
    let text = fs::read_to_string(POSSIBLE).with_context(|| format!("cannot read {POSSIBLE}"))?;
    let highest = highest(&text)
        .ok_or_else(|| DataplaneError::NotAllowed(format!("{POSSIBLE} says {text:?}, which are no numbers of CPUs")))?;
    Ok(Parts::of(highest + 1))
}

/// The words of each CPU's part. Programs may write them at the same time; each word is read atomically.
///
/// # Errors
/// When the map cannot be read or has an unexpected size.
pub(in crate::dataplane) fn words(data: &MapData, direct: Direct) -> Result<Vec<Vec<u64>>, DataplaneError> {
    check_size(data, direct)?;
    let words = with_memory(data, |words: &[AtomicU64]| -> Vec<u64> {
        words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
    })?;
    Ok(words.chunks(direct.size() as usize / size_of::<u64>()).map(<[u64]>::to_vec).collect())
}

/// Adds to words in the part of the first CPU, beginning at word `from`. The programs must not write these words.
///
/// # Errors
/// When the map cannot be written or has an unexpected size.
pub(in crate::dataplane) fn add(
    data: &MapData,
    direct: Direct,
    from: usize,
    amounts: &[u64],
) -> Result<(), DataplaneError> {
    check_size(data, direct)?;
    with_memory(data, |words: &[AtomicU64]| {
        for (word, amount) in words.iter().skip(from).zip(amounts) {
            word.fetch_add(*amount, Ordering::Relaxed);
        }
    })
}

fn check_size(data: &MapData, direct: Direct) -> Result<(), DataplaneError> {
    let info = data.info().with_context(|| format!("cannot look at the map {}", direct.name()))?;
    let (values, bytes) = (info.max_entries(), info.value_size());
    if values == 1 && bytes != 0 && bytes.is_multiple_of(direct.size()) {
        return Ok(());
    }
    Err(DataplaneError::NotAllowed(format!(
        "the map {} holds {values} values of {bytes} bytes, which are not ours",
        direct.name()
    )))
}

/// The highest number in ascending ranges.
fn highest(ranges: &str) -> Option<u32> {
    ranges.trim().rsplit(['-', ',']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_of_a_cpu_is_the_last_one() {
        let found = ["0\n", "0-7\n", "0,2-3\n", "0-3,8", "", "none"].map(highest);
        assert_eq!(found, [Some(0), Some(7), Some(3), Some(8), None, None]);
    }

    #[test]
    fn this_machine_has_a_part_for_each_of_its_cpus() {
        let parts = parts().unwrap();
        assert!(parts.is_power_of_two());
        assert!(parts as usize >= aya::util::nr_cpus().unwrap());
    }
}
