//! The BPF file system, where pins live. It belongs to PID 1's mount namespace, so that pins outlive the process.

use std::fs;

use super::Step;
use crate::shell::CommandLine;

const MOUNT_POINT: &str = "/sys/fs/bpf";

/// The mount that is missing, if it is.
pub(super) fn step() -> Option<Step> {
    // Without the right to look at PID 1, our own view has to do.
    let mounts = fs::read_to_string("/proc/1/mounts").or_else(|_| fs::read_to_string("/proc/self/mounts"));
    if has_bpffs(&mounts.unwrap_or_default()) {
        return None;
    }
    let command = CommandLine::new(&["nsenter", "--target", "1", "--mount", "mount", "-t", "bpf", "bpf", MOUNT_POINT])
        .needing_root();
    let plan = vec![command.to_string()];
    Some(Step { missing: format!("no bpffs at {MOUNT_POINT}"), plan, run: Box::new(move || command.run()) })
}

fn has_bpffs(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(MOUNT_POINT) && fields.next() == Some("bpf")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bpffs_elsewhere_or_another_file_system_there_does_not_count() {
        assert!(has_bpffs("sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n"));
        assert!(!has_bpffs("bpf /run/bpf bpf rw 0 0\ntmpfs /sys/fs/bpf tmpfs rw 0 0\n"));
    }
}
