//! A link by itself: what it holds on its hook, and ending it. A link ends by itself only when the last descriptor of it is closed,
//! and whoever lists links has one for a moment: aya offers no other way.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya_obj::generated::{bpf_cmd, bpf_link_info};

use super::bpf::{bpf, no_attributes, no_link_info, owned};

/// What a link of ours holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::dataplane) struct Held {
    /// The kernel's id of the program.
    pub(in crate::dataplane) program: u32,
    /// Index of the interface; 0 when it was deleted.
    pub(in crate::dataplane) interface: u32,
}

/// What a pinned link holds on its hook; `None`: there is no link.
pub(in crate::dataplane) fn held(path: &Path) -> Option<Held> {
    let fd = open(path).ok()?;
    let mut info = no_link_info();
    let mut attributes = no_attributes();
    attributes.info.bpf_fd = u32::try_from(fd.as_raw_fd()).ok()?;
    attributes.info.info_len = u32::try_from(size_of::<bpf_link_info>()).ok()?;
    attributes.info.info = (&raw mut info).expose_provenance() as u64;
    // SAFETY: the answer goes where there is room for as much as is said.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes).ok()? };
    // SAFETY: integers, whatever the kind of the link is. That of XDP and that of TCX begin with the interface.
    let interface = unsafe { info.__bindgen_anon_1.tcx.ifindex };
    Some(Held { program: info.prog_id, interface })
}

/// Takes the program of a pinned link off its hook, and removes the pin. That there is none is fine.
pub(in crate::dataplane) fn end(path: &Path) -> io::Result<()> {
    match open(path) {
        Ok(fd) => detach(&fd)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::remove_file(path)
}

/// Takes the program of a link off its hook that was closed without a pin, and that somebody else may have open.
pub(in crate::dataplane) fn end_by_id(id: u32) {
    let mut attributes = no_attributes();
    attributes.__bindgen_anon_6.__bindgen_anon_1.link_id = id;
    // SAFETY: the attributes hold no address.
    let fd = unsafe { bpf(bpf_cmd::BPF_LINK_GET_FD_BY_ID, &mut attributes) };
    // Nobody has it: it has ended.
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
        // What is no link, or one that cannot do this: it ends when it is closed.
        Err(error) if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
