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
