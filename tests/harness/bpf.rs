//! bpf(2) itself: programs of a few instructions, pinned objects of any type, and test runs by descriptor.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const TEST_RUN: libc::c_long = 10;
const PROG_BY_ID: libc::c_long = 13;
const GET_INFO: libc::c_long = 15;
const LINK_CREATE: libc::c_long = 28;
const ATTACH_XDP: u32 = 37;
const ATTACH_TCX: [u32; 2] = [46, 47];
const PROGRAM_ARRAY: u32 = 3;
const LIVE_FRAMES: u32 = 1 << 1;
const HAS_FRAGS: u32 = 1 << 5;

/// Type of a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Kind {
    /// `BPF_PROG_TYPE_SCHED_CLS`.
    Tc = 3,
    /// `BPF_PROG_TYPE_XDP`, for frames of several buffers, too.
    Xdp = 6,
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
    interface: u32,
    attach_type: u32,
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

/// The same for `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(Default)]
struct NewMap {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
}

/// The same for `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
#[derive(Default)]
struct Update {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The same for `BPF_OBJ_GET`.
#[repr(C)]
#[derive(Default)]
struct Get {
    path: u64,
    fd: u32,
    flags: u32,
}

/// The same for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct GetInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// The same for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    answer: u32,
    data_in_size: u32,
    data_out_size: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_in_size: u32,
    context_out_size: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    zero: u32,
}

/// One instruction.
#[must_use]
pub const fn instruction(code: u8, [to, from]: [u8; 2], offset: i16, immediate: i32) -> u64 {
    u64::from_le_bytes({
        let [o0, o1] = offset.to_le_bytes();
        let [i0, i1, i2, i3] = immediate.to_le_bytes();
        [code, from << 4 | to, o0, o1, i0, i1, i2, i3]
    })
}

/// Loads a program that is nobody's business but ours.
///
/// # Errors
/// What the kernel says; the verifier's log is not asked for.
pub fn load(kind: Kind, name: &str, code: &[u64]) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let mut load = Load {
        kind: kind as u32,
        instructions: u32::try_from(code.len()).map_err(io::Error::other)?,
        code: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        flags: if kind == Kind::Xdp { HAS_FRAGS } else { 0 },
        attach_type: if kind == Kind::Xdp { ATTACH_XDP } else { 0 },
        ..Load::default()
    };
    load.name[..name.len()].copy_from_slice(name.as_bytes());
    descriptor(PROG_LOAD, &mut load)
}

/// Attaches an XDP program to an interface of this thread's namespace, until the descriptor is closed.
///
/// # Errors
/// What the kernel says.
pub fn attach_xdp(program: &impl AsFd, interface: &str) -> io::Result<OwnedFd> {
    let mut link =
        Link { program: number(program)?, interface: interface_index(interface)?, attach_type: ATTACH_XDP, flags: 0 };
    descriptor(LINK_CREATE, &mut link)
}

/// Attaches a program to the tc ingress or egress of an interface by a link (Linux 6.6), behind those that are there.
///
/// # Errors
/// What the kernel says: `EINVAL` where it has no such links.
pub fn attach_tcx(program: &impl AsFd, interface: &str, is_egress: bool) -> io::Result<OwnedFd> {
    let attach_type = ATTACH_TCX[usize::from(is_egress)];
    let mut link = Link { program: number(program)?, interface: interface_index(interface)?, attach_type, flags: 0 };
    descriptor(LINK_CREATE, &mut link)
}

/// Pins a program, map or link.
///
/// # Errors
/// What the kernel says.
pub fn pin(object: &impl AsFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut pin = Get { path: path.as_ptr() as u64, fd: number(object)?, flags: 0 };
    bpf(OBJ_PIN, &mut pin).map(drop)
}

/// Detaches a link at once. Closing it is not enough where a test beside this one has just forked: its child holds a copy of
/// every descriptor until it starts its program.
///
/// # Errors
/// What the kernel says.
pub fn detach(link: &impl AsFd) -> io::Result<()> {
    const LINK_DETACH: libc::c_long = 34;
    let mut link = number(link)?;
    bpf(LINK_DETACH, &mut link).map(drop)
}

/// Puts another program into a link.
///
/// # Errors
/// What the kernel says.
pub fn replace(link: &impl AsFd, program: &impl AsFd) -> io::Result<()> {
    const LINK_UPDATE: libc::c_long = 29;
    let mut update = Link { program: number(link)?, interface: number(program)?, attach_type: 0, flags: 0 };
    bpf(LINK_UPDATE, &mut update).map(drop)
}

/// Opens a pinned program, map or link.
///
/// # Errors
/// What the kernel says.
pub fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    descriptor(OBJ_GET, &mut Get { path: path.as_ptr() as u64, ..Get::default() })
}

