//! The lines of the tables: what they say of rules, reasons and denied flows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use enforcer_common::{Direction, Mode, Reason, Verdict};
use jiff::Timestamp;

use super::Reading;
use crate::dataplane::{Asked, DeniedFlow, InterfaceCounters, ReasonCount, RuleCount};
use crate::observe::rates::Rates;
use crate::policy::site::protocol_name;

/// A line of one of the tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is about.
    pub name: String,
    /// More about it.
    pub detail: String,
    /// Packets a second; `None` where they are not known.
    pub rate: Option<f64>,
    /// Packets.
    pub packets: u64,
    /// When last; `None`: never, or not known.
    pub last: Option<Timestamp>,
    /// It was refused: dropped, or in audit let through.
    pub refused: Option<Refused>,
}

/// What became of refused packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// Dropped.
    Dropped,
    /// Let through in audit.
    Counted,
}

/// A line for each rule of an interface.
pub(super) fn rules(now: &InterfaceCounters, rates: Option<&Rates>, several: bool) -> Vec<Row> {
    let row = |one: &RuleCount| Row {
        name: one.rule.id.clone(),
        detail: place(&now.interface, if one.rule.direction == Direction::Inbound { "in" } else { "out" }, several),
        rate: rates.map(|rates| rates.rule(one.rule.direction, &one.rule.id).packets),
        packets: one.count.packets,
        last: one.last_hit,
        refused: None,
    };
    now.rules.iter().map(row).collect()
}

/// A line for each reason of an interface.
pub(super) fn reasons(now: &InterfaceCounters, rates: Option<&Rates>, several: bool) -> Vec<Row> {
    let row = |one: &ReasonCount| {
        let refused = match (one.reason.verdict(), one.would_drop) {
            (Verdict::Pass, _) => None,
            (Verdict::Drop, false) => Some(Refused::Dropped),
            (Verdict::Drop, true) => Some(Refused::Counted),
        };
        let verdict = match refused {
            None => "pass",
            Some(Refused::Dropped) => "drop",
            Some(Refused::Counted) => "would drop",
        };
        let direction = if one.direction == Direction::Inbound { "in" } else { "out" };
        Row {
            name: one.reason.name().to_owned(),
            detail: format!("{} {verdict}", place(&now.interface, direction, several)),
            rate: rates.map(|rates| rates.reason(one.direction, one.reason, one.would_drop).packets),
            packets: one.count.packets,
            last: None,
            refused,
        }
    };
    now.reasons.iter().map(row).collect()
}

/// Denied flows as they were before, for their rates.
pub(super) struct Before<'r> {
    packets: HashMap<Identity<'r>, u64>,
    apart: Duration,
}

/// What makes a denied flow the same one in two readings.
type Identity<'r> = (&'r str, Direction, Reason, Mode, Option<u8>, Option<IpAddr>, Asked);

fn identity(flow: &DeniedFlow) -> Identity<'_> {
    let DeniedFlow { interface, direction, reason, mode, protocol, remote, asked, .. } = flow;
    (interface, *direction, *reason, *mode, *protocol, *remote, *asked)
}

impl<'r> Before<'r> {
    /// The flows of a reading so long ago.
    pub(super) fn new(reading: &'r Reading, apart: Duration) -> Self {
        Self { packets: reading.denied.iter().map(|flow| (identity(flow), flow.packets)).collect(), apart }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
    fn rate(&self, flow: &DeniedFlow) -> Option<f64> {
        let known = self.packets.get(&identity(flow)).copied().unwrap_or(0);
        (!self.apart.is_zero()).then(|| flow.packets.saturating_sub(known) as f64 / self.apart.as_secs_f64())
    }
}

/// The line of a denied flow.
pub(super) fn denied(flow: &DeniedFlow, before: Option<&Before<'_>>) -> Row {
    let protocol = flow.protocol.map_or_else(|| "frame".to_owned(), protocol_name);
    let asked = match flow.asked {
        Asked::Port(port) => format!("{protocol} {port}"),
        Asked::IcmpType(kind) => format!("{protocol} type {kind}"),
        Asked::Ethertype(ethertype) => format!("ethertype 0x{ethertype:04x}"),
        Asked::Nothing => protocol,
    };
    let remote = flow.remote.map_or_else(|| "-".to_owned(), |remote| remote.to_string());
    Row {
        name: remote,
        detail: format!(
            "{} {asked} {}",
            if flow.direction == Direction::Inbound { "in" } else { "out" },
            flow.reason.name()
        ),
        rate: before.and_then(|before| before.rate(flow)),
        packets: flow.packets,
        last: Some(flow.last),
        refused: Some(match flow.mode {
            Mode::Audit => Refused::Counted,
            Mode::Enforce => Refused::Dropped,
        }),
    }
}

fn place(interface: &str, direction: &str, several: bool) -> String {
    if several { format!("{interface} {direction}") } else { direction.to_owned() }
}
