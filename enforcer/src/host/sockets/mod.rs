//! TCP and UDP sockets of this network namespace: what listens, what is connected, and who opened it.

mod diag;
mod opener;
mod owners;
mod proc;

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

pub use opener::Opener;
pub(crate) use owners::socket_inodes;
pub use owners::{Owners, Process};

pub use enforcer_common::numbers::{TCP, UDP};

/// The sockets could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the sockets of this network namespace (sock_diag: {diag:#}; /proc/net: {proc})")]
pub struct SocketsError {
    /// What netlink answered.
    diag: anyhow::Error,
    /// What /proc answered.
    proc: procfs::ProcError,
}

/// A socket. IPv4 addresses mapped into IPv6 are given as IPv4.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Socket {
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// Address and port of this host.
    pub local: SocketAddr,
    /// Address and port of the other one; unspecified where it listens.
    pub remote: SocketAddr,
    /// What it is doing.
    pub state: State,
    /// Who owns it.
    pub uid: u32,
    /// By which processes name it; 0 where no process has it any more.
    pub inode: u64,
    /// A listener on `::` that does not take IPv4.
    pub only_v6: bool,
    /// TCP: which end opened the conversation, where the kernel's counters tell.
    pub opener: Option<Opener>,
}

/// What a socket is doing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum State {
    /// TCP: waits for clients. UDP: not connected.
    Listening,
    /// This host has asked for a connection (`SYN-SENT`).
    Asking,
    /// A peer has (`SYN-RECEIVED`).
    Asked,
    /// Established; UDP: connected.
    Open,
    /// This host has closed its side (`FIN-WAIT`).
    ClosedHere,
    /// The peer has closed its side (`CLOSE-WAIT`).
    ClosedThere,
    /// Both have (`CLOSING`, `LAST-ACK`, `TIME-WAIT`).
    Closing,
}

impl State {
    /// The state with the kernel's number (`include/net/tcp_states.h`), which UDP uses too.
    const fn from_kernel(protocol: u8, number: u8) -> Option<Self> {
        match (protocol, number) {
            (_, 1) => Some(Self::Open),
            (UDP, 7) | (TCP, 10) => Some(Self::Listening),
            (TCP, 2) => Some(Self::Asking),
            (TCP, 3 | 12) => Some(Self::Asked),
            (TCP, 4 | 5) => Some(Self::ClosedHere),
            (TCP, 6 | 9 | 11) => Some(Self::Closing),
            (TCP, 8) => Some(Self::ClosedThere),
            _ => None,
        }
    }
}

impl Socket {
    /// Whether it is one end of a conversation that is going on.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.state, State::Open | State::ClosedHere | State::ClosedThere | State::Asking)
    }

    fn canonical(mut self) -> Self {
        for address in [&mut self.local, &mut self.remote] {
            address.set_ip(address.ip().to_canonical());
        }
        self
    }
}

/// All sockets at one moment.
#[derive(Clone, Debug)]
pub struct Sockets {
    all: Vec<Socket>,
    listening: HashSet<(u8, SocketAddr)>,
    /// Local ports that the kernel gives to connections of this host.
    ephemeral: RangeInclusive<u16>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl Sockets {
    /// Reads them by sock_diag; where the kernel has none of it, from `/proc/net`.
    ///
    /// # Errors
    /// When neither can be read.
    pub fn read() -> Result<Self, SocketsError> {
        let found = diag::read().or_else(|diag| proc::read().map_err(|proc| SocketsError { diag, proc }))?;
        Ok(Self { ephemeral: ephemeral_ports(), ..Self::of(found) })
    }

    /// These sockets, on a host with the usual ephemeral range.
    #[must_use]
    pub fn of(found: Vec<Socket>) -> Self {
        let all: Vec<Socket> = found.into_iter().map(Socket::canonical).collect();
        let mut listening = HashSet::new();
        for socket in all.iter().filter(|socket| socket.state == State::Listening) {
            let SocketKey { protocol, local } = key(socket.protocol, socket.local);
            listening.insert((protocol, local));
            if local.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !socket.only_v6 {
                listening.insert((protocol, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), local.port())));
            }
        }
        Self { all, listening, ephemeral: EPHEMERAL }
    }

    /// Every socket.
    pub fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.all.iter()
    }

    /// Sockets that wait for anybody.
    pub fn listeners(&self) -> impl Iterator<Item = &Socket> {
        self.all.iter().filter(|socket| socket.state == State::Listening)
    }

    /// Whether something listens on a local address and port.
    #[must_use]
    pub fn has_listener(&self, protocol: u8, local: SocketAddr) -> bool {
        let any: IpAddr = if local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let SocketKey { local, .. } = key(protocol, local);
        self.listening.contains(&(protocol, local))
            || self.listening.contains(&(protocol, SocketAddr::new(any, local.port())))
    }

    /// Whether this host opened the conversation, for certain. A listener may be gone while what it accepted goes on, so that nobody
    /// listens at the local end now proves little; where nothing proves more, a peer is taken to have opened it.
    #[must_use]
    pub fn opened_here(&self, socket: &Socket) -> bool {
        match socket.state {
            State::Asking => true,
            State::Listening | State::Asked => false,
            State::Open | State::ClosedHere | State::ClosedThere | State::Closing => {
                !self.has_listener(socket.protocol, socket.local)
                    && !is_in_accept_queue(socket)
                    && match socket.opener {
                        Some(opener) => opener == Opener::Host,
                        // A client has a port of this range, and asks at one that is not.
                        None => {
                            self.ephemeral.contains(&socket.local.port())
                                && !self.ephemeral.contains(&socket.remote.port())
                        }
                    }
            }
        }
    }
}

