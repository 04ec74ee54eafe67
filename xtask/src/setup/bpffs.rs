//! The BPF file system, where pins live. It belongs to PID 1's mount namespace, so that pins outlive the process.

use std::fs;
use std::path::Path;

use super::Step;
use crate::shell::{CommandLine, is_root};

const MOUNT_POINT: &str = "/sys/fs/bpf";
const OWN: &str = "/proc/self/ns/mnt";
const OF_PID_1: &str = "/proc/1/ns/mnt";

/// The mount that is missing, if it is.
pub(super) fn step() -> Option<Step> {
    // Without the right to look at PID 1, our own view has to do.
    let mounts = fs::read_to_string("/proc/1/mounts").or_else(|_| fs::read_to_string("/proc/self/mounts"));
    if has_bpffs(&mounts.unwrap_or_default()) {
        return None;
    }
    let [own, of_pid_1] = [OWN, OF_PID_1].map(|link| fs::read_link(link).ok());
    let command = CommandLine::new(&words(own.as_deref(), of_pid_1.as_deref(), is_root())).needing_root();
    let plan = vec![command.to_string()];
    Some(Step { missing: format!("no bpffs at {MOUNT_POINT}"), plan, run: Box::new(move || command.run()) })
}

/// What mounts it, given the names of our mount namespace and that of PID 1, where they are told.
///
/// Where ours is that of PID 1, there is nothing to enter. Where even root may not look at it, root may not enter it either: PID 1 has
/// capabilities that we were not given (ptrace(2), "Ptrace access mode checking"). Then it is mounted where we are.
fn words(own: Option<&Path>, of_pid_1: Option<&Path>, root: bool) -> Vec<&'static str> {
    let mount = ["mount", "-t", "bpf", "bpf", MOUNT_POINT];
    let here = of_pid_1.map_or(root, |of_pid_1| own == Some(of_pid_1));
    if here { mount.to_vec() } else { [&["nsenter", "--target", "1", "--mount"][..], &mount].concat() }
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
    #[test]
    fn the_mount_namespace_of_pid_1_is_entered_where_it_is_another_and_can_be() {
        let [ours, other] = ["mnt:[1]", "mnt:[2]"].map(|name| Some(Path::new(name)));
        for (of_pid_1, root, first) in
            [(ours, true, "mount"), (other, true, "nsenter"), (None, true, "mount"), (None, false, "nsenter")]
        {
            assert_eq!(words(ours, of_pid_1, root)[0], first, "{of_pid_1:?} {root}");
        }
    }
}
