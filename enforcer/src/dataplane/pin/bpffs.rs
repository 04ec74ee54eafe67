//! Whether /sys/fs/bpf is the file system that outlives this command.

use std::fs;

use crate::dataplane::error::DataplaneError;

pub(super) const BPFFS: &str = "/sys/fs/bpf";

/// Makes sure that pins made here will be there tomorrow: that `/sys/fs/bpf` is a bpffs, and the one that PID 1 sees.
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

/// Why pins made here would not be there tomorrow, where that is so.
pub(in crate::dataplane) fn wrong_bpffs_here() -> Option<DataplaneError> {
    // Unlike its root, the mounts of PID 1 can be read without CAP_SYS_PTRACE.
    let of_init = bpffs_of("1");
    (of_init.is_some() && of_init != bpffs_of("self")).then(wrong_bpffs)
}

/// Device number of the bpffs that a process sees at its place, from its mountinfo (proc_pid_mountinfo(5)).
pub(super) fn bpffs_of(process: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/mountinfo")).ok()?;
    // The last mount on a place hides those before it.
    let line = text.lines().rfind(|line| line.split(' ').nth(4).is_some_and(|place| BPFFS.starts_with(place)))?;
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
