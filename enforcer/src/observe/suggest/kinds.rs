//! What is asked of `suggest` and what it answers: denied flows, suggestions, what stays unexplained.

use std::net::IpAddr;

use enforcer_common::{Direction, Reason};
use serde::Serialize;

use super::risk::{AlsoOpens, Risk};
use crate::policy::ruleset::SourceRow;
use crate::policy::site::protocol_name;

/// A denied flow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denied {
    /// Seen from the protected host.
    pub direction: Direction,
    /// Why it was refused.
    pub reason: Reason,
    /// What was asked for.
    pub tried: Tried,
    /// The other end; `None` where it is not IP.
    pub remote: Option<IpAddr>,
    /// This host's end.
    pub local: Option<IpAddr>,
    /// Packets.
    pub packets: u64,
    /// Of these, packets that were dropped; the others were counted in audit, and passed.
    pub dropped: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a packet asks for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tried {
    /// A port.
    Port {
        /// TCP, UDP or SCTP.
        protocol: u8,
        /// The destination port.
        port: u16,
    },
    /// An IP protocol without ports.
    Protocol(u8),
    /// An ICMP message.
    Icmp {
        /// ICMP, of IPv4 or IPv6.
        protocol: u8,
        /// Its type.
        kind: u16,
    },
    /// A frame that is not IP.
    Ethertype(u16),
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Suggestions {
    /// Hash of the policy that refuses the flows.
    pub policy_hash: String,
    /// The most specific first.
    pub suggestions: Vec<Suggestion>,
    /// What no suggestion permits, the most packets first.
    pub unexplained: Vec<Unexplained>,
    /// What would help with many of them at once.
    pub notes: Vec<String>,
    /// All suggestions together, as part of a site file.
    pub yaml: String,
    /// The whole site with all suggestions: the text of its file, and they in it.
    pub site: String,
    /// The text could not be added to: the site is written anew, without the comments of its file.
    pub is_rewritten: bool,
    /// What all suggestions together would permit beside the flows, which may be more than each by itself.
    pub also_opens: AlsoOpens,
}

/// A change that would permit denied flows.
#[derive(Clone, Debug, Serialize)]
pub struct Suggestion {
    /// What is changed.
    pub kind: SuggestionKind,
    /// The peer, the role, or the name of the entry.
    pub name: String,
    /// What to add to the site file.
    pub yaml: String,
    /// Packets that it explains.
    pub packets: u64,
    /// Bytes that it explains.
    pub bytes: u64,
    /// The flows, the most packets first.
    pub flows: Vec<Flow>,
    /// The rules by which they would pass.
    pub rules: Vec<String>,
    /// The rows of the documents behind these rules.
    pub sources: Vec<SourceRow>,
    /// What it would permit beside the flows.
    pub also_opens: AlsoOpens,
    /// What to think of before it is taken.
    pub risk: Risk,
    /// Permits the same flows and nothing else, where the suggestion permits more.
    pub narrower: Option<String>,
}

/// What a suggestion changes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SuggestionKind {
    /// An entry of `allow`.
    Allow,
    /// Addresses of a peer.
    Peer,
    /// A role.
    Role,
}

/// A denied flow in words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Flow {
    /// `inbound` or `outbound`.
    pub direction: Direction,
    /// Protocol by name or number, or the ethertype.
    pub protocol: String,
    /// The port that was tried.
    pub port: Option<u16>,
    /// The other end.
    pub remote: Option<IpAddr>,
    /// Why it is refused.
    pub reason: Reason,
    /// Packets.
    pub packets: u64,
    /// Of these, packets that were dropped; the others were counted in audit, and passed.
    pub dropped: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A denied flow for which there is no suggestion.
#[derive(Clone, Debug, Serialize)]
pub struct Unexplained {
    /// The flow.
    #[serde(flatten)]
    pub flow: Flow,
    /// What kind of thing it is.
    pub class: Class,
    /// Why there is no suggestion.
    pub why: String,
}

/// Why there is no suggestion for a flow, in a word.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The policy permits it by now.
    Permitted,
    /// Its address tried so many ports that it looks for open ones.
    Scan,
    /// One of many answers to what this host asked a group: a note says what would help.
    Answer,
    /// No policy could permit it.
    Never,
    /// A document or the operator refuses it.
    Refused,
    /// A person has to decide.
    Open,
}

/// How to look for suggestions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Suggest entries of `allow` alone, which permit nothing but what was seen.
    pub narrow: bool,
}

impl SuggestionKind {
    /// The word used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Peer => "peer",
            Self::Role => "role",
        }
    }
}

impl Suggestions {
    /// Flows and packets that are explained.
    #[must_use]
    pub fn explained(&self) -> (usize, u64) {
        let flows = self.suggestions.iter().map(|one| one.flows.len()).sum();
        (flows, self.suggestions.iter().map(|one| one.packets).sum())
    }
}

impl From<&Denied> for Flow {
    fn from(denied: &Denied) -> Self {
        let (protocol, port) = match denied.tried {
            Tried::Port { protocol, port } => (protocol_name(protocol), Some(port)),
            Tried::Protocol(protocol) | Tried::Icmp { protocol, .. } => (protocol_name(protocol), None),
            Tried::Ethertype(ethertype) => (format!("ethertype 0x{ethertype:04x}"), None),
        };
        Self {
            direction: denied.direction,
            protocol,
            port,
            remote: denied.remote,
            reason: denied.reason,
            packets: denied.packets,
            dropped: denied.dropped,
            bytes: denied.bytes,
        }
    }
}
