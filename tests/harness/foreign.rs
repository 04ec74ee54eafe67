//! An XDP program of somebody else, that passes everything: attached, it makes a hook busy; measured, it is what every
//! program costs.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::netns::Namespace;
use crate::program::Program;

const PROG_LOAD: libc::c_long = 5;
const OBJ_PIN: libc::c_long = 6;
const LINK_CREATE: libc::c_long = 28;
const TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;

/// The name under which the kernel lists it.
pub const NAME: &str = "somebody_else";

/// A program that passes everything. It is detached when this is dropped.
#[derive(Debug)]
pub struct ForeignXdp {
    _program: OwnedFd,
    _link: OwnedFd,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
}

/// The same for `BPF_OBJ_PIN`.
#[repr(C)]
struct Pin {
    path: u64,
    program: u32,
    flags: u32,
}

/// The same for `BPF_LINK_CREATE`.
#[repr(C)]
#[derive(Default)]
struct Link {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

impl ForeignXdp {
    /// Attaches it to an interface of a namespace.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    #[track_caller]
    pub fn attach(namespace: &Namespace, interface: &str) -> Self {
        match namespace.run(|| attach(interface)) {
            Ok(foreign) => foreign,
            Err(error) => panic!("attaching a program to {interface}: {error}"),
        }
    }
}

/// The same program, attached nowhere, to be run by hand.
///
/// # Panics
/// When the kernel refuses.
#[must_use]
#[track_caller]
pub fn empty() -> Program {
    let path = format!("/sys/fs/bpf/enforcer-bench-{}", std::process::id());
    let pinned = load().and_then(|program| pin(&program, &path));
    pinned.unwrap_or_else(|error| panic!("an empty program: {error}"));
    let program = Program::pinned(path.as_ref());
    // It was pinned to be opened, which has been done.
    fs::remove_file(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    program
}

fn attach(interface: &str) -> io::Result<ForeignXdp> {
    let program = load()?;
    let name = CString::new(interface)?;
    // SAFETY: the name ends with a zero byte.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    let fd = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    let link =
        descriptor(bpf(LINK_CREATE, &Link { program: fd, interface: index, attach_type: ATTACH_XDP, flags: 0 })?);
    Ok(ForeignXdp { _program: program, _link: link })
}

fn load() -> io::Result<OwnedFd> {
    // r0 = 2 (XDP_PASS); exit
    let code: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];
    let license = c"GPL";
    let mut load = Load {
        kind: TYPE_XDP,
        instructions: 2,
        code: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    load.name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    Ok(descriptor(bpf(PROG_LOAD, &load)?))
}

fn pin(program: &OwnedFd, path: &str) -> io::Result<()> {
    let path = CString::new(path)?;
    let fd = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    bpf(OBJ_PIN, &Pin { path: path.as_ptr() as u64, program: fd, flags: 0 }).map(drop)
}

fn descriptor(fd: i32) -> OwnedFd {
    // SAFETY: bpf(2) has just made it, and it belongs to nobody else.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A command of bpf(2).
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the attributes are the beginning of the union for this command, their true size is given, and what they
    // point to lives in the caller.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(answer).map_err(io::Error::other) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Cable;

    #[test]
    fn it_is_attached_until_it_is_dropped() {
        let cable = Cable::new();
        let foreign = ForeignXdp::attach(&cable.host, &cable.near.interface);
        assert!(attach_again(&cable).is_err());
        drop(foreign);
        attach_again(&cable).unwrap();
    }

    fn attach_again(cable: &Cable) -> io::Result<ForeignXdp> {
        cable.host.run(|| attach(&cable.near.interface))
    }
}
