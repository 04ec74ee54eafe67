//! The system call `bpf`, with aya's structures of `linux/bpf.h`.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info};

/// Attributes of any command, all zero. The kernel requires zeros in fields that a command does not use.
pub(super) const fn no_attributes() -> bpf_attr {
    // SAFETY: a union of structures of integers, of which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// An empty buffer for the kernel's information about a link.
pub(super) const fn no_link_info() -> bpf_link_info {
    // SAFETY: integers, and a union of structures of integers.
    unsafe { std::mem::zeroed() }
}

/// Makes one call. Returns 0 or a descriptor, depending on the command.
///
/// # Errors
/// The kernel's error number.
///
/// # Safety
/// Every address in the attributes leads to memory of ours that outlives the call, with room for what this command writes there.
pub(super) unsafe fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are as long as is said; the caller answers for what they lead to.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attributes, size_of::<bpf_attr>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Takes ownership of the descriptor that a call returned.
pub(super) fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made the descriptor, and it belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
