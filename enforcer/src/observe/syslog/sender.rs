//! Sending messages. Whatever the receiver does, a sender needs a bounded amount of memory and, for each step, a bounded time; while it
//! waits, events stay in the ring of the kernel, which is bounded too and counts what finds no room.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::destination::{Server, Transport};
use super::message::{Message, host_name};
use super::tls;
use crate::dataplane::DeniedEvent;
use crate::failure::Failure;
use crate::observe::told::Sink;

/// Bytes of messages that wait to be sent. The events of a full ring are many times as many.
const MOST_WAITING: usize = 64 << 10;
/// The longest time to connect, and to write once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where systemd-journald listens (sd_journal_sendv(3)).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Sends messages to one receiver, and connects again when a connection has ended.
pub(crate) struct Sender {
    receiver: Receiver,
    patience: Duration,
}

enum Receiver {
    Datagrams { server: Server, socket: Option<UdpSocket> },
    Stream(Box<Stream>),
    Journal { path: PathBuf, socket: Option<UnixDatagram> },
}

struct Stream {
    server: Server,
    /// For TLS.
    config: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
    /// Messages, each with its length before it, that were not sent whole. They are all sent again by the next connection, so that none is
    /// lost; the receiver may then have some of them twice.
    waiting: Vec<u8>,
}

enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Sender {
    /// A sender to a server. It does not connect yet.
    ///
    /// # Errors
    /// The certificates for TLS cannot be read.
    pub(crate) fn to_server(server: &Server) -> Result<Self, Failure> {
        let server = server.clone();
        let receiver = match server.transport {
            Transport::Udp => Receiver::Datagrams { server, socket: None },
            Transport::Tcp | Transport::Tls => {
                let config = if server.transport == Transport::Tls { Some(tls::config(&server)?) } else { None };
                Receiver::Stream(Box::new(Stream { server, config, connection: None, waiting: Vec::new() }))
            }
        };
        Ok(Self { receiver, patience: PATIENCE })
    }

    /// A sender to the journal.
    pub(crate) fn to_journal() -> Self {
        Self::to_journal_at(Path::new(JOURNAL))
    }

    fn to_journal_at(path: &Path) -> Self {
        Self { receiver: Receiver::Journal { path: path.to_owned(), socket: None }, patience: PATIENCE }
    }

    /// Connects, so that a wrong name or port is reported before there is an event to send.
    ///
    /// # Errors
    /// The receiver cannot be reached.
    pub(crate) fn connect(&mut self) -> Result<(), Failure> {
        let patience = self.patience;
        match &mut self.receiver {
            Receiver::Datagrams { server, socket } => {
                kept(socket, || datagrams_to(server)).map(drop).map_err(|error| failure(error, &server.to_string()))
            }
            Receiver::Stream(stream) => {
                let Stream { server, config, connection, .. } = &mut **stream;
                let connected = kept(connection, || Connection::to(server, config.as_ref(), patience));
                connected.map(drop).map_err(|error| failure(error, &server.to_string()))
            }
            Receiver::Journal { path, socket } => {
                kept(socket, || journal_at(path, patience)).map(drop).map_err(|error| failure(error, "the journal"))
            }
        }
    }

    fn send(&mut self, message: &Message) -> Result<(), Failure> {
        let patience = self.patience;
        match &mut self.receiver {
            Receiver::Datagrams { server, socket } => {
                let text = message.syslog(host_name());
                let result = kept(socket, || datagrams_to(server)).and_then(|socket| socket.send(text.as_bytes()));
                match result {
                    // Nobody listens there now; a datagram is never certain to arrive.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
                    Err(error) => {
                        *socket = None;
                        Err(failure(error, &server.to_string()))
                    }
                    Ok(_) => Ok(()),
                }
            }
            Receiver::Journal { path, socket } => {
                let result = kept(socket, || journal_at(path, patience))
                    .and_then(|socket| socket.send(message.journal().as_bytes()));
                result.map(drop).map_err(|error| {
                    *socket = None;
                    failure(error, "the journal")
                })
            }
            Receiver::Stream(stream) => {
                let text = message.syslog(host_name());
                stream.waiting.extend_from_slice(format!("{} {text}", text.len()).as_bytes());
                if stream.waiting.len() < MOST_WAITING { Ok(()) } else { stream.flush(patience) }
            }
        }
    }
}

