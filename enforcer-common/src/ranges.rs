//! Which class of sources an IPv4 address belongs to: ranges of addresses in ascending order, and where those of each /16 begin.
//!
//! A trie answers the same by a walk over as many nodes as there are branches above the address, each somewhere else in memory. Most
//! /16 of the world lie in one range, and then no search is needed at all.

/// Entries of the index: one for each /16, and one behind the last.
pub const INDEX: u32 = (1 << 16) + 1;
/// Steps of a search at most. In a /16 are 65,536 ranges, and the one that covers the beginning of the next may be another.
const STEPS: u32 = (1_u32 << 16).ilog2() + 1;

/// The number of the range that covers an address (host byte order), the greatest whose first address is not beyond it.
///
/// `index` gives two entries, that of a /16 and the next: the number of the range that covers its first address, or behind the last
/// /16 that of the last range. `first` gives the first address of a range. Whatever they say, this ends.
#[inline(always)]
pub fn find(address: u32, index: impl Fn(u32) -> [u32; 2], first: impl Fn(u32) -> u32) -> u32 {
    let [mut at, last] = index(address >> 16);
    let mut count = last.wrapping_sub(at).wrapping_add(1);
    let behind = u64::from(address) + 1;
    for _ in 0..STEPS {
        if count <= 1 {
            break;
        }
        let half = count >> 1;
        // All ones where that range does not begin beyond the address. No branch: nobody could predict which way it goes.
        let begins = (u64::from(first(at.wrapping_add(half))).wrapping_sub(behind) >> 32) as u32;
        at = at.wrapping_add(half & begins);
        count -= half;
    }
    at
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::cell::Cell;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_search_finds_what_a_walk_finds() {
        // Whole /16, parts of one, a /16 with a range for each address, and the last address of all.
        let few = [0, 0x0a00_0000, 0x0a01_0000, 0x0a01_0001, 0x0a01_8000, 0x0a01_ffff, 0xffff_ffff];
        let many = (0..=0xffff).map(|low| 0xc0a8_0000 + low);
        let firsts: Vec<u32> = few[..6].iter().copied().chain(many).chain([0xc0a9_0000, few[6]]).collect();
        let walk = |address: u32| u32::try_from(firsts.partition_point(|first| *first <= address)).unwrap() - 1;
        let entry = |block: u32| if block == INDEX - 1 { walk(u32::MAX) } else { walk(block << 16) };
        let index = |block| [entry(block), entry(block + 1)];
        for first in &firsts {
            for address in [first.wrapping_sub(1), *first, first.wrapping_add(1)] {
                assert_eq!(find(address, index, |number| firsts[number as usize]), walk(address), "{address:#x}");
            }
        }
    }

    #[test]
    fn it_ends_whatever_the_index_says() {
        for entries in [[0, u32::MAX], [u32::MAX, 0], [7, 3]] {
            let steps = Cell::new(0);
            // What it finds means nothing; the program cuts it to what there is.
            let _ = find(
                u32::MAX,
                |_| entries,
                |_| {
                    steps.set(steps.get() + 1);
                    0
                },
            );
            assert!(steps.get() <= STEPS, "{entries:?}: {} steps", steps.get());
        }
    }
}
