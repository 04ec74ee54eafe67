//! What should happen, by the plain reading of the rules at both ends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use enforcer::judge::host::Host;
use enforcer::judge::reference::{Judged, Reference};
use enforcer::policy::ruleset::{Action, Ruleset};
use enforcer_common::frame::Bytes;
use enforcer_common::{Direction, Mode, Verdict};

use super::attempts::Attempt;
use crate::packet::protocol::{TCP, UDP};
use crate::packet::{Packet, tcp};

/// What should become of an attempt.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fate {
    /// Whether both ends permit it.
    pub permitted: bool,
    /// The end that refuses it first.
    pub refused_by: Option<Direction>,
    /// Whether it arrives.
    pub arrives: bool,
    /// Whether an answer is sent and arrives.
    pub answered: bool,
}

/// Packets by what they are counted as, in the words of [`Counters`](crate::enforcer::Counters).
pub type Counted = BTreeMap<String, u64>;

/// The stations as the plain reading knows them.
pub struct Expected<'a> {
    ends: Vec<Option<End<'a>>>,
    client_port: u16,
}

struct End<'a> {
    reference: Reference<'a>,
    ruleset: &'a Ruleset,
    counted: BTreeMap<(Direction, Counter), u64>,
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Counter {
    Verdict(&'static str),
    Reason(&'static str, &'static str),
    Rule(usize),
}

impl<'a> Expected<'a> {
    /// Every station in a mode; those without rules let everything pass and count nothing.
    #[must_use]
    pub fn new(rulesets: &'a [Option<Ruleset>], hosts: &'a [Host], mode: Mode, client_port: u16) -> Self {
        let ends = rulesets.iter().zip(hosts).map(|(ruleset, host)| {
            let ruleset = ruleset.as_ref()?;
            let mut reference = Reference::new(ruleset, host);
            Direction::ALL.into_iter().for_each(|direction| reference.set_mode(direction, mode));
            Some(End { reference, ruleset, counted: BTreeMap::new() })
        });
        Self { ends: ends.collect(), client_port }
    }

    /// What becomes of an attempt and of the answers to it.
    pub fn of(&mut self, attempt: &Attempt) -> Fate {
        let Attempt { from, source, to, target, protocol, port, .. } = *attempt;
        let there = Frame { source, target, protocol, ports: [self.client_port, port], flags: tcp::SYN };
        let back = Frame {
            source: target,
            target: source,
            protocol,
            ports: [port, self.client_port],
            flags: tcp::SYN | tcp::ACK,
        };
        let mut fate = Fate { permitted: true, ..Fate::default() };
        for (end, direction) in [(from, Direction::Outbound), (to, Direction::Inbound)] {
            let Some(judged) = self.judge(end, direction, there) else { continue };
            if judged.reason.verdict() == Verdict::Drop {
                fate.permitted = false;
                fate.refused_by.get_or_insert(direction);
            }
            if !judged.goes_on {
                return fate;
            }
        }
        fate.arrives = true;
        // Servers answer datagrams that are permitted, and TCP answers by itself.
        if protocol == UDP && !fate.permitted {
            return fate;
        }
        fate.answered = self.travels(back, to, from);
        if protocol == TCP && fate.answered {
            // There is no socket behind the question, so the client's kernel resets what the server has opened.
            self.travels(Frame { flags: tcp::RST, ..there }, from, to);
        }
        fate
    }

    fn travels(&mut self, frame: Frame, from: usize, to: usize) -> bool {
        [(from, Direction::Outbound), (to, Direction::Inbound)].into_iter().all(|(end, direction)| {
            // Where nothing is judged everything goes on.
            self.judge(end, direction, frame).is_none_or(|judged| judged.goes_on)
        })
    }

    fn judge(&mut self, end: usize, direction: Direction, frame: Frame) -> Option<Judged> {
        let End { reference, counted, ruleset } = self.ends[end].as_mut()?;
        let judged = reference.judge(direction, Bytes::new(&frame.bytes()));
        let verdict = match (judged.reason.verdict(), judged.goes_on) {
            (Verdict::Pass, _) => "pass",
            (Verdict::Drop, true) => "would_drop",
            (Verdict::Drop, false) => "drop",
        };
        let mut count = |counter| *counted.entry((direction, counter)).or_default() += 1;
        count(Counter::Verdict(verdict));
        count(Counter::Reason(judged.reason.name(), verdict));
        // A permit counts what it permits; what another rule refuses counts under that one.
        let counts = |rule: &usize| verdict == "pass" || ruleset.rules[*rule].action != Action::Permit;
        if let Some(rule) = judged.rule.filter(counts) {
            count(Counter::Rule(rule));
        }
        Some(judged)
    }

    /// The counters of every station.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        let of = |end: &End<'_>| {
            let mut all = Counted::new();
            for ((direction, counter), packets) in &end.counted {
                let direction = direction.name();
                let name = match counter {
                    Counter::Verdict(verdict) => format!("{direction} verdict {verdict}"),
                    Counter::Reason(reason, verdict) => format!("{direction} reason {reason} {verdict}"),
                    Counter::Rule(rule) => format!("{direction} rule {}", end.ruleset.rules[*rule].id),
                };
                *all.entry(name).or_default() += packets;
            }
            all
        };
        self.ends.iter().map(|end| end.as_ref().map(of).unwrap_or_default()).collect()
    }
}

/// What is sent.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) source: IpAddr,
    pub(super) target: IpAddr,
    pub(super) protocol: u8,
    pub(super) ports: [u16; 2],
    pub(super) flags: u8,
}

impl Frame {
    /// The whole frame.
    pub(super) fn bytes(self) -> Vec<u8> {
        let Self { source, target, protocol, ports: [source_port, port], flags } = self;
        let packet = Packet::new().ip(&source.to_string(), &target.to_string());
        let packet = if protocol == TCP {
            packet.tcp(source_port, port).flags(flags)
        } else {
            packet.udp(source_port, port).payload(&[0; 4])
        };
        packet.build()
    }
}
