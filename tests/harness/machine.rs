//! The machine that the tests run on, where what they expect depends on it.

use std::env;
use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// How many times as long as elsewhere things may take here: `ENFORCER_TESTS_PATIENCE`, for a processor that is emulated.
#[must_use]
pub fn patience() -> u32 {
    env::var("ENFORCER_TESTS_PATIENCE").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// How a program is attached at tc where nobody asks for more: by a link since Linux 6.6, by a filter before.
///
/// # Panics
/// When the kernel does not tell its release.
#[must_use]
pub fn tc_attach_mode() -> &'static str {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc is mounted");
    if has_tcx(&release) { "tcx" } else { "clsact" }
}

fn has_tcx(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

/// The processors that this thread may use, by number.
///
/// # Panics
/// When the kernel does not tell.
#[must_use]
pub fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("the processors that we may use");
    (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect()
}

/// Keeps this thread, and what it starts, on one of [`cpus`].
///
/// # Panics
/// When it is none of them.
pub fn stay_on_cpu(cpu: usize) {
    let mut one = CpuSet::new();
    one.set(cpu).expect("it is the number of a processor");
    sched_setaffinity(Pid::from_raw(0), &one).expect("it is allowed");
}

/// Memory of a process that is its own, in kilobytes: not that of its executable.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn memory_of(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).expect("it has memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_at_tc_are_there_since_6_6() {
        for (release, wanted) in
            [("5.15.0-1", false), ("6.1.0-50-cloud-amd64", false), ("6.6.1", true), ("6.12.1", true), ("7.0", true)]
        {
            assert_eq!(has_tcx(release), wanted, "{release}");
        }
    }
}
