//! A command whose system calls are looked at one by one, and fail where a test says so. The command is the real one; what it
//! gets is what the kernel may answer at any time.
//!
//! By seccomp with a listener (seccomp_unotify(2)): the kernel stops the command at each watched call until we have answered.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use libc::{c_int, c_long, sock_filter};

use crate::enforcer::{Ran, line_of, ran, spawn};

/// Where the command finds the listener until we have taken it: beyond what it opens itself.
const LISTENER: c_int = 200;

/// The calls by which a command changes something: bpf(2), files and pins, netlink.
pub const CHANGING: &[c_long] = &[
    libc::SYS_bpf,
    libc::SYS_sendto,
    libc::SYS_fsync,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    // The older calls, which newer architectures do not have.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
];

/// A system call that is about to be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Call {
    /// Its number.
    pub number: c_long,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The thread that makes it.
    pub thread: u32,
}

impl Call {
    /// Whether a file or pin gets another name.
    #[must_use]
    pub fn is_rename(&self) -> bool {
        // The older call, which newer architectures do not have.
        #[cfg(target_arch = "x86_64")]
        if self.number == libc::SYS_rename {
            return true;
        }
        self.number == libc::SYS_renameat
    }

    /// The path of the pin that it opens, read from the memory of the command, which waits for the answer meanwhile.
    #[must_use]
    pub fn opened_pin(&self) -> Option<String> {
        // `enum bpf_cmd`; the path stands first in the part of `union bpf_attr` for it.
        const OBJ_GET: u64 = 7;
        if self.number != libc::SYS_bpf || self.arguments[0] != OBJ_GET {
            return None;
        }
        let memory = File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        let mut pointer = [0; 8];
        memory.read_exact_at(&mut pointer, self.arguments[1]).ok()?;
        let mut path = [0; 512];
        let read = memory.read_at(&mut path, u64::from_ne_bytes(pointer)).ok()?;
        let path = CStr::from_bytes_until_nul(&path[..read]).ok()?;
        Some(path.to_string_lossy().into_owned())
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The kernel makes it.
    GoOn,
    /// It is not made, and answers with this error number.
    Fail(i32),
}

/// Runs a command and asks about each of these calls, of the processes that it starts as well.
///
/// # Panics
/// When the command cannot be started, or the kernel has no such listeners (Linux 5.6).
#[track_caller]
pub fn watch(command: &mut Command, calls: &[c_long], mut decide: impl FnMut(&Call) -> Then) -> Ran {
    let filter = filter(calls);
    // SAFETY: between fork and exec only system calls are made, which allocate nothing.
    unsafe { command.pre_exec(move || install(&filter)) };
    let line = line_of(command);
    let mut child = spawn(command, &line);
    drop(child.stdin.take());
    let process = pidfd(child.id()).expect("a child that nobody has waited for has a descriptor");
    // A command that ended before it made a watched call has closed it.
    let listener = listener_of(&process).ok();
    let output = thread::scope(|scope| {
        let output = scope.spawn(move || child.wait_with_output().expect("it ends"));
        if let Some(listener) = &listener {
            let _killed = KilledInPanic(&process);
            serve(listener, Some(&process), &mut decide);
        }
        output.join().expect("waiting does not panic")
    });
    if let Some(listener) = listener {
        // What the command has left running is not looked at, and must not wait for us.
        thread::spawn(move || serve(&listener, None, &mut |_| Then::GoOn));
    }
    ran(line, &output)
}

/// Kills the command when the test panics: it waits for an answer that does not come, and the test would wait for it for ever.
struct KilledInPanic<'a>(&'a OwnedFd);

impl Drop for KilledInPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let none = std::ptr::null::<libc::siginfo_t>();
            // SAFETY: the descriptor is that of a process, and no information goes with the signal.
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGKILL, none, 0) };
        }
    }
}

/// Answers until the process has ended, or nobody is left to ask.
fn serve(listener: &OwnedFd, process: Option<&OwnedFd>, decide: &mut impl FnMut(&Call) -> Then) {
    loop {
        let of = |fd: Option<&OwnedFd>| libc::pollfd {
            fd: fd.map_or(-1, AsRawFd::as_raw_fd),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut wait = [of(Some(listener)), of(process)];
        // SAFETY: two entries, as said, which live through the call.
        let ready = unsafe { libc::poll(wait.as_mut_ptr(), 2, -1) };
        if ready < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
        if wait[0].revents & libc::POLLIN != 0 {
            let Some((id, call)) = receive(listener) else { continue };
            answer(listener, id, decide(&call));
        } else if wait[0].revents != 0 || wait[1].revents != 0 {
            return;
        }
    }
}

/// The next call; `None` when its thread was killed meanwhile.
fn receive(listener: &OwnedFd) -> Option<(u64, Call)> {
    // SAFETY: integers only; the kernel wants it zeroed.
    let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is the one of this request, and lives through the call.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) };
    let call = Call { number: c_long::from(asked.data.nr), arguments: asked.data.args, thread: asked.pid };
    (result == 0).then_some((asked.id, call))
}

fn answer(listener: &OwnedFd, id: u64, then: Then) {
    // SAFETY: integers only.
    let mut response: libc::seccomp_notif_resp = unsafe { std::mem::zeroed() };
    response.id = id;
    match then {
        Then::GoOn => response.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1),
        Then::Fail(error) => response.error = -error,
    }
    // Fails when the thread was killed meanwhile, which then needs no answer.
    // SAFETY: the structure is the one of this request, and lives through the call.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
}

/// "These are told to the listener, everything else is allowed". The command is ours and makes no calls of another architecture.
fn filter(calls: &[c_long]) -> Vec<sock_filter> {
    let statement = |code: u32, k: u32, skip: u8| sock_filter {
        code: u16::try_from(code).expect("codes have 16 bits"),
        jt: 0,
        jf: skip,
        k,
    };
    // The number is the first field of seccomp_data.
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    for call in calls {
        let number = u32::try_from(*call).expect("numbers of calls are small");
        program.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number, 1));
        program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF, 0));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0));
    program
}

/// Puts this process under the filter, and the listener where the parent finds it.
fn install(filter: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the program is as long as said and lives through the call. Root needs no `no_new_privs`.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let fd = c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: no pointers.
    if fd < 0 || unsafe { libc::dup2(fd, LISTENER) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn pidfd(process: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) })
}

fn listener_of(process: &OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), LISTENER, 0) })
}

fn owned(fd: c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, and it belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(c_int::try_from(fd).map_err(io::Error::other)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_panics_does_not_wait_for_its_command() {
        let panicked = std::panic::catch_unwind(|| {
            watch(&mut Command::new("mkdir"), &[libc::SYS_write], |_| panic!("on purpose"))
        });
        assert!(panicked.is_err());
    }

    #[test]
    fn a_call_fails_as_it_was_told() {
        let mut seen = 0;
        let mut mkdir = Command::new("mkdir");
        mkdir.arg("/nowhere");
        let ran = watch(&mut mkdir, CHANGING, |_| {
            seen += 1;
            Then::Fail(libc::ENOSPC)
        });
        assert_eq!((ran.code, seen), (Some(1), 1));
        assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
        assert_eq!(watch(&mut Command::new("true"), CHANGING, |_| Then::GoOn).code, Some(0));
    }
}
