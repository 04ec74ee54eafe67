//! Refused packets as syslog (RFC 5424) and as entries of the journal.

mod destination;
mod message;
mod sender;
mod tls;

pub use destination::{Destination, Server, Transport};
pub(crate) use message::{Message, host_name};
pub(crate) use sender::Sender;
