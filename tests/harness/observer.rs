//! What has come through everything that filters: packets logged behind all other rules of a namespace (nfnetlink_log), and the
//! other end of the kernel's netfilter sockets.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::netns::Namespace;

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const NFNL_SUBSYS_ULOG: u16 = 4;
const NFULNL_MSG_PACKET: u16 = 0;
const NFULNL_MSG_CONFIG: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const NFULA_PAYLOAD: u16 = 9;
const HEADER: usize = 16;
/// Behind the header of netlink stand family, version and group.
const GENERIC: usize = 4;

/// Receives the packets that a rule `log group N` of a namespace has seen.
#[derive(Debug)]
pub struct Observer {
    socket: OwnedFd,
}

impl Observer {
    /// Listens to a group of a namespace, whole packets.
    ///
    /// # Panics
    /// When the kernel has no nfnetlink_log, or somebody else listens.
    #[must_use]
    #[track_caller]
    pub fn open(namespace: &Namespace, group: u16) -> Self {
        const COMMAND: u16 = 1;
        const MODE: u16 = 2;
        const BUFFER: u16 = 3;
        const TIMEOUT: u16 = 4;
        const THRESHOLD: u16 = 5;
        let socket = namespace.run(netfilter_socket).unwrap_or_else(|error| panic!("netfilter socket: {error}"));
        let size: libc::c_int = 64 << 20;
        // SAFETY: the option takes an integer of this size.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUFFORCE,
                (&raw const size).cast(),
                size_of_val(&size).try_into().unwrap_or(4),
            );
        }
        let kind = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
        // Bind; whole packets; batches of at most 64 in 64 KiB, or after a hundredth of a second.
        let parts: [(u16, Vec<u8>); 5] = [
            (COMMAND, vec![1]),
            (MODE, vec![0, 0, 0xff, 0xff, 2, 0]),
            (BUFFER, 65_536_u32.to_be_bytes().to_vec()),
            (TIMEOUT, 1_u32.to_be_bytes().to_vec()),
            (THRESHOLD, 64_u32.to_be_bytes().to_vec()),
        ];
        for part in parts {
            request(&socket, kind, group, &[part]).unwrap_or_else(|error| panic!("nfnetlink_log: {error}"));
        }
        Self { socket }
    }

    /// Hands packets over, each from its network header on, until `done` says so. `false`: it did not, in time.
    ///
    /// # Panics
    /// When packets were lost for want of room.
    #[track_caller]
    pub fn packets(&self, within: Duration, mut each: impl FnMut(&[u8]), mut done: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + within;
        let mut buffer = vec![0; 1 << 20];
        while !done() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !readable(&self.socket, left) {
                return false;
            }
            // SAFETY: the buffer is ours, and its true size is given.
            let length = unsafe {
                libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
            };
            let Ok(length) = usize::try_from(length) else {
                let error = io::Error::last_os_error();
                assert!(error.raw_os_error() != Some(libc::ENOBUFS), "packets were lost: {error}");
                continue;
            };
            for message in messages(&buffer[..length]) {
                if message.kind == NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET
                    && let Some(payload) = attribute(message.body.get(GENERIC..).unwrap_or_default(), NFULA_PAYLOAD)
                {
                    each(payload);
                }
            }
        }
        true
    }
}

/// Makes the connection tracking of a namespace forget everything.
///
/// # Panics
/// When the kernel does not let us.
#[track_caller]
pub fn forget_connections(namespace: &Namespace) {
    let forgotten = namespace.run(|| {
        let socket = netfilter_socket()?;
        request(&socket, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, &[])
    });
    forgotten.unwrap_or_else(|error| panic!("ctnetlink: {error}"));
}

fn netfilter_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_NETFILTER) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a request and waits until the kernel says how it went.
fn request(socket: &OwnedFd, kind: u16, group: u16, attributes: &[(u16, Vec<u8>)]) -> io::Result<()> {
    let mut body = vec![0, 0];
    body.extend(group.to_be_bytes());
    for (number, value) in attributes {
        let length = u16::try_from(value.len() + 4).map_err(io::Error::other)?;
        body.extend(length.to_ne_bytes());
        body.extend(number.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK).map_err(io::Error::other)?;
    let mut message = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    // SAFETY: pointer and length are those of a vector that outlives the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut buffer = vec![0; 1 << 16];
    loop {
        // SAFETY: the buffer is ours, and its true size is given.
        let length = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        for message in messages(&buffer[..length]) {
            if i32::from(message.kind) == libc::NLMSG_ERROR {
                let code = message.body.get(..4).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
                return if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) };
            }
        }
    }
}

struct Message<'b> {
    kind: u16,
    body: &'b [u8],
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, body })
    })
}

fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let number = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        if number & 0x3fff == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn readable(socket: &OwnedFd, within: Duration) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, that lives here.
    unsafe { libc::poll(&raw mut poll, 1, within.as_millis().try_into().unwrap_or(i32::MAX)) > 0 }
}