/// Opens a loaded program by its number.
///
/// # Errors
/// There is none of this number.
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    // The number, the next number (not asked for), flags.
    descriptor(PROG_BY_ID, &mut [id, 0, 0])
}

/// The kernel's number of a program, map or link.
///
/// # Errors
/// What the kernel says.
pub fn id(object: &impl AsFd) -> io::Result<u32> {
    // All three begin with a type and the number.
    let mut info = [0_u32; 64];
    let mut get = GetInfo { fd: number(object)?, length: 256, info: info.as_mut_ptr() as u64 };
    bpf(GET_INFO, &mut get)?;
    Ok(info[1])
}

/// An array of one program, for another one to jump to.
///
/// # Errors
/// What the kernel says: of a program that no other may jump to, `EINVAL`.
pub fn program_array() -> io::Result<OwnedFd> {
    descriptor(MAP_CREATE, &mut NewMap { kind: PROGRAM_ARRAY, key_size: 4, value_size: 4, entries: 1, flags: 0 })
}

/// Writes one entry of a map.
///
/// # Errors
/// What the kernel says.
pub fn update(map: &impl AsFd, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut update =
        Update { map: number(map)?, key: key.as_ptr() as u64, value: value.as_ptr() as u64, ..Update::default() };
    bpf(MAP_UPDATE, &mut update).map(drop)
}

/// What a program answered to a frame, and what a run cost on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// The program's return value.
    pub answer: u32,
    /// Mean of the runs in nanoseconds. An XDP program should be attached to some interface: around a run of one that is not, the
    /// kernel rewrites the code by which it calls XDP programs, and that is in the time, too.
    pub nanoseconds: f64,
}

/// Runs a program so often on the same frame, which is as the program left it.
///
/// # Errors
/// What the kernel says.
pub fn test_run(program: &impl AsFd, frame: &[u8], repeat: u32) -> io::Result<Run> {
    let mut run = TestRun {
        program: number(program)?,
        data_in_size: u32::try_from(frame.len()).map_err(io::Error::other)?,
        data_in: frame.as_ptr() as u64,
        repeat,
        ..TestRun::default()
    };
    let nanoseconds = timed(&mut run)?;
    Ok(Run { answer: run.answer, nanoseconds })
}

/// Runs an XDP program on live frames, `batch` at a time: `XDP_TX` sends them from the interface, which is one of this thread's
/// namespace. Returns the mean of a frame in nanoseconds, without the time in which the CPU did something else.
///
/// # Errors
/// What the kernel says.
pub fn send_live(program: &impl AsFd, interface: &str, frame: &[u8], repeat: u32, batch: u32) -> io::Result<f64> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context: [u32; 6] = [0, length, 0, interface_index(interface)?, 0, 0];
    let mut run = TestRun {
        program: number(program)?,
        data_in_size: length,
        data_in: frame.as_ptr() as u64,
        repeat,
        context_in_size: u32::try_from(size_of_val(&context)).map_err(io::Error::other)?,
        context_in: context.as_ptr() as u64,
        flags: LIVE_FRAMES,
        batch,
        ..TestRun::default()
    };
    timed(&mut run)
}

/// The mean of the runs in nanoseconds: by the CPU time of this thread, because the kernel tells whole nanoseconds, rounded down. It
/// has the time of the system call around the runs in it, which is nothing beside many. Where the kernel's number is greater, another
/// thread did a part, and that number counts.
fn timed(run: &mut TestRun) -> io::Result<f64> {
    let before = cpu_time()?;
    bpf(TEST_RUN, run)?;
    let taken = cpu_time()?.saturating_sub(before);
    let mean = taken.as_secs_f64() * 1e9 / f64::from(run.repeat.max(1));
    Ok(mean.max(f64::from(run.duration)))
}

/// CPU time that this thread has taken.
fn cpu_time() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// The number of an interface of this thread's namespace.
///
/// # Errors
/// There is none of this name.
pub fn interface_index(interface: &str) -> io::Result<u32> {
    let name = CString::new(interface)?;
    // SAFETY: the name ends with a zero byte.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

fn number(fd: &impl AsFd) -> io::Result<u32> {
    u32::try_from(fd.as_fd().as_raw_fd()).map_err(io::Error::other)
}

/// A command that answers with a descriptor.
fn descriptor<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the attributes are the beginning of the union for this command, their true size is given, and what they
    // point to lives in the caller.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(answer).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    #[test]
    fn a_program_of_two_instructions_answers_what_it_was_told() {
        for kind in [Kind::Xdp, Kind::Tc] {
            let code = [instruction(0xb7, [0, 0], 0, 2), instruction(0x95, [0, 0], 0, 0)];
            let program = load(kind, "two", &code).unwrap();
            let frame = Packet::new().ipv4("198.18.0.2", "198.18.0.1").udp(1, 2).build();
            assert_eq!(test_run(&program, &frame, 3).unwrap().answer, 2);
        }
    }
}
