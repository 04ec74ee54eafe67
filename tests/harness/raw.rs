//! Raw frames on an interface (packet(7)): what no socket would send, and what really arrives.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::netns::Namespace;

/// A socket that sends and receives whole frames.
///
/// The kernel takes the outer VLAN tag out of a received frame; the frame is seen without it.
#[derive(Debug)]
pub struct RawSocket {
    fd: OwnedFd,
}

impl RawSocket {
    /// Opens one on an interface of a namespace.
    ///
    /// # Panics
    /// When there is no such interface, or we are not root.
    #[must_use]
    #[track_caller]
    pub fn open(namespace: &Namespace, interface: &str) -> Self {
        match namespace.run(|| open(interface)) {
            Ok(fd) => Self { fd },
            Err(error) => panic!("packet socket on {interface}: {error}"),
        }
    }

    /// Sends a frame. That a program on the way out drops it is no failure.
    ///
    /// # Panics
    /// When the interface is down or the frame too long.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        // SAFETY: pointer and length are those of a slice that outlives the call.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        let error = io::Error::last_os_error();
        // ENOBUFS: a program at tc egress has dropped it.
        let dropped = sent < 0 && error.raw_os_error() == Some(libc::ENOBUFS);
        assert!(dropped || usize::try_from(sent).ok() == Some(frame.len()), "send: {error}");
    }

    /// Makes room for many frames, and does not see what we send ourselves.
    ///
    /// # Panics
    /// When we are not root.
    #[must_use]
    #[track_caller]
    pub fn for_many(self) -> Self {
        let options =
            [(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20), (libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)];
        for (level, name, value) in options {
            let value: libc::c_int = value;
            let size = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
            // SAFETY: the option takes an integer of this size.
            let set = unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, name, (&raw const value).cast(), size) };
            assert_eq!(set, 0, "{}", io::Error::last_os_error());
        }
        self
    }

    /// Sends frames in their order, many with one call. What the kernel refuses to send is left out.
    pub fn send_all(&self, frames: &[Vec<u8>]) {
        let mut pieces: Vec<libc::iovec> = frames
            .iter()
            .map(|frame| libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = pieces
            .iter_mut()
            .map(|piece| {
                // SAFETY: a structure of integers and pointers, for which zero is a value.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_iov = piece;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let mut at = 0;
        while at < messages.len() {
            let left = &mut messages[at..];
            let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
            // SAFETY: the messages point at pieces, and those at frames, which all outlive the call; nothing is written to them.
            let sent = unsafe { libc::sendmmsg(self.fd.as_raw_fd(), left.as_mut_ptr(), count, 0) };
            // The first that is left was refused: it is the next one that may go.
            at += usize::try_from(sent).unwrap_or(0).max(1);
        }
    }

    /// Hands frames over until `done` says so. `false`: it did not, in time.
    pub fn frames(&self, within: Duration, mut each: impl FnMut(&[u8]), mut done: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + within;
        let mut buffer = vec![0; 65536];
        while !done() {
            // SAFETY: the buffer is ours, and its true size is given.
            let length = unsafe {
                libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
            };
            if let Ok(length) = usize::try_from(length) {
                each(&buffer[..length]);
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, that lives here.
            let ready = unsafe { libc::poll(&raw mut poll, 1, left.as_millis().try_into().unwrap_or(i32::MAX)) };
            if ready <= 0 {
                return false;
            }
        }
        true
    }

    /// The next frame that `wanted` accepts, if one comes in time. Frames that we sent ourselves are not seen.
    pub fn receive(&self, within: Duration, mut wanted: impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
        let end = Instant::now() + within;
        let mut buffer = vec![0; 65536];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, that lives here.
            let ready = unsafe { libc::poll(&raw mut poll, 1, left.as_millis().try_into().unwrap_or(i32::MAX)) };
            if ready <= 0 {
                return None;
            }
            let mut from = link_address(0);
            let mut size = address_size();
            // SAFETY: the buffer and the address are ours, and their true sizes are given.
            let length = unsafe {
                libc::recvfrom(
                    self.fd.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut size,
                )
            };
            let Ok(length) = usize::try_from(length) else { return None };
            if from.sll_pkttype != libc::PACKET_OUTGOING && wanted(&buffer[..length]) {
                return Some(buffer[..length].to_vec());
            }
        }
    }
}

fn open(interface: &str) -> io::Result<OwnedFd> {
    let name = CString::new(interface)?;
    // SAFETY: the name ends with a zero byte.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    let index = i32::try_from(index).map_err(io::Error::other)?;
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    let every_protocol = i32::from(u16::to_be(libc::ETH_P_ALL.try_into().map_err(io::Error::other)?));
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, every_protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = link_address(index);
    // SAFETY: the address is one of packet(7), of the size that is given.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), address_size()) };
    if bound == 0 { Ok(fd) } else { Err(io::Error::last_os_error()) }
}

fn link_address(index: i32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET.try_into().unwrap_or_default(),
        sll_protocol: u16::to_be(libc::ETH_P_ALL.try_into().unwrap_or_default()),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

fn address_size() -> libc::socklen_t {
    size_of::<libc::sockaddr_ll>().try_into().unwrap_or_default()
}

/// Sends whole IP packets through the host's own stack (raw(7)), so that everything which filters what leaves sees them.
#[derive(Debug)]
pub struct RawIp {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl RawIp {
    /// Opens both families on an interface of a namespace; packets carry this mark.
    ///
    /// # Panics
    /// When there is no such interface, or we are not root.
    #[must_use]
    #[track_caller]
    pub fn open(namespace: &Namespace, interface: &str, mark: u32) -> Self {
        let open = |family, level, option| {
            namespace
                .run(|| raw_ip(family, level, option, interface, mark))
                .unwrap_or_else(|error| panic!("raw socket: {error}"))
        };
        Self {
            v4: open(libc::AF_INET, libc::IPPROTO_IP, libc::IP_HDRINCL),
            v6: open(libc::AF_INET6, libc::IPPROTO_IPV6, IPV6_HDRINCL),
        }
    }

    /// Sends a packet. That a rule on the way out drops it is no failure, nor that there is no way to where it goes.
    pub fn send(&self, packet: &[u8]) {
        let is_v4 = packet.first().is_some_and(|first| first >> 4 == 4);
        // SAFETY: structures of integers, for which zero is a value.
        let (mut v4, mut v6): (libc::sockaddr_in, libc::sockaddr_in6) = unsafe { std::mem::zeroed() };
        let (fd, address, size): (_, *const libc::sockaddr, _) = if is_v4 {
            v4.sin_family = libc::AF_INET.try_into().unwrap_or_default();
            v4.sin_addr.s_addr = packet.get(16..20).and_then(|a| a.try_into().ok()).map_or(0, u32::from_ne_bytes);
            (&self.v4, (&raw const v4).cast(), size_of_val(&v4))
        } else {
            v6.sin6_family = libc::AF_INET6.try_into().unwrap_or_default();
            v6.sin6_addr.s6_addr = packet.get(24..40).and_then(|a| a.try_into().ok()).unwrap_or_default();
            (&self.v6, (&raw const v6).cast(), size_of_val(&v6))
        };
        let size = libc::socklen_t::try_from(size).unwrap_or_default();
        // SAFETY: packet and address are ours, and their true sizes are given.
        unsafe { libc::sendto(fd.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0, address, size) };
    }
}

/// Missing in the libc crate (linux/in6.h).
const IPV6_HDRINCL: libc::c_int = 36;

fn raw_ip(family: i32, level: i32, option: i32, interface: &str, mark: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let whole = 1_u32.to_ne_bytes();
    let options: [(i32, i32, &[u8]); 3] = [
        (level, option, &whole),
        (libc::SOL_SOCKET, libc::SO_MARK, &mark.to_ne_bytes()),
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE, interface.as_bytes()),
    ];
    for (level, name, value) in options {
        let size = libc::socklen_t::try_from(value.len()).unwrap_or_default();
        // SAFETY: pointer and length are those of a slice that outlives the call.
        if unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), size) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Cable;
    use crate::packet::Packet;

    #[test]
    fn a_frame_arrives_as_it_was_sent() {
        let cable = Cable::new();
        let far = RawSocket::open(&cable.remote, &cable.far.interface);
        let near = RawSocket::open(&cable.host, &cable.near.interface);
        let frame = Packet::new().ethertype(0x88b5).payload(&[7; 50]).build();
        far.send(&frame);
        assert_eq!(near.receive(Duration::from_secs(2), |bytes| bytes == frame), Some(frame));
    }
}
