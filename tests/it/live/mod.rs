//! Connections that are there when a policy comes: which go on, which are cut, and what is said before.

mod ask;
mod drill;
mod guard;
mod list;
mod preflight;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use harness::enforcer::{Ran, enforcer};
use harness::netns::{Cable, Namespace};
use harness::sockets::tcp_stream;

/// A port that Unity Connection listens on for anybody.
const PERMITTED: u16 = 22;
/// A port that no rule names.
const UNLISTED: u16 = 4444;
/// A port of the remote side that this host asks.
const SERVER: u16 = 5004;

/// How long a packet may take that arrives at all.
const SOON: Duration = Duration::from_secs(5);

/// A TCP connection, both ends.
struct Conversation {
    host: TcpStream,
    peer: TcpStream,
    _listener: TcpListener,
}

impl Conversation {
    /// One that the remote side opened to a port of the host. The server listens on both families by one socket.
    #[track_caller]
    fn from_peer(cable: &Cable, port: u16) -> Self {
        let listener = cable.host.run(|| TcpListener::bind(("::", port)).expect("the port is free"));
        let peer = tcp_stream(&cable.remote, (cable.near.v4, port).into());
        let (host, _) = listener.accept().expect("the client has connected");
        Self::of(host, peer, listener)
    }

    /// The same, with a listener that is gone when it has accepted, as that of `nc -l`.
    #[track_caller]
    fn from_peer_once(cable: &Cable, port: u16) -> Self {
        let listener = cable.host.run(|| TcpListener::bind(("::", port)).expect("the port is free"));
        let peer = tcp_stream(&cable.remote, (cable.near.v4, port).into());
        let (host, _) = listener.accept().expect("the client has connected");
        drop(listener);
        // Another listener, so that there is one to hold.
        let unused = cable.remote.run(|| TcpListener::bind(("::1", 0)).expect("a port of the loopback interface"));
        Self::of(host, peer, unused)
    }

    /// One that the host opened to a port of the remote side.
    #[track_caller]
    fn from_host(cable: &Cable, to: impl Into<std::net::IpAddr>) -> Self {
        let to: std::net::IpAddr = to.into();
        // By a mapped address the host speaks IPv4 through an IPv6 socket; the other side never knows.
        let bound = to.to_canonical();
        let listener = cable.remote.run(|| TcpListener::bind((bound, 0)).expect("an address of the remote side"));
        let port = listener.local_addr().expect("it is bound").port();
        let host = tcp_stream(&cable.host, (to, port).into());
        let (peer, _) = listener.accept().expect("the host has connected");
        Self::of(host, peer, listener)
    }

    fn of(host: TcpStream, peer: TcpStream, listener: TcpListener) -> Self {
        for stream in [&host, &peer] {
            stream.set_read_timeout(Some(SOON)).expect("a socket has a timeout");
            stream.set_nodelay(true).expect("a socket can be made so");
        }
        Self { host, peer, _listener: listener }
    }

    /// The peer speaks first, as what comes in is what is judged; then the host.
    #[track_caller]
    fn exchange(&mut self) {
        let mut buffer = [0; 4];
        self.peer.write_all(b"ping").expect("the connection is open");
        self.host.read_exact(&mut buffer).expect("what the peer says arrives");
        self.host.write_all(b"pong").expect("the connection is open");
        self.peer.read_exact(&mut buffer).expect("what the host says arrives");
    }

    /// Whether what the peer says still arrives.
    #[track_caller]
    fn is_cut(&mut self) -> bool {
        self.host.set_read_timeout(Some(harness::sockets::PATIENCE)).expect("a socket has a timeout");
        self.peer.write_all(b"hello?").expect("the connection is open on this side");
        self.host.read(&mut [0; 8]).is_err()
    }

    fn remote(&self) -> SocketAddr {
        self.peer.local_addr().expect("it is connected")
    }
}

/// A UDP exchange that the host opened, both ends.
struct Datagrams {
    host: UdpSocket,
    peer: UdpSocket,
}

impl Datagrams {
    #[track_caller]
    fn from_host(cable: &Cable, to: impl Into<std::net::IpAddr>) -> Self {
        let to = to.into();
        let any: std::net::IpAddr = if to.is_ipv4() { cable.near.v4.into() } else { cable.near.v6.into() };
        // A port of a server: between two ports of the ephemeral range, either end may have opened the conversation.
        let peer = cable.remote.run(|| UdpSocket::bind((to, SERVER)).expect("an address of the remote side"));
        let host = cable.host.run(|| UdpSocket::bind((any, 0)).expect("an address of the host"));
        host.connect(peer.local_addr().expect("it is bound")).expect("UDP connects to anything");
        peer.connect(host.local_addr().expect("it is bound")).expect("UDP connects to anything");
        for socket in [&host, &peer] {
            socket.set_read_timeout(Some(SOON)).expect("a socket has a timeout");
        }
        Self { host, peer }
    }

    /// The peer speaks first.
    #[track_caller]
    fn exchange(&self) {
        let mut buffer = [0; 4];
        self.peer.send(b"ping").expect("it is connected");
        self.host.recv(&mut buffer).expect("what the peer says arrives");
        self.host.send(b"pong").expect("it is connected");
        self.peer.recv(&mut buffer).expect("what the host says arrives");
    }
}

/// A policy for the near end, in `enforce`.
fn apply<'a>(cable: &'a Cable, more: &[&'a str]) -> Vec<&'a str> {
    let mut line =
        vec!["apply", "--role", "unity-connection", "--interface", &cable.near.interface, "--mode", "enforce"];
    line.extend(more);
    line
}

#[track_caller]
fn run(cable: &Cable, line: &[&str]) -> Ran {
    enforcer(&cable.host, line)
}

/// Retransmission timeouts of a namespace so far.
#[track_caller]
fn timeouts(namespace: &Namespace) -> u64 {
    // The names of /proc/net are those of the process; a thread in another namespace has its own.
    let text = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/netstat").expect("the kernel counts"));
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:")).map(str::split_whitespace);
    let (names, values) = (lines.next().expect("a line of names"), lines.next().expect("a line of values"));
    let found = names.zip(values).find(|(name, _)| *name == "TCPTimeouts");
    found.and_then(|(_, value)| value.parse().ok()).expect("TCPTimeouts is counted")
}
