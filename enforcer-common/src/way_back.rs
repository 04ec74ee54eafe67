//! The way back from a change that nobody confirms: past its deadline, a dispatcher on the hook goes over to the programs that were confirmed
//! last. Times are counts of jiffies, the cheapest clock there is, because every packet asks.

/// The programs between which a dispatcher decides, in an array for each direction (`BPF_MAP_TYPE_PROG_ARRAY`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Way {
    /// The program of the change that waits for confirmation.
    Pending,
    /// The program that was confirmed last.
    Confirmed,
}

impl Way {
    /// Programs in an array.
    pub const COUNT: u32 = 2;

    /// What stands in the object in the place of the array of a direction: a number that means nothing else.
    #[must_use]
    pub const fn placeholder(direction: u32) -> u64 {
        0x656e_6677_6179_7300 | direction as u64
    }
}

/// Goes over to the program that judges now. `go_on` comes back only where there is no such program: then the other one judges. Comes back
/// if there is neither, and whoever called must drop the packet.
#[inline(always)]
pub fn dispatch(now: u64, way_back: u64, mut go_on: impl FnMut(Way)) {
    if !is_past(now, way_back) {
        go_on(Way::Pending);
    }
    go_on(Way::Confirmed);
    // Past the deadline it is in audit: see `is_left_alone`.
    go_on(Way::Pending);
}

/// Whether a way back has been taken; 0 never is. One comparison.
#[must_use]
#[inline(always)]
pub const fn is_past(now: u64, way_back: u64) -> bool {
    now > way_back.wrapping_sub(1)
}

/// Whether a program that is asked for its verdict judges although its way back has been taken: the program that was confirmed last is
/// missing, and this one is in audit. A second late, so that no packet that the dispatcher has given to it in time is judged like that.
#[must_use]
#[inline(always)]
pub const fn is_left_alone(now: u64, way_back: u64, hz: u32) -> bool {
    way_back != 0 && now >= way_back + hz as u64
}

/// Jiffies until a moment that is this many nanoseconds away, and never fewer: a count of jiffies that user space computes may be two
/// behind that of the kernel, because both counts from which it starts were cut off.
#[must_use]
pub fn ticks_until(nanoseconds: u64, hz: u32) -> u64 {
    const BEHIND: u64 = 2;
    let ticks = (u128::from(nanoseconds) * u128::from(hz)).div_ceil(1_000_000_000);
    u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(BEHIND)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    /// The programs that are tried, where none of them is there.
    fn tried(now: u64, way_back: u64) -> Vec<Way> {
        let mut tried = Vec::new();
        dispatch(now, way_back, |way| tried.push(way));
        tried
    }

    #[test]
    fn until_the_deadline_the_pending_program_judges_and_past_it_the_confirmed_one() {
        for now in [0, 5, 99] {
            assert_eq!(tried(now, 100)[0], Way::Pending, "{now}");
        }
        for now in [100, 101, u64::MAX] {
            assert_eq!(tried(now, 100)[0], Way::Confirmed, "{now}");
        }
    }

    #[test]
    fn a_deadline_that_was_lifted_never_passes() {
        for now in [0, 1, u64::MAX - 1, u64::MAX] {
            assert_eq!((tried(now, 0)[0], is_past(now, 0)), (Way::Pending, false), "{now}");
            assert!(!is_left_alone(now, 0, 250), "{now}");
        }
    }

    #[test]
    fn where_one_program_is_missing_the_other_one_judges() {
        assert_eq!(tried(99, 100), [Way::Pending, Way::Confirmed, Way::Pending]);
        assert_eq!(tried(100, 100), [Way::Confirmed, Way::Pending]);
    }

    #[test]
    fn a_packet_that_came_before_the_deadline_is_judged_by_the_mode_of_then() {
        for now in [0, 99, 100, 101, 349] {
            assert!(!is_left_alone(now, 100, 250), "{now}");
        }
        assert!(is_left_alone(350, 100, 250));
    }

    #[test]
    fn the_kernel_never_goes_back_before_the_deadline() {
        // Neither count was whole: the kernel's is nearly two further than the computed one.
        for (nanoseconds, hz, least) in
            [(0, 250, 0), (1, 250, 1), (4_000_000, 250, 1), (4_000_001, 250, 2), (999, 1000, 1)]
        {
            assert_eq!(ticks_until(nanoseconds, hz), least + 2, "{nanoseconds} ns at {hz}");
        }
        assert_eq!(ticks_until(u64::MAX, 1000), 18_446_744_073_710 + 2);
    }

    #[test]
    fn an_array_has_a_place_for_each_program_and_a_placeholder_for_each_direction() {
        assert!([Way::Pending, Way::Confirmed].into_iter().all(|way| (way as u32) < Way::COUNT));
        assert_ne!(Way::placeholder(0), Way::placeholder(1));
    }
}
