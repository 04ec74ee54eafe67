//! Probes whether the driver of an interface accepts native XDP, with a program of two instructions that passes every packet.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use aya_obj::generated::{
    BPF_F_XDP_HAS_FRAGS, XDP_FLAGS_DRV_MODE, XDP_FLAGS_UPDATE_IF_NOEXIST, bpf_attach_type, bpf_cmd, bpf_prog_type,
};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rtnetlink::packet_core::{ErrorMessage, NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};

use super::bpf::{bpf, no_attributes, owned};

/// The result of a probe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NativeXdp {
    /// The driver accepts the program.
    Takes,
    /// The driver refuses the program.
    Refuses(Refusal),
    /// Not probed: another program is attached, or privileges are missing.
    NotAsked,
}

/// A refusal of native XDP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The error number.
    pub number: i32,
    /// The driver's message, or the kernel's if the driver gave none.
    pub sentence: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.sentence {
            Some(sentence) => write!(f, "\"{}\"", sentence.trim_end_matches(['.', '\n'])),
            None => write!(f, "{}", io::Error::from_raw_os_error(self.number)),
        }
    }
}

/// Whether an error number of an attachment means that the driver refuses native XDP, rather than that another program is attached
/// or that privileges are missing.
pub(in crate::dataplane) const fn is_refusal(number: i32) -> bool {
    !matches!(number, libc::EBUSY | libc::EEXIST | libc::EPERM)
}

/// Probes the driver of an interface. The program is removed at once; if another program is attached, nothing is tried. Drivers may
/// restart their queues, which loses packets for a moment.
#[must_use]
pub fn ask_driver(interface: u32) -> NativeXdp {
    let Ok(program) = load() else { return NativeXdp::NotAsked };
    match attach(&program, interface) {
        // Closing the link detaches the program.
        Ok(_link) => NativeXdp::Takes,
        Err(error) => match error.raw_os_error() {
            Some(number) if is_refusal(number) => {
                NativeXdp::Refuses(Refusal { number, sentence: sentence(&program, interface) })
            }
            Some(_) | None => NativeXdp::NotAsked,
        },
    }
}

/// The message with which a driver refuses native XDP, if any. Only netlink transports it.
pub(in crate::dataplane) fn refusal_sentence(interface: u32) -> Option<String> {
    sentence(&load().ok()?, interface)
}

/// `r0 = XDP_PASS; exit`.
const PASS: [u64; 2] = [0x0000_0002_0000_00b7_u64.to_le(), 0x0000_0000_0000_0095_u64.to_le()];

/// Loads the program with the same flags as the real one: for frames of several buffers if the kernel accepts that (Linux 5.18).
fn load() -> io::Result<OwnedFd> {
    load_with(BPF_F_XDP_HAS_FRAGS).or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => load_with(0),
        _ => Err(error),
    })
}

/// Loads a program that passes everything, with these flags.
pub(super) fn load_with(flags: u32) -> io::Result<OwnedFd> {
    let mut attributes = no_attributes();
    attributes.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
    attributes.__bindgen_anon_3.insn_cnt = 2;
    attributes.__bindgen_anon_3.insns = PASS.as_ptr().expose_provenance() as u64;
    attributes.__bindgen_anon_3.license = c"GPL".as_ptr().expose_provenance() as u64;
    attributes.__bindgen_anon_3.prog_flags = flags;
    // SAFETY: the instructions and the license outlive the call, and are as long as is said.
    owned(unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attributes)? })
}

fn attach(program: &OwnedFd, interface: u32) -> io::Result<OwnedFd> {
    let mut attributes = no_attributes();
    attributes.link_create.__bindgen_anon_1.prog_fd = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    attributes.link_create.__bindgen_anon_2.target_ifindex = interface;
    attributes.link_create.attach_type = bpf_attach_type::BPF_XDP as u32;
    attributes.link_create.flags = XDP_FLAGS_DRV_MODE;
    // SAFETY: the attributes hold no address.
    owned(unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attributes)? })
}

/// Repeats a refused attachment over netlink, to get the driver's message.
fn sentence(program: &OwnedFd, interface: u32) -> Option<String> {
    let answer = set_xdp(interface, program.as_raw_fd()).ok()?;
    if answer.code.is_none() {
        // Accepted this time: detach it again.
        let _ = set_xdp(interface, -1);
        return None;
    }
    extended(&answer.header)
}

/// Sends one `RTM_SETLINK`.
fn set_xdp(interface: u32, program: i32) -> io::Result<ErrorMessage> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_ext_ack(true)?;
    // Without this option the answer repeats the request before the message.
    socket.set_cap_ack(true)?;
    socket.bind_auto()?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    let flags = if program < 0 { XDP_FLAGS_DRV_MODE } else { XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST };
    let mut message = LinkMessage::default();
    message.header.index = interface;
    message.attributes.push(LinkAttribute::Xdp(vec![LinkXdp::Fd(program), LinkXdp::Flags(flags)]));
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let mut question = NetlinkMessage::new(header, RouteNetlinkMessage::SetLink(message).into());
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?.payload {
        NetlinkPayload::Error(answer) => Ok(answer),
        NetlinkPayload::Done(_)
        | NetlinkPayload::Noop
        | NetlinkPayload::Overrun(_)
        | NetlinkPayload::InnerMessage(_)
        | _ => Err(io::Error::other("the kernel's answer is none")),
    }
}

/// The message in the attributes that follow the header of the request: the text of `NLMSGERR_ATTR_MSG`
/// (`include/uapi/linux/netlink.h`).
fn extended(answer: &[u8]) -> Option<String> {
    const HEADER: usize = 16;
    const MESSAGE: u16 = 1;
    let mut rest = answer.get(HEADER..)?;
    while let [length_low, length_high, kind_low, kind_high, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([length_low, length_high]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([kind_low, kind_high]) == MESSAGE {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_refusal_but_a_taken_hook_and_missing_privileges_is_the_drivers() {
        for number in [libc::EOPNOTSUPP, libc::ERANGE, libc::EINVAL, libc::ENOSPC, libc::ENOMEM, libc::EIO] {
            assert!(is_refusal(number), "{number}");
        }
        for number in [libc::EBUSY, libc::EEXIST, libc::EPERM] {
            assert!(!is_refusal(number), "{number}");
        }
    }

    #[test]
    fn the_sentence_is_found_among_the_attributes_of_an_answer() {
        let mut answer = vec![0; 16];
        // NLMSGERR_ATTR_OFFS, then the text, padded.
        answer.extend([8_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat());
        answer.extend(20_u32.to_ne_bytes());
        answer.extend([13_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat());
        answer.extend(*b"too long\0\0\0\0");
        assert_eq!(extended(&answer), Some("too long".to_owned()));
        assert_eq!(extended(&answer[..24]), None);
        assert_eq!(extended(&answer[..28]), None, "cut off");
        assert_eq!(extended(&[]), None);
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_driver_where_there_are_any() {
        let refusal = |sentence: Option<&str>| Refusal { number: libc::EINVAL, sentence: sentence.map(str::to_owned) };
        assert_eq!(refusal(Some("MTU too large to enable XDP.")).to_string(), "\"MTU too large to enable XDP\"");
        assert_eq!(refusal(None).to_string(), "Invalid argument (os error 22)");
    }
}
