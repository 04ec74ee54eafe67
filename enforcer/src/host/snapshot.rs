//! One look at interfaces, addresses and sockets of this moment.

use std::net::IpAddr;

use crate::failure::Failure;
use crate::host::links::{Addresses, LinksError, addresses};
use crate::host::sockets::{Socket, Sockets, SocketsError};

/// The conversations could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Sockets.
    #[error(transparent)]
    Sockets(#[from] SocketsError),
    /// Addresses, interfaces or routes.
    #[error(transparent)]
    Links(#[from] LinksError),
}

/// Sockets and addresses of this network namespace at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The sockets.
    pub sockets: Sockets,
    /// The addresses.
    pub addresses: Addresses,
}

impl Snapshot {
    /// Reads both.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn read() -> Result<Self, LiveError> {
        Ok(Self { sockets: Sockets::read()?, addresses: addresses()? })
    }

    /// Sockets whose packets cross a wire: those with a remote address that is not this host's own.
    pub fn on_the_wire(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().filter(|socket| !self.is_local(socket.remote.ip()))
    }

    fn is_local(&self, remote: IpAddr) -> bool {
        remote.is_unspecified() || remote.is_loopback() || self.addresses.own.contains(&remote)
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        Self::Failed(error.into())
    }
}
