//! Sockets from `/proc/net`: slower, and all there is where the kernel was built without `sock_diag`.

use procfs::ProcError;
use procfs::net::{TcpState, UdpState};

use super::{Socket, State, TCP, UDP};

/// Every TCP and UDP socket.
pub(super) fn read() -> Result<Vec<Socket>, ProcError> {
    let mut found = Vec::new();
    for entries in [procfs::net::tcp(), procfs::net::tcp6()] {
        for entry in missing_is_empty(entries)? {
            let Some(state) = State::from_kernel(TCP, tcp_number(&entry.state)) else { continue };
            found.push(Socket {
                protocol: TCP,
                local: entry.local_address,
                remote: entry.remote_address,
                state,
                uid: entry.uid,
                inode: entry.inode,
                only_v6: false,
                opener: None,
            });
        }
    }
    for entries in [procfs::net::udp(), procfs::net::udp6()] {
        for entry in missing_is_empty(entries)? {
            found.push(Socket {
                protocol: UDP,
                local: entry.local_address,
                remote: entry.remote_address,
                state: if entry.state == UdpState::Established { State::Open } else { State::Listening },
                uid: entry.uid,
                inode: entry.inode,
                only_v6: false,
                opener: None,
            });
        }
    }
    Ok(found)
}

const fn tcp_number(state: &TcpState) -> u8 {
    match state {
        TcpState::Established => 1,
        TcpState::SynSent => 2,
        TcpState::SynRecv => 3,
        TcpState::FinWait1 => 4,
        TcpState::FinWait2 => 5,
        TcpState::TimeWait => 6,
        TcpState::Close => 7,
        TcpState::CloseWait => 8,
        TcpState::LastAck => 9,
        TcpState::Listen => 10,
        TcpState::Closing => 11,
        TcpState::NewSynRecv => 12,
    }
}

/// A kernel without IPv6 has no such file.
fn missing_is_empty<T>(entries: Result<Vec<T>, ProcError>) -> Result<Vec<T>, ProcError> {
    match entries {
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}
