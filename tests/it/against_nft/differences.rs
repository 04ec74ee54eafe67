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
         bare SYN",
        |case| case.ours && case.is_of(6) && case.is("disorderly") && case.reasons == [Reason::Flow],
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
        |case| !case.ours && case.is("bent") && case.reasons == [Reason::Malformed],
    ),
    (
        "authentication or mobility header",
        "nft takes these headers for the protocol and does not look behind them",
        |case| case.ours && ["Authentication", "Mobility"].iter().any(|header| case.sent.about.contains(header)),
    ),
    ("second routing header", "nft looks at the first routing header alone", |case| {
        let several = case.sent.about.matches("Routing").count() > 1;
        !case.ours && several && case.reasons == [Reason::RoutingHeader]
    }),
    ("number of extension headers", "nft follows them without a limit; the ninth is one too many for us", |case| {
        !case.ours && case.reasons == [Reason::ExtensionHeaders]
    }),
];

impl Case<'_> {
    fn is(&self, what: &str) -> bool {
        self.sent.what == what
    }

    /// Whether a packet that its own line describes is of a protocol.
    fn is_of(&self, protocol: u8) -> bool {
        self.sent.about.split(' ').nth(1) == Some(&protocol.to_string())
    }
}

/// The same of a packet that has lost its name, which arrived at nftables alone.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not named is not explained")]
pub(super) fn named_without(reason: Reason) -> Option<&'static str> {
    let name = match reason {
        // A part that is too short to be put together with others goes on by itself.
        Reason::TinyFragment => "tiny fragments",
        // Cut within the header above IP.
        Reason::Malformed => "lengths above IP",
        _ => return None,
    };
    DIFFERENCES.iter().map(|(known, ..)| *known).find(|known| *known == name)
}

/// The name of the difference that a packet is an example of.
pub(super) fn named(case: &Case<'_>) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(_, _, is_example)| is_example(case)).map(|(name, ..)| *name)
}
