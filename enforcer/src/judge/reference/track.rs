//! Flows: what makes them, what they answer, what is remembered of refused conversations.

use enforcer_common::Direction;

use super::memory::Conversation;
use super::packet::{Flags, Upper};
use super::policy::{Asked, Ruling, ruling};
use super::{Reference, TCP};
use crate::judge::reference::read::{Read, is_dhcp_answer, is_multicast};

impl Reference<'_> {
    /// Whether an inbound packet answers a flow.
    pub(super) fn answers_a_flow(&mut self, packet: Read) -> bool {
        let Some(conversation) = conversation(packet) else { return false };
        if self.flows.touch(conversation, self.now) {
            if let Upper::Ports { tcp: Some(Flags { fin: true, .. }), .. } = packet.upper {
                self.flows.close(conversation, true, false, self.closing());
            }
            return true;
        }
        self.flows.touch(conversation.with_any_port(), self.now)
    }

    /// Whether an outbound packet belongs to a conversation that goes on whatever the connections say: one whose server
    /// answers from another port, or one that was refused inbound and let through.
    pub(super) fn goes_on(&self, packet: Read) -> bool {
        conversation(packet).is_some_and(|conversation| {
            self.flows.is_alive(conversation.with_any_port(), self.now) || self.is_denied(conversation)
        })
    }

    /// Whether the answer to an outbound packet is permitted by an inbound rule.
    pub(super) fn answer_is_permitted(&self, packet: Read) -> bool {
        self.answer_ruling(packet).permits()
    }

    fn answer_ruling(&self, packet: Read) -> Ruling {
        let Upper::Ports { source, .. } = packet.upper else { return Ruling::Nothing };
        let asked = Asked::Port { protocol: packet.protocol, port: source };
        ruling(self.ruleset, Direction::Inbound, asked, Some(packet.remote))
    }

    /// Whether the answer needs a flow to come back.
    fn answer_needs_a_flow(&self, packet: Read) -> bool {
        let Upper::Ports { source, destination, tcp } = packet.upper else { return true };
        let answer = Read {
            direction: Direction::Inbound,
            upper: Upper::Ports { source: destination, destination: source, tcp },
            ..packet
        };
        let ruling = self.answer_ruling(packet);
        !ruling.permits() && (!is_dhcp_answer(answer) || matches!(ruling, Ruling::Deny { .. }))
    }

    /// The host will answer what enforcement would have dropped: its answers must not make a flow.
    pub(super) fn remember_denial(&mut self, packet: Read) {
        if let Some(conversation) = conversation(packet) {
            self.denials.insert(conversation, self.now);
        }
    }

    fn is_denied(&self, conversation: Conversation) -> bool {
        let flows = &self.ruleset.settings.flows;
        let seconds = if conversation.protocol == TCP { flows.tcp } else { flows.udp };
        self.denials.get(&conversation).is_some_and(|last| self.now - last <= u64::from(seconds) * 1000)
    }

    /// Tracks a packet that leaves the host.
    pub(super) fn track(&mut self, packet: Read) {
        let Some(conversation) = conversation(packet) else { return };
        let flows = self.ruleset.settings.flows;
        match packet.upper {
            Upper::Icmp { kind: 8 | 128, .. } => {
                if !self.flows.touch(conversation, self.now) {
                    self.flows.make(conversation, u64::from(flows.icmp) * 1000, self.now);
                }
            }
            Upper::Icmp { .. } | Upper::Igmp | Upper::Other => {}
            Upper::Ports { source, tcp: Some(flags), .. } => self.track_tcp(packet, conversation, source, flags),
            Upper::Ports { destination, tcp: None, .. } => self.track_datagram(packet, conversation, destination),
        }
    }

    fn track_tcp(&mut self, packet: Read, conversation: Conversation, port: u16, flags: Flags) {
        let timeout = u64::from(self.ruleset.settings.flows.tcp) * 1000;
        if flags.is_bare_syn() && !flags.rst {
            if self.answer_needs_a_flow(packet) {
                self.flows.make(conversation, timeout, self.now);
            }
            return;
        }
        if self.flows.touch(conversation, self.now) {
            if flags.rst || flags.fin {
                self.flows.close(conversation, flags.rst, true, self.closing());
            }
            return;
        }
        let is_client = self.host.ephemeral.contains(&port) && !self.host.listeners.contains(&(TCP, port));
        let is_midstream = !flags.syn && !flags.rst;
        if is_midstream && is_client && self.answer_needs_a_flow(packet) && !self.is_denied(conversation) {
            self.flows.make(conversation, timeout, self.now);
        }
    }

    fn track_datagram(&mut self, packet: Read, conversation: Conversation, port: u16) {
        if self.flows.touch(conversation, self.now) || self.flows.touch(conversation.with_any_port(), self.now) {
            return;
        }
        if is_multicast(packet.remote) || !self.answer_needs_a_flow(packet) || self.is_denied(conversation) {
            return;
        }
        let asked = Asked::Port { protocol: packet.protocol, port };
        let timeout = u64::from(self.ruleset.settings.flows.udp) * 1000;
        let connection = ruling(self.ruleset, Direction::Outbound, asked, Some(packet.remote));
        if matches!(connection, Ruling::Permit { answer_any: true, .. }) {
            self.flows.make(conversation.with_any_port(), timeout, self.now);
        } else if port != 0 {
            // Nobody answers from port 0 (RFC 768: as a source it says that no answer is wanted).
            self.flows.make(conversation, timeout, self.now);
        }
    }

    fn closing(&self) -> u64 {
        u64::from(self.ruleset.settings.flows.tcp_closing) * 1000
    }
}

/// The conversation that a packet is part of; of ICMP only ping is one.
fn conversation(packet: Read) -> Option<Conversation> {
    let Read { direction, remote, local, protocol, upper } = packet;
    let (remote_port, local_port) = match (upper, direction) {
        (Upper::Ports { source, destination, .. }, Direction::Inbound) => (source, destination),
        (Upper::Ports { source, destination, .. }, Direction::Outbound) => (destination, source),
        (Upper::Icmp { kind: 0 | 8, echo }, _) if remote.is_ipv4() => (0, echo),
        (Upper::Icmp { kind: 128 | 129, echo }, _) if remote.is_ipv6() => (0, echo),
        (Upper::Icmp { .. } | Upper::Igmp | Upper::Other, _) => return None,
    };
    Some(Conversation { protocol, remote, remote_port: Some(remote_port), local, local_port })
}
