//! Inspecting and detaching a pinned BPF link.
//!
//! Closing a link detaches it only with the last descriptor, and a process that lists links holds one for a moment. aya offers no other
//! way, so links are detached here explicitly.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya_obj::generated::{bpf_cmd, bpf_link_info};

use super::bpf::{bpf, no_attributes, no_link_info, owned};

/// The kernel's information about a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::dataplane) struct Held {
    /// The kernel's id of the program.
    pub(in crate::dataplane) program: u32,
    /// Index of the interface; 0 when it was deleted.
    pub(in crate::dataplane) interface: u32,
}

/// Information about a pinned link; `None`: there is no such pin.
pub(in crate::dataplane) fn held(path: &Path) -> Option<Held> {
    let fd = open(path).ok()?;
    let mut info = no_link_info();
    let mut attributes = no_attributes();
    attributes.info.bpf_fd = u32::try_from(fd.as_raw_fd()).ok()?;
    attributes.info.info_len = u32::try_from(size_of::<bpf_link_info>()).ok()?;
    attributes.info.info = (&raw mut info).expose_provenance() as u64;
    // SAFETY: the buffer is as long as stated.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes).ok()? };
    // SAFETY: integers, whatever the kind of the link is. That of XDP and that of TCX begin with the interface.
    let interface = unsafe { info.__bindgen_anon_1.tcx.ifindex };
    Some(Held { program: info.prog_id, interface })
}

/// Detaches a pinned link and removes the pin. A missing pin is not an error.
pub(in crate::dataplane) fn end(path: &Path) -> io::Result<()> {
    match open(path) {
        Ok(fd) => detach(&fd)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::remove_file(path)
}

/// Detaches a link that was closed without a pin and that another process may have open.
pub(in crate::dataplane) fn end_by_id(id: u32) {
    let mut attributes = no_attributes();
    attributes.__bindgen_anon_6.__bindgen_anon_1.link_id = id;
    // SAFETY: the attributes hold no address.
    let fd = unsafe { bpf(bpf_cmd::BPF_LINK_GET_FD_BY_ID, &mut attributes) };
    // No process has it open: it was already detached.
    if let Ok(fd) = fd.and_then(owned) {
        let _ = detach(&fd);
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = no_attributes();
    attributes.__bindgen_anon_4.pathname = path.as_ptr().expose_provenance() as u64;
    // SAFETY: the path outlives the call, and ends with a zero.
    owned(unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &mut attributes)? })
}

fn detach(link: &OwnedFd) -> io::Result<()> {
    let mut attributes = no_attributes();
    attributes.link_detach.link_fd = u32::try_from(link.as_raw_fd()).map_err(io::Error::other)?;
    // SAFETY: the attributes hold no address.
    match unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attributes) } {
        // Not a link, or one that cannot be detached explicitly: it is detached when it is closed.
        Err(error) if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