/// What a listener has not accepted yet belongs to no process.
const fn is_in_accept_queue(socket: &Socket) -> bool {
    socket.protocol == TCP && socket.inode == 0 && matches!(socket.state, State::Open | State::ClosedThere)
}

/// The kernel's own default of `net.ipv4.ip_local_port_range`.
const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

/// The local ports that guests give to their connections, whatever system they run: Linux uses 32768 to 60999, Windows and many
/// others 49152 to 65535 (RFC 6335).
pub const EPHEMERAL_OF_GUESTS: RangeInclusive<u16> = 32768..=65535;

/// The local ports that the kernel gives to connections of this host (`net.ipv4.ip_local_port_range`, which counts for IPv6 as
/// well).
#[must_use]
pub fn ephemeral_ports() -> RangeInclusive<u16> {
    let Ok(text) = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") else { return EPHEMERAL };
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).map_or(EPHEMERAL, |(first, last)| first..=last)
}

struct SocketKey {
    protocol: u8,
    local: SocketAddr,
}

/// Without flow label and scope, which tell apart nothing here.
fn key(protocol: u8, local: SocketAddr) -> SocketKey {
    SocketKey { protocol, local: SocketAddr::new(local.ip(), local.port()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(local: &str, remote: &str, state: State) -> Socket {
        let [local, remote] = [local, remote].map(|text| text.parse().unwrap());
        Socket { protocol: TCP, local, remote, state, uid: 0, inode: 1, only_v6: false, opener: None }
    }

    fn listener(local: &str) -> Socket {
        socket(local, "0.0.0.0:0", State::Listening)
    }

    #[test]
    fn a_conversation_on_a_listening_port_was_opened_by_the_peer() {
        let ssh = socket("10.0.0.1:22", "10.0.0.9:50000", State::Open);
        let own = socket("10.0.0.1:40000", "10.0.0.9:443", State::Open);
        for local in ["0.0.0.0:22", "[::]:22", "10.0.0.1:22"] {
            let sockets = Sockets::of(vec![listener(local), ssh, own]);
            assert!(!sockets.opened_here(&ssh), "{local}");
            assert!(sockets.opened_here(&own), "{local}");
        }
        let elsewhere = Sockets::of(vec![listener("10.0.0.2:22"), own]);
        assert!(!elsewhere.has_listener(TCP, ssh.local), "another address listens");
    }

    #[test]
    fn what_a_listener_accepted_before_it_went_was_not_opened_here() {
        let of = |local: &str, remote: &str, opener, inode| {
            let socket = Socket { opener, inode, ..socket(local, remote, State::Open) };
            Sockets::of(vec![socket]).opened_here(&socket)
        };
        // `nc -l` stops listening when somebody has connected.
        assert!(!of("10.0.0.1:4444", "10.0.0.9:50000", Some(Opener::Peer), 1));
        assert!(!of("10.0.0.1:40000", "10.0.0.9:443", Some(Opener::Peer), 1), "on a port of a client");
        assert!(!of("10.0.0.1:40000", "10.0.0.9:443", None, 0), "not accepted yet");
        assert!(of("10.0.0.1:40000", "10.0.0.9:443", None, 1));
        assert!(!of("10.0.0.1:4444", "10.0.0.9:443", None, 1), "no port of a client");
        assert!(!of("10.0.0.1:40000", "10.0.0.9:50000", None, 1), "either may be the client");
        // NFS asks from ports below 1024.
        assert!(of("10.0.0.1:700", "10.0.0.9:2049", Some(Opener::Host), 1));
    }

    #[test]
    fn a_listener_for_ipv6_alone_says_nothing_of_ipv4() {
        let only = Socket { only_v6: true, ..listener("[::]:5060") };
        let sockets = Sockets::of(vec![only]);
        assert!(!sockets.has_listener(TCP, "10.0.0.1:5060".parse().unwrap()));
        assert!(sockets.has_listener(TCP, "[2001:db8::1]:5060".parse().unwrap()));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let mapped = socket("[::ffff:10.0.0.1]:40000", "[::ffff:10.0.0.9]:443", State::Open);
        let sockets = Sockets::of(vec![mapped]);
        let found = sockets.iter().next().unwrap();
        assert_eq!(found.local, "10.0.0.1:40000".parse().unwrap());
        assert_eq!(found.remote, "10.0.0.9:443".parse().unwrap());
    }

    #[test]
    fn who_asks_has_opened_even_where_something_listens() {
        let asking = socket("10.0.0.1:22", "10.0.0.9:22", State::Asking);
        assert!(Sockets::of(vec![listener("0.0.0.0:22"), asking]).opened_here(&asking));
    }
}
