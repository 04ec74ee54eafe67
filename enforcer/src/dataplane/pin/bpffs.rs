//! Checks that pins in /sys/fs/bpf outlive this command.

use std::fs;

use crate::dataplane::error::DataplaneError;

pub(super) const BPFFS: &str = "/sys/fs/bpf";

/// Checks that pins made here will persist: `/sys/fs/bpf` is a bpffs, and the same one that PID 1 sees. Mounts it if it is missing.
pub(in crate::dataplane) fn check_bpffs() -> Result<(), DataplaneError> {
    if let Some(error) = wrong_bpffs_here() {
        return Err(error);
    }
    if bpffs_of("self").is_some() {
        return Ok(());
    }
    nix::mount::mount(Some("bpf"), BPFFS, Some("bpf"), nix::mount::MsFlags::empty(), Some("mode=0700")).map_err(
        |error| {
            DataplaneError::NotAllowed(format!(
                "{BPFFS} is not a BPF file system and cannot be mounted ({error}); run `mount -t bpf bpf {BPFFS}`"
            ))
        },
    )
}

/// Why pins cannot be made here or would not persist; `None`: they persist.
pub(in crate::dataplane) fn wrong_bpffs_here() -> Option<DataplaneError> {
    // Unlike its root, the mounts of PID 1 can be read without CAP_SYS_PTRACE.
    let of_init = bpffs_of("1");
    if of_init.is_some() && of_init != bpffs_of("self") {
        return Some(wrong_bpffs());
    }
    is_read_only(&fs::read_to_string("/proc/self/mountinfo").ok()?).then(|| {
        DataplaneError::NotAllowed(format!(
            "{BPFFS} is mounted read-only, so nothing can be pinned there; run `mount -o remount,rw {BPFFS}`"
        ))
    })
}

/// Whether the BPF file system is mounted read-only, by the text of a mountinfo: the mount or the file system itself.
fn is_read_only(mountinfo: &str) -> bool {
    let Some((mount, system)) = at_place(mountinfo).and_then(|line| line.split_once(" - ")) else { return false };
    let is_read_only = |options: Option<&str>| options.is_some_and(|options| options.split(',').any(|one| one == "ro"));
    is_read_only(mount.split(' ').nth(5)) || is_read_only(system.split(' ').nth(2))
}

/// The line of the mount at /sys/fs/bpf in a mountinfo: the last mount hides earlier ones.
fn at_place(mountinfo: &str) -> Option<&str> {
    mountinfo.lines().rfind(|line| line.split(' ').nth(4).is_some_and(|place| BPFFS.starts_with(place)))
}

/// Device number of the bpffs that a process sees at /sys/fs/bpf, from its mountinfo (proc_pid_mountinfo(5)).
pub(super) fn bpffs_of(process: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/mountinfo")).ok()?;
    let line = at_place(&text)?;
    let mut fields = line.split(' ');
    let (device, place) = (fields.nth(2)?, fields.nth(1)?);
    let kind = line.split(" - ").nth(1)?.split(' ').next()?;
    (place == BPFFS && kind == "bpf").then(|| device.to_owned())
}

pub(super) fn wrong_bpffs() -> DataplaneError {
    DataplaneError::Refused(format!(
        "{BPFFS} is not the BPF file system of this machine but a private one, as `ip netns exec` makes: pins would vanish \
         with this command. Enter only the network namespace instead: `nsenter --net=/run/netns/NAME enforcer ..`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_that_is_read_only_is_told_from_a_file_system_that_is_not() {
        let line = |mount: &str, system: &str| {
            format!(
                "25 1 0:22 / /sys rw - sysfs sysfs ro\n30 25 0:31 / /sys/fs/bpf {mount} shared:9 - bpf bpf {system}\n"
            )
        };
        assert!(!is_read_only(&line("rw,relatime", "rw,mode=700")));
        assert!(is_read_only(&line("ro,relatime", "rw,mode=700")));
        assert!(is_read_only(&line("rw,relatime", "ro,mode=700")));
    }
}
