//! The sockets of every station: listeners, senders, and what hears which TCP packets the kernel has let in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recvfrom, setsockopt, socket, sockopt,
};

use super::attempts::{Attempt, Tried};
use super::expected::{Fate, Frame};
use super::lan::Station;
use crate::packet::protocol::{TCP, UDP};
use crate::packet::tcp;
use crate::raw::RawIp;

/// How long packets that should arrive may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was seen of an attempt: how many times.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// It came to the host that it was for.
    pub arrived: u32,
    /// An answer came to the host that had sent it.
    pub answered: u32,
}

/// The sockets.
pub struct Wire {
    servers: BTreeMap<(IpAddr, u16), UdpSocket>,
    listeners: Vec<TcpListener>,
    ears: BTreeMap<IpAddr, OwnedFd>,
    senders: Vec<RawIp>,
    clients: BTreeMap<IpAddr, UdpSocket>,
    client_port: u16,
}

/// Source and destination of a conversation, its protocol and port, with the place of the attempt.
type Places = BTreeMap<(IpAddr, IpAddr, u8, u16), usize>;

impl Wire {
    /// Opens every socket: listeners on all ports that are tried.
    ///
    /// # Panics
    /// When one cannot be opened.
    #[must_use]
    pub fn open(stations: &[Station], tried: &[Tried]) -> Self {
        allow_files();
        let mut wire = Self {
            servers: BTreeMap::new(),
            listeners: Vec::new(),
            ears: BTreeMap::new(),
            senders: Vec::new(),
            clients: BTreeMap::new(),
            client_port: 0,
        };
        for (station, tried) in stations.iter().zip(tried) {
            wire.senders.push(RawIp::open(&station.namespace, &station.interface, 0));
            let places: Vec<(IpAddr, (u8, u16))> =
                station.addresses.iter().flat_map(|to| tried.all().map(move |(port, _)| (*to, port))).collect();
            let (udp, tcp, ears) = station.namespace.run(|| {
                let of = |protocol: u8| places.iter().filter(move |(_, (of, _))| *of == protocol);
                let udp: Vec<_> = of(UDP).map(|(to, (_, port))| ((*to, *port), udp_socket(*to, *port))).collect();
                let tcp: Vec<_> = of(TCP).map(|(to, (_, port))| tcp_listener(*to, *port)).collect();
                let ears: Vec<_> = station.addresses.iter().map(|address| (*address, ear(*address))).collect();
                (udp, tcp, ears)
            });
            wire.servers.extend(udp);
            wire.listeners.extend(tcp);
            wire.ears.extend(ears);
        }
        wire
    }

