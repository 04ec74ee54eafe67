//! Flows: what makes them, what they answer, what is remembered of refused conversations.

use enforcer_common::{Direction, Mode};

use super::memory::{Conversation, Refusal, Refused};
use super::packet::{Flags, Upper};
use super::policy::{Asked, Ruling, ruling};
use super::{Reference, TCP};
use crate::judge::reference::read::{Extent, Read, is_dhcp_answer, is_multicast};

impl Reference<'_> {
    /// Whether an inbound packet answers a flow.
    pub(super) fn answers_a_flow(&mut self, packet: Read) -> bool {
        let Some(conversation) = conversation(packet) else { return false };
        if self.flows.answer(conversation, self.now) {
            if let Upper::Ports { tcp: Some(Flags { fin: true, .. }), .. } = packet.upper {
                self.flows.close(conversation, true, false, self.closing(), self.now);
            }
            return true;
        }
        self.flows.answer(conversation.with_any_port(), self.now)
    }

    /// Whether an outbound packet belongs to a conversation that goes on whatever the connections say: one whose server
    /// answers from another port, or one that was refused inbound and let through.
    pub(super) fn goes_on(&mut self, packet: Read) -> bool {
        conversation(packet).is_some_and(|conversation| {
            self.flows.is_alive(conversation.with_any_port(), self.now) || self.refused(conversation).is_some()
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

    /// Whether the answer to an outbound packet would have passed under the policy before, which was in force not long ago, and does
    /// not now.
    fn has_ended(&self, packet: Read) -> bool {
        let Some((before, switched)) = self.before else { return false };
        let Upper::Ports { source, .. } = packet.upper else { return false };
        let asked = Asked::Port { protocol: packet.protocol, port: source };
        let passes = |ruleset| match ruling(ruleset, Direction::Inbound, asked, Some(packet.remote)) {
            Ruling::Permit { .. } => true,
            Ruling::Deny { audit, .. } | Ruling::Peer { audit, .. } | Ruling::Internal { audit, .. } => audit,
            Ruling::Nothing => false,
        };
        let lasts = u64::from(self.ruleset.settings.flows.udp) * 1000;
        self.now < switched + lasts && passes(before) && !passes(self.ruleset)
    }

    /// The host will answer what enforcement would have dropped: its answers must not make a flow.
    pub(super) fn remember_denial(&mut self, read: Extent, by_rule: bool) {
        let refused = match read {
            Extent::Nothing => return,
            Extent::NoPorts(remote) => Refused::Hidden(remote),
            Extent::Whole(packet) => {
                let Upper::Ports { source, destination, .. } = packet.upper else { return };
                let Read { protocol, remote, .. } = packet;
                Refused::Conversation { protocol, remote, remote_port: source, local_port: destination }
            }
        };
        self.denials.insert(refused, Refusal { at: self.now, by_rule });
    }

    /// Whether the host, where it sends something in this conversation, answers what was refused; `Some(false)`: perhaps it asks.
    /// `None`: nothing was refused that counts.
    fn refused(&self, conversation: Conversation) -> Option<bool> {
        let Conversation { protocol, remote, remote_port, local_port, .. } = conversation;
        let flows = &self.ruleset.settings.flows;
        let seconds = if protocol == TCP { flows.tcp } else { flows.udp };
        let audit = self.modes[Direction::Inbound as usize] == Mode::Audit;
        let named = Refused::Conversation { protocol, remote, remote_port: remote_port?, local_port };
        let found = [named, Refused::Hidden(remote)].into_iter().filter_map(|refused| {
            let Refusal { at, by_rule } = *self.denials.get(&refused)?;
            let age = self.now - at;
            if age > u64::from(seconds) * 1000 {
                None
            } else if protocol == TCP && refused == named {
                // A question of the host would have been a SYN.
                Some(true)
            } else if audit || by_rule {
                // An answer is there within the eighth of a second.
                Some(age < 125)
            } else {
                // Enforcement has begun; what was let through before may be answered for a quarter of a second.
                (age < 250).then_some(true)
            }
        });
        found.reduce(|one, other| one || other)
    }

    /// Tracks a packet that leaves the host.
    pub(super) fn track(&mut self, packet: Read) {
        let Some(conversation) = conversation(packet) else { return };
        let flows = self.ruleset.settings.flows;
        match packet.upper {
            Upper::Icmp { kind: 8 | 128, .. } => {
                if !self.flows.go_on(conversation, self.now) {
                    self.flows.make(conversation, u64::from(flows.icmp) * 1000, self.now, false);
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
                self.flows.make(conversation, timeout, self.now, false);
            }
            return;
        }
        if self.flows.go_on(conversation, self.now) {
            if flags.rst || flags.fin {
                self.flows.close(conversation, flags.rst, true, self.closing(), self.now);
            }
            return;
        }
        let is_client = self.host.ephemeral.contains(&port) && !self.host.listeners.contains(&(TCP, port));
        let is_midstream = !flags.syn && !flags.rst && !self.has_ended(packet);
        if is_midstream && is_client && self.answer_needs_a_flow(packet) && self.refused(conversation).is_none() {
            self.flows.make(conversation, timeout, self.now, false);
        }
    }

    fn track_datagram(&mut self, packet: Read, conversation: Conversation, port: u16) {
        if self.flows.go_on(conversation, self.now) || self.flows.go_on(conversation.with_any_port(), self.now) {
            return;
        }
        if is_multicast(packet.remote) || !self.answer_needs_a_flow(packet) || self.has_ended(packet) {
            return;
        }
        let refused = self.refused(conversation);
        if refused == Some(true) {
            return;
        }
        let asked = Asked::Port { protocol: packet.protocol, port };
        let timeout = u64::from(self.ruleset.settings.flows.udp) * 1000;
        let connection = ruling(self.ruleset, Direction::Outbound, asked, Some(packet.remote));
        if matches!(connection, Ruling::Permit { answer_any: true, .. }) {
            self.flows.make(conversation.with_any_port(), timeout, self.now, false);
        } else if port != 0 {
            // Nobody answers from port 0 (RFC 768: as a source it says that no answer is wanted).
            self.flows.make(conversation, timeout, self.now, refused.is_some());
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
