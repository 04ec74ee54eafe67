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

/// What was refused and let through.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Refused {
    /// Packets of a conversation, at whichever address of this host.
    Conversation { protocol: u8, remote: IpAddr, remote_port: u16, local_port: u16 },
    /// A packet whose ports could not be read, from this address.
    Hidden(IpAddr),
}

/// When the last such packet came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) at: u64,
    /// A rule in audit by itself refused it.
    pub(super) by_rule: bool,
}

/// What is known of a flow. Times in milliseconds, each brought up to date at most once a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// The last packet that counts, in either direction.
    last: u64,
    /// The last one that left.
    sent: u64,
    timeout: u64,
    /// Perhaps a peer opened it.
    doubtful: bool,
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
#[derive(Debug)]
pub(super) struct Flows {
    all: HashMap<Conversation, Flow>,
    /// How long after the last packet that left, what comes in prolongs a flow.
    one_way: u64,
}

impl Flows {
    /// None yet.
    pub(super) fn new(one_way: u64) -> Self {
        Self { all: HashMap::new(), one_way }
    }

    fn alive(&mut self, conversation: Conversation, now: u64) -> Option<&mut Flow> {
        let one_way = self.one_way;
        self.all.get_mut(&conversation).filter(|flow| {
            let (quiet, silent) = (now - flow.last, now - flow.sent);
            silent <= flow.timeout || silent <= one_way && quiet <= flow.timeout
        })
    }

    /// Whether a flow is alive, without touching it.
    pub(super) fn is_alive(&mut self, conversation: Conversation, now: u64) -> bool {
        self.alive(conversation, now).is_some()
    }

    /// Whether what comes in answers a flow that is alive. Datagrams prolong it.
    pub(super) fn answer(&mut self, conversation: Conversation, now: u64) -> bool {
        let Some(flow) = self.alive(conversation, now) else { return false };
        if flow.doubtful {
            // An answer comes at once; who speaks later has something to ask.
            return now - flow.sent <= 500;
        }
        if matches!(conversation.protocol, 17 | 132) && now - flow.last >= 1000 {
            flow.last = now;
        }
        true
    }

    /// Whether what leaves belongs to a flow that is alive; then it goes on. Of one that is in doubt, that is all that is known.
    pub(super) fn go_on(&mut self, conversation: Conversation, now: u64) -> bool {
        let Some(flow) = self.alive(conversation, now) else { return false };
        if !flow.doubtful && now - flow.sent >= 1000 {
            (flow.last, flow.sent) = (now, now);
        }
        !flow.doubtful
    }

    /// Makes a flow, or makes it anew.
    pub(super) fn make(&mut self, conversation: Conversation, timeout: u64, now: u64, doubtful: bool) {
        let flow = Flow { last: now, sent: now, timeout, doubtful, fin_in: false, fin_out: false };
        self.all.insert(conversation, flow);
    }

    /// Notes FIN from the remote side, from this host, or (RST) the end of both. A flow that both have closed has only
    /// `closing` left. FIN of one side twice is no news.
    pub(super) fn close(&mut self, conversation: Conversation, remote: bool, host: bool, closing: u64, now: u64) {
        let Some(flow) = self.all.get_mut(&conversation) else { return };
        let is_news = remote && !flow.fin_in || host && !flow.fin_out || remote && host;
        flow.fin_in |= remote;
        flow.fin_out |= host;
        if is_news && flow.fin_in && flow.fin_out {
            if !(remote && host) {
                // From the second FIN on.
                (flow.last, flow.sent) = (now, now);
            }
            flow.timeout = closing;
        }
    }
}