    /// How many ports have a listener.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.servers.len() + self.listeners.len()
    }

    /// From now on clients send from this port.
    ///
    /// # Panics
    /// When it is taken.
    pub fn send_from(&mut self, stations: &[Station], port: u16) {
        self.client_port = port;
        for station in stations {
            let addresses = &station.addresses;
            let open = || addresses.iter().map(|from| (*from, udp_socket(*from, port))).collect::<Vec<_>>();
            self.clients.extend(station.namespace.run(open));
        }
    }

    /// Makes some attempts, and notes what is seen of them. It ends when everything has been seen that should be, or much later.
    pub fn make(&self, attempts: &[Attempt], fates: &[Fate], seen: &mut [Seen]) {
        let places: Places = attempts
            .iter()
            .enumerate()
            .map(|(place, one)| ((one.source, one.target, one.protocol, one.port), place))
            .collect();
        for attempt in attempts {
            self.send(attempt);
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let heard = self.hear(attempts, fates, &places, seen);
            let is_all = |(seen, fate): (&Seen, &Fate)| {
                seen.arrived >= u32::from(fate.arrives) && seen.answered >= u32::from(fate.answered)
            };
            if seen.iter().zip(fates).all(is_all) || Instant::now() > end {
                return;
            }
            if !heard {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Hears what has come late, for as long as anything comes.
    pub fn hear_rest(&self, attempts: &[Attempt], fates: &[Fate], seen: &mut [Seen]) {
        let places = attempts
            .iter()
            .enumerate()
            .map(|(place, one)| ((one.source, one.target, one.protocol, one.port), place))
            .collect();
        loop {
            thread::sleep(Duration::from_millis(50));
            if !self.hear(attempts, fates, &places, seen) {
                return;
            }
        }
    }

    fn send(&self, attempt: &Attempt) {
        let Attempt { from, source, target, protocol, port, .. } = *attempt;
        if protocol == TCP {
            let frame = Frame { source, target, protocol, ports: [self.client_port, port], flags: tcp::SYN };
            // The link header is the kernel's.
            self.senders[from].send(&frame.bytes()[14..]);
        } else {
            // What the policy drops on its way out is no failure of ours.
            let _ = self.clients[&source].send_to(&[0; 4], (target, port));
        }
    }

    /// Reads every socket that an attempt concerns. Whether there was anything.
    fn hear(&self, attempts: &[Attempt], fates: &[Fate], places: &Places, seen: &mut [Seen]) -> bool {
        let mut heard = false;
        let ends: BTreeSet<IpAddr> = attempts.iter().flat_map(|attempt| [attempt.source, attempt.target]).collect();
        for own in ends {
            while let Some((remote, [from, to], flags)) = heard_at(&self.ears[&own]) {
                heard = true;
                if flags == tcp::SYN
                    && let Some(place) = places.get(&(remote, own, TCP, to))
                {
                    seen[*place].arrived += 1;
                }
                if flags == tcp::SYN | tcp::ACK
                    && let Some(place) = places.get(&(own, remote, TCP, from))
                {
                    seen[*place].answered += 1;
                }
            }
            let client = &self.clients[&own];
            while let Some(from) = datagram(client) {
                heard = true;
                if let Some(place) = places.get(&(own, from.ip(), UDP, from.port())) {
                    seen[*place].answered += 1;
                }
            }
        }
        for attempt in attempts.iter().filter(|attempt| attempt.protocol == UDP) {
            let server = &self.servers[&(attempt.target, attempt.port)];
            while let Some(from) = datagram(server) {
                heard = true;
                let Some(place) = places.get(&(from.ip(), attempt.target, UDP, attempt.port)) else { continue };
                seen[*place].arrived += 1;
                if fates[*place].permitted {
                    // That it is dropped shows at the other end.
                    let _ = server.send_to(&[0; 4], from);
                }
            }
        }
        heard
    }
}

/// A datagram that has come to a socket, by who sent it.
fn datagram(socket: &UdpSocket) -> Option<SocketAddr> {
    socket.recv_from(&mut [0; 64]).ok().map(|(_, from)| from)
}

/// A TCP packet that the kernel has let in to an address: who sent it, both ports, the flags.
fn heard_at(ear: &OwnedFd) -> Option<(IpAddr, [u16; 2], u8)> {
    let mut buffer = [0; 256];
    let (length, from) = recvfrom::<SockaddrStorage>(ear.as_raw_fd(), &mut buffer).ok()?;
    let from = from?;
    let (remote, header) = match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
        // The IPv4 header comes along, and that of IPv6 does not.
        (Some(v4), _) => (v4.ip().into(), usize::from(buffer[0] & 0x0f) * 4),
        (None, Some(v6)) => (v6.ip().into(), 0),
        (None, None) => return None,
    };
    let tcp = buffer[..length].get(header..header + 14)?;
    Some((remote, [[tcp[0], tcp[1]], [tcp[2], tcp[3]]].map(u16::from_be_bytes), tcp[13] & 0x3f))
}

fn udp_socket(address: IpAddr, port: u16) -> UdpSocket {
    let open = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind((address, port))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    open().unwrap_or_else(|error| panic!("udp {address} {port}: {error}"))
}

fn tcp_listener(address: IpAddr, port: u16) -> TcpListener {
    TcpListener::bind((address, port)).unwrap_or_else(|error| panic!("tcp {address} {port}: {error}"))
}

/// A socket that gets a copy of every TCP packet for an address, after everything that filters.
fn ear(address: IpAddr) -> OwnedFd {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Raw, flags, SockProtocol::Tcp).expect("root may open raw sockets");
    setsockopt(&fd, sockopt::RcvBufForce, &(8 << 20)).expect("root may have a large buffer");
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0))).expect("it is an address of this host");
    fd
}

/// Listeners are files, and there are thousands.
fn allow_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    // Where it stays lower, the first file that is too many says so.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
}
