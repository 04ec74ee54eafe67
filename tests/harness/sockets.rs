//! Clients and servers as an application would be one: what only real traffic shows.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::netns::Namespace;

/// How long a client waits before it believes that nobody answers. A TCP client repeats its SYN after a second, so each
/// attempt is one packet.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// What a client saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    /// The server answered.
    Answered,
    /// The host answered that nobody listens.
    Refused,
    /// Nothing came back.
    Silence,
}

/// Connects by TCP from an address of the namespace.
///
/// # Panics
/// When no socket can be made, or the address is not one of the namespace.
#[track_caller]
pub fn tcp(namespace: &Namespace, from: IpAddr, to: SocketAddr) -> Reply {
    let result = namespace.run(|| connect(SocketAddr::new(from, 0), to).map(drop));
    match result {
        Ok(()) => Reply::Answered,
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Reply::Refused,
            Some(libc::EINPROGRESS | libc::EAGAIN | libc::ETIMEDOUT) => Reply::Silence,
            _ => panic!("tcp {from} -> {to}: {error}"),
        },
    }
}

/// Sends a datagram from an address of the namespace and waits for an answer.
///
/// # Panics
/// When no socket can be made, or the address is not one of the namespace.
#[track_caller]
pub fn udp(namespace: &Namespace, from: IpAddr, to: SocketAddr) -> Reply {
    let exchange = || {
        let socket = UdpSocket::bind((from, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(to)?;
        socket.send(b"anybody there?")?;
        socket.recv(&mut [0; 64])
    };
    match namespace.run(exchange) {
        Ok(_) => Reply::Answered,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Reply::Refused,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Reply::Silence,
        Err(error) => panic!("udp {from} -> {to}: {error}"),
    }
}

/// Connects by TCP from an address and a port (0: any), within [`PATIENCE`], in the namespace of the calling thread.
///
/// # Errors
/// What connect(2) says; `EINPROGRESS` when nobody answers.
pub fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // connect(2) keeps to the send timeout, and then fails with EINPROGRESS.
    let milliseconds = i64::try_from(PATIENCE.as_millis()).map_err(io::Error::other)?;
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::milliseconds(milliseconds))?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(from))?;
    nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(fd.into())
}

/// Servers on ports of a namespace, over both families, until they are dropped: TCP accepts, UDP echoes.
#[derive(Debug)]
pub struct Servers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    /// Starts them.
    ///
    /// # Panics
    /// When a port is taken.
    #[must_use]
    #[track_caller]
    pub fn start(namespace: &Namespace, tcp: &[u16], udp: &[u16]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let any = |port: u16| SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let (listeners, sockets) = namespace.run(|| {
            let listen =
                |port: &u16| TcpListener::bind(any(*port)).unwrap_or_else(|error| panic!("tcp {port}: {error}"));
            let open = |port: &u16| UdpSocket::bind(any(*port)).unwrap_or_else(|error| panic!("udp {port}: {error}"));
            (tcp.iter().map(listen).collect::<Vec<_>>(), udp.iter().map(open).collect::<Vec<_>>())
        });
        let accepting = listeners.into_iter().map(|listener| {
            listener.set_nonblocking(true).expect("a socket can be made so");
            serve(&stop, move || listener.accept().map(drop))
        });
        let accepting: Vec<_> = accepting.collect();
        let echoing = sockets.into_iter().map(|socket| {
            socket.set_nonblocking(true).expect("a socket can be made so");
            serve(&stop, move || {
                let mut buffer = [0; 64];
                let (length, from) = socket.recv_from(&mut buffer)?;
                socket.send_to(&buffer[..length], from).map(drop)
            })
        });
        let threads = echoing.chain(accepting).collect();
        Self { stop, threads }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A server that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn serve(stop: &Arc<AtomicBool>, mut once: impl FnMut() -> io::Result<()> + Send + 'static) -> JoinHandle<()> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            // An error of one client (it went away) is no reason to stop serving.
            if once().is_err() {
                thread::sleep(Duration::from_millis(2));
            }
        }
    })
}

/// A connection that stays open, for what must survive a change.
///
/// # Panics
/// When nobody answers.
#[must_use]
#[track_caller]
pub fn tcp_stream(namespace: &Namespace, to: SocketAddr) -> TcpStream {
    let stream = namespace.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(2)));
    stream.unwrap_or_else(|error| panic!("tcp to {to}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Cable;

    #[test]
    fn clients_tell_a_server_from_a_closed_port_over_both_families() {
        let cable = Cable::new();
        let servers = Servers::start(&cable.host, &[80], &[53]);
        for (from, to) in cable.far.addresses().into_iter().zip(cable.near.addresses()) {
            assert_eq!(tcp(&cable.remote, from, (to, 80).into()), Reply::Answered);
            assert_eq!(tcp(&cable.remote, from, (to, 81).into()), Reply::Refused);
            assert_eq!(udp(&cable.remote, from, (to, 53).into()), Reply::Answered);
            assert_eq!(udp(&cable.remote, from, (to, 54).into()), Reply::Refused);
        }
        drop(servers);
    }

    #[test]
    fn a_client_whose_packets_vanish_hears_silence() {
        let cable = Cable::new();
        // Frames to a link address that nobody has.
        let far = &cable.far.interface;
        cable.remote.batch(&format!("neigh replace 198.18.0.9 lladdr 02:00:00:00:00:09 dev {far} nud permanent\n"));
        let (from, to) = (cable.far.v4.into(), "198.18.0.9:80".parse().unwrap());
        assert_eq!(tcp(&cable.remote, from, to), Reply::Silence);
        assert_eq!(udp(&cable.remote, from, to), Reply::Silence);
    }
}
