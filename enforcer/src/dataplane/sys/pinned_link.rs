//! A link by itself: what it holds on its hook, and ending it. A link ends by itself only when the last descriptor of it is closed,
//! and whoever lists links has one for a moment: aya offers no other way.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

// Commands of bpf(2).
const OBJ_GET: libc::c_long = 7;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const LINK_GET_FD_BY_ID: libc::c_long = 30;
const LINK_DETACH: libc::c_long = 34;

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
    /// The beginning of `struct bpf_link_info`, as far as it is the same for XDP and TCX, with room for the rest.
    #[derive(Default)]
    #[repr(C)]
    struct Info {
        kind: u32,
        id: u32,
        program: u32,
        padding: u32,
        interface: u32,
        rest: [u32; 31],
    }
    #[repr(C)]
    struct GetInfo {
        fd: u32,
        length: u32,
        info: u64,
    }

    let fd = open(path).ok()?;
    let mut info = Info::default();
    let get = GetInfo {
        fd: u32::try_from(fd.as_raw_fd()).ok()?,
        length: u32::try_from(size_of::<Info>()).ok()?,
        info: (&raw mut info).expose_provenance() as u64,
    };
    // SAFETY: the attributes are those of this command, their true size is given, and the answer goes where there is room for as
    // much as they say.
    let result = unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET_INFO_BY_FD, &raw const get, size_of::<GetInfo>()) };
    (result == 0).then_some(Held { program: info.program, interface: info.interface })
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
    /// `struct { .. }` with a link's id of `union bpf_attr`.
    #[repr(C)]
    struct ById {
        id: u32,
        next: u32,
        flags: u32,
    }
    let by_id = ById { id, next: 0, flags: 0 };
    // SAFETY: the attributes are those of this command, and their true size is given.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, LINK_GET_FD_BY_ID, &raw const by_id, size_of::<ById>()) };
    // Nobody has it: it has ended.
    if let Ok(fd) = owned(fd) {
        let _ = detach(&fd);
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    /// `struct { .. }` with a path of `union bpf_attr`.
    #[repr(C)]
    struct Get {
        path: u64,
        fd: u32,
        flags: u32,
    }
    let path = CString::new(path.as_os_str().as_bytes())?;
    let get = Get { path: path.as_ptr().expose_provenance() as u64, fd: 0, flags: 0 };
    // SAFETY: the attributes are those of this command, their true size is given, and the path outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET, &raw const get, size_of::<Get>()) })
}

fn detach(link: &OwnedFd) -> io::Result<()> {
    let fd = u32::try_from(link.as_raw_fd()).map_err(io::Error::other)?;
    // SAFETY: the attributes of this command are the descriptor alone, and its size is given.
    if unsafe { libc::syscall(libc::SYS_bpf, LINK_DETACH, &raw const fd, size_of::<u32>()) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // What is no link, or one that cannot do this: it ends when it is closed.
        error if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Ok(()),
        error => Err(error),
    }
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made the descriptor, and it belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
