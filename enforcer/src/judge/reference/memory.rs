//! What is remembered between packets: flows, refused conversations, first fragments.

use std::collections::HashMap;
use std::net::IpAddr;

use enforcer_common::Verdict;

/// A conversation, seen from this host.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Conversation {
    pub(super) protocol: u8,
    pub(super) remote: IpAddr,
    /// `None`: the server answers from any port.
    pub(super) remote_port: Option<u16>,
    pub(super) local: IpAddr,
    /// Of ping: the identifier.
    pub(super) local_port: u16,
}

impl Conversation {
    /// The same, whatever port the server answers from.
    pub(super) const fn with_any_port(self) -> Self {
        Self { remote_port: None, ..self }
    }
}

/// What is known of a flow. Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    last: u64,
    timeout: u64,
    fin_in: bool,
    fin_out: bool,
}

/// A datagram in fragments.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Datagram {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) id: u32,
}

/// What became of a first fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    pub(super) verdict: Verdict,
    /// Refused by a rule that is in audit by itself.
    pub(super) audited: bool,
    pub(super) at: u64,
}

/// Flows by conversation.
#[derive(Debug, Default)]
pub(super) struct Flows(HashMap<Conversation, Flow>);

impl Flows {
    /// Whether a flow is alive, without touching it.
    pub(super) fn is_alive(&self, conversation: Conversation, now: u64) -> bool {
        self.0.get(&conversation).is_some_and(|flow| now - flow.last <= flow.timeout)
    }

    /// Whether a flow is alive; a packet of it keeps it so. Refreshed at most once a second.
    pub(super) fn touch(&mut self, conversation: Conversation, now: u64) -> bool {
        if !self.is_alive(conversation, now) {
            return false;
        }
        if let Some(flow) = self.0.get_mut(&conversation)
            && now - flow.last >= 1000
        {
            flow.last = now;
        }
        true
    }

    /// Makes a flow, or makes it anew.
    pub(super) fn make(&mut self, conversation: Conversation, timeout: u64, now: u64) {
        self.0.insert(conversation, Flow { last: now, timeout, fin_in: false, fin_out: false });
    }

    /// Notes FIN from the remote side, from this host, or (RST) the end of both. A flow that both have closed has only
    /// `closing` left. FIN of one side twice is no news.
    pub(super) fn close(&mut self, conversation: Conversation, remote: bool, host: bool, closing: u64) {
        let Some(flow) = self.0.get_mut(&conversation) else { return };
        let is_news = remote && !flow.fin_in || host && !flow.fin_out || remote && host;
        flow.fin_in |= remote;
        flow.fin_out |= host;
        if is_news && flow.fin_in && flow.fin_out {
            flow.timeout = closing;
        }
    }
}