impl Sink for Sender {
    fn event(&mut self, event: &DeniedEvent) -> Result<(), Failure> {
        self.send(&Message::denied(event))
    }

    fn suppressed(&mut self, numbers: (u64, u64)) -> Result<(), Failure> {
        self.send(&Message::suppressed(numbers, Timestamp::now()))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let patience = self.patience;
        match &mut self.receiver {
            Receiver::Stream(stream) => stream.flush(patience),
            Receiver::Datagrams { .. } | Receiver::Journal { .. } => Ok(()),
        }
    }
}

impl Stream {
    /// Sends what waits. What cannot be sent keeps waiting.
    fn flush(&mut self, patience: Duration) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        // What is written after the other side has closed would be lost without an error.
        if self.connection.as_mut().is_some_and(|connection| !connection.is_open()) {
            self.connection = None;
        }
        let Self { server, config, connection, waiting } = self;
        let result = kept(connection, || Connection::to(server, config.as_ref(), patience))
            .and_then(|connection| connection.write(waiting));
        match result {
            Ok(()) => {
                waiting.clear();
                Ok(())
            }
            Err(error) => {
                *connection = None;
                Err(failure(error, &server.to_string()))
            }
        }
    }
}

impl Connection {
    fn to(server: &Server, config: Option<&Arc<ClientConfig>>, patience: Duration) -> io::Result<Self> {
        let stream = each_address(server, |address| TcpStream::connect_timeout(&address, patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_read_timeout(Some(patience))?;
        match config {
            None => Ok(Self::Plain(stream)),
            Some(config) => Ok(Self::Tls(Box::new(tls::connect(config, &server.host, stream)?))),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Whether the other side has not closed it. A receiver of syslog says nothing, so whatever it says is passed over.
    fn is_open(&mut self) -> bool {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        };
        if stream.set_nonblocking(true).is_err() {
            return false;
        }
        let mut some = [0; 256];
        let heard = match self {
            Self::Plain(stream) => stream.read(&mut some),
            Self::Tls(stream) => stream.read(&mut some),
        };
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        };
        let is_open = match heard {
            Ok(bytes) => bytes > 0,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        stream.set_nonblocking(false).is_ok() && is_open
    }
}

/// What is there, or what is made now.
fn kept<T>(there: &mut Option<T>, make: impl FnOnce() -> io::Result<T>) -> io::Result<&mut T> {
    match there {
        Some(there) => Ok(there),
        None => Ok(there.insert(make()?)),
    }
}

fn journal_at(path: &Path, patience: Duration) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(patience))?;
    Ok(socket)
}

fn datagrams_to(server: &Server) -> io::Result<UdpSocket> {
    each_address(server, |address| {
        let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        Ok(socket)
    })
}

/// Tries every address of a server; the last error if none will do.
fn each_address<T>(server: &Server, mut attempt: impl FnMut(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = None;
    for address in (server.host.as_str(), server.port).to_socket_addrs()? {
        match attempt(address) {
            Ok(found) => return Ok(found),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("its name has no address")))
}

fn failure(error: io::Error, to: &str) -> Failure {
    // The unit of the package permits no more than this host.
    let hint = if error.kind() == ErrorKind::PermissionDenied {
        " (`systemctl edit enforcer`: IPAddressAllow=, and an `allow` entry if `outbound: role`)"
    } else {
        ""
    };
    Failure::Failed(anyhow::Error::from(error).context(format!("cannot send events to {to}{hint}")))
}

#[cfg(test)]
mod tests;
