//! Converts jiffies, the cheap clock that the programs use, into time.

use std::fs;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::Array;
use aya::programs::SchedClassifier;
use aya::{TestRun as _, TestRunOptions};
use enforcer_common::way_back::ticks_until;
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::dataplane::error::{Context as _, DataplaneError};

/// Jiffies and the monotonic clock, read at one moment. Both stop during suspend, so they never drift apart.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Clock {
    jiffies: u64,
    monotonic: u64,
    /// Jiffies per second (`CONFIG_HZ`).
    pub hz: u32,
}

impl Clock {
    /// Reads both clocks by a test run of a BPF program.
    pub(in crate::dataplane) fn read(object: &mut Ebpf) -> Result<Self, DataplaneError> {
        let context = || "cannot read the kernel's clock".to_owned();
        let missing = || DataplaneError::NotAllowed("the BPF object has no clock program".to_owned());
        let program: &mut SchedClassifier =
            object.program_mut("clock").ok_or_else(missing)?.try_into().with_context(context)?;
        program.load().with_context(context)?;
        let frame = [0_u8; 64];
        program.test_run(TestRunOptions { data_in: Some(&frame), ..Default::default() }).with_context(context)?;
        program.unload().with_context(context)?;
        let times: Array<_, u64> = object.map("CLOCK").ok_or_else(missing)?.try_into().with_context(context)?;
        let jiffies = times.get(&0, 0).with_context(context)?;
        let monotonic = times.get(&1, 0).with_context(context)?;
        Ok(Self { jiffies, monotonic, hz: hertz(jiffies, monotonic) })
    }

    /// The current count of jiffies.
    #[must_use]
    pub fn jiffies_now(&self) -> u64 {
        let now = kernel_time(ClockId::CLOCK_MONOTONIC).unwrap_or(0);
        let ticks = u128::from(now.saturating_sub(self.monotonic)) * u128::from(self.hz) / 1_000_000_000;
        self.jiffies.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX))
    }

    /// The count of jiffies at a moment of the boot clock, and never one that comes before that moment.
    pub(in crate::dataplane) fn jiffies_at(&self, boot: u64) -> u64 {
        self.jiffies_now().saturating_add(ticks_until(boot.saturating_sub(since_boot()), self.hz))
    }

    /// The time at which jiffies had this count.
    #[must_use]
    pub fn time(&self, jiffies: u64) -> Option<Timestamp> {
        if jiffies == 0 {
            return None;
        }
        let ticks = i128::from(jiffies) - i128::from(self.jiffies);
        let monotonic = i128::from(self.monotonic) + ticks * 1_000_000_000 / i128::from(self.hz);
        let ago = i128::from(kernel_time(ClockId::CLOCK_MONOTONIC)?) - monotonic;
        let wall = Timestamp::now().as_nanosecond() - ago;
        // Jiffies are only exact to a tick; whole seconds keep the text short.
        Timestamp::from_second(i64::try_from(wall.div_euclid(1_000_000_000)).ok()?).ok()
    }
}

/// Nanoseconds of the boot clock, with which the programs compare a deadline. It includes time in suspend.
pub(in crate::dataplane) fn since_boot() -> u64 {
    // The clock exists since Linux 2.6.39. Without it every deadline counts as passed, which is the safe side for an operator.
    kernel_time(ClockId::CLOCK_BOOTTIME).unwrap_or(u64::MAX)
}

/// Nanoseconds of a clock as programs read it: without the offset of this process's time namespace (time_namespaces(7)).
fn kernel_time(clock: ClockId) -> Option<u64> {
    let name = if clock == ClockId::CLOCK_BOOTTIME { "boottime" } else { "monotonic" };
    let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let shown = i128::try_from(Duration::from(clock_gettime(clock).ok()?).as_nanos()).ok()?;
    u64::try_from(shown - offset(&offsets, name)).ok()
}

/// The time namespace's offset of a clock in nanoseconds, from lines like `boottime 86400 0`; 0 without time namespaces.
fn offset(offsets: &str, name: &str) -> i128 {
    offsets
        .lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let (of, seconds, nanoseconds) = (words.next()?, words.next()?, words.next()?);
            let number = |word: &str| word.parse::<i128>().ok();
            (of == name).then_some(number(seconds)? * 1_000_000_000 + number(nanoseconds)?)
        })
        .unwrap_or_default()
}

/// Converts a boot clock value to a time, in whole seconds.
pub(in crate::dataplane) fn wall_time(boot: u64) -> Timestamp {
    let ahead = i128::from(boot) - i128::from(since_boot());
    let wall = (Timestamp::now().as_nanosecond() + ahead).div_euclid(1_000_000_000);
    i64::try_from(wall).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}

/// `CONFIG_HZ`. Jiffies start at -300 s in 32 bits (`INITIAL_JIFFIES`) when the monotonic clock starts at 0, so exactly one of the
/// values with which a kernel can be built fits both clocks.
fn hertz(jiffies: u64, monotonic: u64) -> u32 {
    let distance = |hz: u64| {
        let ticks = jiffies.wrapping_sub((1 << 32) - 300 * hz);
        (u128::from(ticks) * 1_000_000_000 / u128::from(hz)).abs_diff(u128::from(monotonic))
    };
    let candidates = [100, 250, 300, 1000];
    let hz = candidates.into_iter().min_by_key(|hz| distance(*hz)).unwrap_or(250);
    u32::try_from(hz).unwrap_or(250)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_namespace_shifts_each_clock_by_its_own() {
        let offsets = "monotonic           5         0\nboottime       86400         7\n";
        assert_eq!(offset(offsets, "boottime"), 86_400_000_000_007);
        assert_eq!(offset(offsets, "monotonic"), 5_000_000_000);
        assert_eq!(offset("", "boottime"), 0);
    }

    #[test]
    fn only_one_tick_rate_fits_both_clocks() {
        for hz in [100_u64, 250, 300, 1000] {
            for seconds in [1_u64, 600, 10_000_000] {
                let jiffies = ((1 << 32) - 300 * hz) + seconds * hz;
                assert_eq!(u64::from(hertz(jiffies, seconds * 1_000_000_000 + 3_000_000)), hz);
            }
        }
    }
}
