//! Sockets over netlink (`sock_diag`): one question for each protocol and family, whatever the number of sockets.

use std::io;
use std::net::SocketAddr;

use anyhow::Context as _;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_sys::Socket as Netlink;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{Opener, Socket, State, TCP, UDP};

/// No message of a dump is longer (`NLMSG_GOODSIZE` and what the kernel makes of a large receive buffer).
const BUFFER: usize = 1 << 16;

/// Every TCP and UDP socket.
pub(super) fn read() -> anyhow::Result<Vec<Socket>> {
    let mut netlink = Netlink::new(NETLINK_SOCK_DIAG)?;
    netlink.bind_auto()?;
    netlink.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    let mut found = Vec::new();
    for protocol in [TCP, UDP] {
        for family in [AF_INET, AF_INET6] {
            match dump(&netlink, protocol, family, &mut found) {
                // A kernel without IPv6 has no handler for the family.
                Err(error) if family == AF_INET6 && is_missing(&error) => {}
                other => other.with_context(|| format!("protocol {protocol}, family {family}"))?,
            }
        }
    }
    Ok(found)
}

fn dump(netlink: &Netlink, protocol: u8, family: u8, found: &mut Vec<Socket>) -> anyhow::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = InetRequest {
        family,
        protocol,
        // `struct tcp_info`, from which follows who opened a conversation.
        extensions: if protocol == TCP { ExtensionFlags::INFO } else { ExtensionFlags::empty() },
        states: StateFlags::all(),
        socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
    };
    let mut question = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    netlink.send(&bytes, 0)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = netlink.recv(&mut &mut buffer[..], 0)?;
        let mut rest = buffer.get(..length).context("the kernel's answer is longer than any may be")?;
        while !rest.is_empty() {
            let message =
                NetlinkMessage::<SockDiagMessage>::deserialize(rest).context("the kernel's answer cannot be read")?;
            // Messages are aligned to four bytes.
            let length = (message.header.length as usize).next_multiple_of(4).min(rest.len());
            rest = &rest[length..];
            #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds carry nothing, and more may be added")]
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(answer)) => {
                    found.extend(socket(protocol, &answer));
                }
                // A protocol without a module of its own (`udp_diag`) is told here.
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(io::Error::from_raw_os_error(-done.code).into());
                }
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io().into()),
                _ => {}
            }
        }
    }
}

fn socket(protocol: u8, answer: &InetResponse) -> Option<Socket> {
    let InetResponse { header, nlas } = answer;
    let id = &header.socket_id;
    let info = nlas.iter().find_map(|nla| if let Nla::TcpInfo(info) = nla { Some(info.as_slice()) } else { None });
    Some(Socket {
        protocol,
        local: SocketAddr::new(id.source_address, id.source_port),
        remote: SocketAddr::new(id.destination_address, id.destination_port),
        state: State::from_kernel(protocol, header.state)?,
        uid: header.uid,
        inode: header.inode.into(),
        only_v6: nlas.iter().any(|nla| matches!(nla, Nla::SkV6Only(true))),
        opener: info.and_then(|info| Opener::of(info, header.send_queue, header.state)),
    })
}

fn is_missing(error: &anyhow::Error) -> bool {
    let number = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    matches!(number, Some(libc::ENOENT | libc::EAFNOSUPPORT))
}
