//! Where the two may differ, and why. What is not here fails the test.

use enforcer_common::{Direction, Reason};

use super::packets::Sent;

/// A packet that arrived at one of the two alone.
pub(super) struct Case<'a> {
    pub(super) sent: &'a Sent,
    pub(super) direction: Direction,
    /// What our own decision code says of its frames.
    pub(super) reasons: &'a [Reason],
    /// It is permitted as the answer to a permitted question, and not by a rule for its own direction.
    pub(super) is_answer: bool,
    /// It arrived under our programs, and so not at nftables.
    pub(super) ours: bool,
}

/// A difference: its name, the reason, and whether a case is an example of it.
type Difference = (&'static str, &'static str, fn(&Case<'_>) -> bool);

const DIFFERENCES: &[Difference] = &[
    (
        "fragments out of order",
        "conntrack waits for all parts of a datagram and judges the whole; our programs keep no packet, so a part that comes before \
         the first is dropped (reason `fragment`), and the sender repeats the datagram",
        |case| !case.ours && case.is("fragments backwards") && case.reasons.contains(&Reason::FragmentDrop),
    ),
    (
        "tiny fragments",
        "conntrack puts the header together from several parts; we refuse a first part that ends within its header (RFC 1858)",
        |case| !case.ours && case.sent.what.starts_with("fragments") && case.reasons.contains(&Reason::TinyFragment),
    ),
    (
        "SCTP",
        "conntrack knows a conversation by its INIT chunk, and these packets have none; for us ports are enough",
        |case| case.ours && case.is_of(132) && (case.reasons == [Reason::Flow] || case.is_answer),
    ),
    (
        "TCP in disorder",
        "conntrack wants the order of segments that RFC 9293 draws, which we do not follow: an answer is whatever comes back but a \
         bare SYN, and what leaves in a flow that was permitted goes on with it (conntrack takes an ACK after a RST for invalid)",
        |case| {
            let is_disorder = case.is("disorderly") || case.is("disorderly out");
            case.ours && case.is_of(6) && is_disorder && case.reasons == [Reason::Flow]
        },
    ),
    (
        "TCP out of nothing",
        "conntrack takes up any conversation in its middle (nf_conntrack_tcp_loose); we do only from the ports of clients",
        |case| {
            let is_refused =
                matches!(case.reasons, [Reason::NoRule | Reason::Peer | Reason::Internal | Reason::Denied]);
            !case.ours && case.is_of(6) && case.is("disorderly") && is_refused
        },
    ),
    (
        "answers without a question",
        "what leaves from a permitted port is an answer for us, by the rule for the question; conntrack must have seen the question",
        |case| {
            let is_question = case.is("disorderly out") || case.is("opening");
            case.ours && case.direction == Direction::Outbound && case.is_answer && is_question
        },
    ),
    (
        "lengths above IP",
        "nft reads the ports and leaves the lengths in TCP and UDP headers to the stack behind it, which drops these packets; \
         for us they are malformed",
        |case| {
            let is_bent = |frame: &Vec<u8>| frame.get(14..).is_some_and(is_wrong_above_ip);
            let is_example = case.is("bent") && case.sent.frames.iter().all(is_bent);
            !case.ours && is_example && case.reasons == [Reason::Malformed]
        },
    ),
    (
        "authentication or mobility header",
        "nft takes these headers for the protocol and does not look behind them",
        |case| {
            case.ours && case.is_of_chain() && ["Authentication", "Mobility"].iter().any(|header| case.has(header) > 0)
        },
    ),
    ("second routing header", "nft looks at the first routing header alone", |case| {
        !case.ours && case.is_of_chain() && case.has("Routing") > 1 && case.reasons == [Reason::RoutingHeader]
    }),
    ("number of extension headers", "nft follows them without a limit; the ninth is one too many for us", |case| {
        // Nine is more than eight.
        !case.ours && case.is_of_chain() && case.has("}") > 8 && case.reasons == [Reason::ExtensionHeaders]
    }),
];

impl Case<'_> {
    fn is(&self, what: &str) -> bool {
        self.sent.what == what
    }

    /// Whether it has extension headers, which its line names.
    fn is_of_chain(&self) -> bool {
        self.is("extension headers")
    }

    /// How often its line names a header.
    fn has(&self, header: &str) -> usize {
        self.sent.about.matches(header).count()
    }

    /// Whether a packet that its own line describes is of a protocol.
    fn is_of(&self, protocol: u8) -> bool {
        self.sent.about.split(' ').nth(1) == Some(&protocol.to_string())
    }
}

/// The same of a packet that has lost its name, which arrived at nftables alone: `packet` begins with its IP header.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not named is not explained")]
pub(super) fn named_without(reason: Reason, packet: &[u8]) -> Option<&'static str> {
    let name = match reason {
        // A part that is too short to be put together with others goes on by itself.
        Reason::TinyFragment if is_fragment(packet) => "tiny fragments",
        // Cut within the header above IP.
        Reason::Malformed if is_wrong_above_ip(packet) => "lengths above IP",
        _ => return None,
    };
    DIFFERENCES.iter().map(|(known, ..)| *known).find(|known| *known == name)
}

/// Whether the packet says of itself that it is a part.
fn is_fragment(packet: &[u8]) -> bool {
    match packet {
        [first, _, _, _, _, _, flags, offset, ..] if first >> 4 == 4 => (flags & 0x3f, *offset) != (0, 0),
        [first, _, _, _, _, _, 44, ..] => first >> 4 == 6,
        _ => false,
    }
}

/// Whether the IP header is right, and the TCP, UDP or SCTP header behind it is cut, or has a length that does not fit.
fn is_wrong_above_ip(packet: &[u8]) -> bool {
    let word =
        |at: usize| packet.get(at..at + 2).map_or(0, |bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])));
    let (protocol, start, end) = match packet {
        [first, _, _, _, _, _, _, _, _, protocol, ..] if first >> 4 == 4 => {
            (*protocol, usize::from(first & 0x0f) * 4, word(2))
        }
        [first, _, _, _, _, _, protocol, ..] if first >> 4 == 6 => (*protocol, 40, 40 + word(4)),
        _ => return false,
    };
    let Some(above) = packet.get(start..end).filter(|_| start >= 20) else { return false };
    match (protocol, above) {
        (6, [_, _, _, _, _, _, _, _, _, _, _, _, offset, ..]) => {
            let header = usize::from(offset >> 4) * 4;
            above.len() < 20 || header < 20 || header > above.len()
        }
        (17, [_, _, _, _, high, low, _, _, ..]) => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            length < 8 || length != above.len()
        }
        (6 | 17, _) => true,
        (132, _) => above.len() < 12,
        _ => false,
    }
}

/// The name of the difference that a packet is an example of.
pub(super) fn named(case: &Case<'_>) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(_, _, is_example)| is_example(case)).map(|(name, ..)| *name)
}
