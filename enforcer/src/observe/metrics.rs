//! Metrics for Prometheus: what `counters --format prometheus` prints and the agent serves.
//!
//! The number of series follows the interfaces and the lists of this program, never the traffic: no label holds an address or a port. A
//! host with 64 interfaces has fewer than 2,000 series; rules, and reasons by interface on a host with many, are there on request.

mod slots;
mod writer;

use std::collections::BTreeSet;
use std::fmt::Error;

use enforcer_common::layout::LAYOUT_VERSION;
use enforcer_common::{Direction, Mode, Reason, Verdict};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;
use slots::SlotMetrics;
use writer::{Sample, Writer, labels, number, seconds, truth};

use crate::dataplane::{
    Count, DataplaneError, DeadlineKind, InterfaceCounters, InterfaceStatus, Judging, Protected, VerdictCounts,
    denied_use, flow_estimate, memory, statuses,
};
use crate::policy::modes::Protects;
use crate::state::totals::verdict_name;

/// Media type of [`Metrics::text`]: the Prometheus text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Series of packets by interface and reason that are printed without being asked for: those of five interfaces.
const MOST_BY_REASON: usize = 640;
/// The reason that stands for all, where a host has too many interfaces to list each.
const ANY_REASON: &str = "any";

/// How much is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Detail {
    /// Interfaces and sums.
    #[default]
    Summary,
    /// Every rule, and every reason on every interface.
    Full,
}

/// The state of everything that is protected in this network namespace, at one moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    interfaces: Vec<(InterfaceCounters, InterfaceStatus)>,
    slots: Vec<SlotMetrics>,
}

impl Metrics {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When pins or maps cannot be read.
    pub fn read(protected: &[Protected]) -> Result<Self, DataplaneError> {
        let interfaces = statuses(protected)?.into_iter().map(|(status, counters)| (counters, status)).collect();
        let mut known = BTreeSet::new();
        let first_of_each = protected.iter().filter(|one| known.insert(one.record.slot()));
        let slots = first_of_each.map(|one| {
            Ok(SlotMetrics {
                guest: (one.record.protects == Protects::Guest).then(|| one.interface.clone()),
                flows: flow_estimate(one)?,
                denied: denied_use(std::slice::from_ref(one))?,
                memory: memory(one)?,
            })
        });
        let slots = slots.collect::<Result<Vec<_>, DataplaneError>>()?;
        Ok(Self { interfaces, slots })
    }

    /// In the Prometheus text format.
    ///
    /// # Errors
    /// None that is known: a text takes whatever is written to it.
    pub fn text(self, detail: Detail) -> Result<String, Error> {
        let mut registry = Registry::with_prefix("enforcer");
        registry.register_collector(Box::new(Detailed { metrics: self, detail }));
        let mut text = String::new();
        // Without the end marker of OpenMetrics: see `Writer::family`.
        encode_registry(&mut text, &registry)?;
        Ok(text)
    }
}

/// Metrics, and how much of them is told.
#[derive(Debug)]
struct Detailed {
    metrics: Metrics,
    detail: Detail,
}

impl Collector for Detailed {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Self { metrics, detail } = self;
        let mut writer = Writer { encoder };
        let layout = LAYOUT_VERSION.to_string();
        let build = [("version", env!("CARGO_PKG_VERSION")), ("layout", layout.as_str())];
        writer.gauge("build_info", "Version of enforcer, and of the layout of its maps.", [labels(&build, 1.0)])?;
        metrics.interface_states(&mut writer)?;
        metrics.reasons(&mut writer, *detail)?;
        metrics.sums(&mut writer)?;
        if *detail == Detail::Full {
            metrics.rules(&mut writer)?;
        }
        slots::write(&metrics.slots, *detail == Detail::Full, &mut writer)
    }
}

impl Metrics {
    fn interface_states(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let states = || self.interfaces.iter().map(|(_, status)| (status.record.interface.as_str(), status));
        let by_interface = |value: fn(&InterfaceStatus) -> f64| {
            states().map(move |(interface, status)| labels(&[("interface", interface)], value(status)))
        };
        let enforcing = states().flat_map(|(interface, status)| {
            Direction::ALL.map(|direction| {
                let enforces = status.modes.of(direction) == Mode::Enforce;
                labels(&[("interface", interface), ("direction", direction.name())], truth(enforces))
            })
        });
        writer.gauge("enforcing", "1 where refused packets are dropped, 0 in audit.", enforcing)?;
        let armed = |status: &InterfaceStatus, kind: DeadlineKind| {
            status.pending.as_ref().is_some_and(|pending| pending.is_armed() && pending.kind() == kind)
        };
        let deadlines = states().flat_map(|(interface, status)| {
            [(DeadlineKind::Unconfirmed, "confirm"), (DeadlineKind::Window, "window")]
                .map(|(kind, name)| labels(&[("interface", interface), ("kind", name)], truth(armed(status, kind))))
        });
        writer.gauge(
            "deadline_armed",
            "1 while a change waits to be confirmed (confirm), or a change window is open (window).",
            deadlines,
        )?;
        let times = states().filter_map(|(interface, status)| {
            let pending = status.pending.as_ref().filter(|pending| pending.is_armed())?;
            Some(labels(&[("interface", interface)], seconds(pending.at())))
        });
        writer.gauge("deadline_timestamp_seconds", "When the deadline that is armed will have passed.", times)?;
        writer.gauge(
            "drift",
            "1 where the kernel does not hold what was applied: a program off its hook, or tables that were changed.",
            by_interface(|status| truth(status.drift)),
        )?;
        let judging = states().filter_map(|(interface, status)| match status.judging {
            Judging::Yes => Some(labels(&[("interface", interface)], 1.0)),
            Judging::No(_) => Some(labels(&[("interface", interface)], 0.0)),
            Judging::Unknown => None,
        });
        writer.gauge(
            "judging",
            "0 if the inbound program counted none of the packets received since apply, else 1; no sample while too few were received.",
            judging,
        )?;
        let received = states()
            .filter_map(|(interface, status)| Some(labels(&[("interface", interface)], number(status.received?))));
        writer.counter(
            "interface_received_packets_total",
            "Packets that the interface has received, as its driver counts them: packets_total of inbound should grow with it.",
            received,
        )?;
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let problems = by_interface(|status| status.problems.len() as f64);
        writer.gauge("problems", "Things that are not as they should be; enforcer status names them.", problems)?;
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let rules = by_interface(|status| status.rules as f64);
        writer.gauge("rules", "Rules of the policy in force.", rules)?;
        let policies = states().map(|(interface, status)| {
            labels(&[("interface", interface), ("policy_hash", &status.record.policy_hash)], 1.0)
        });
        writer.gauge("policy_info", "The policy in force, by its hash.", policies)?;
        let applied = by_interface(|status| seconds(status.record.applied));
        writer.gauge("applied_timestamp_seconds", "When the policy in force was applied.", applied)?;
        let since = self
            .interfaces
            .iter()
            .map(|(counted, _)| labels(&[("interface", &counted.interface)], seconds(counted.since)));
        writer.gauge("counting_since_timestamp_seconds", "Since when the interface's totals count.", since)
    }

    /// Every reason that there is, zeros included: a rate needs a series from the first packet on. On a host with many interfaces, the
    /// verdicts alone.
    fn reasons(&self, writer: &mut Writer<'_>, detail: Detail) -> Result<(), Error> {
        let is_listed = detail == Detail::Full || self.interfaces.len() * outcomes().count() * 2 <= MOST_BY_REASON;
        let samples = |value: fn(Count) -> u64| {
            if !is_listed {
                return self.verdicts(value);
            }
            let mut samples = Vec::new();
            for (counted, _) in &self.interfaces {
                for direction in Direction::ALL {
                    for (reason, would_drop) in outcomes() {
                        let found = counted
                            .reasons
                            .iter()
                            .find(|one| (one.direction, one.reason, one.would_drop) == (direction, reason, would_drop));
                        let names = [
                            ("interface", counted.interface.as_str()),
                            ("direction", direction.name()),
                            ("verdict", verdict_name(reason, would_drop)),
                            ("reason", reason.name()),
                        ];
                        samples.push(labels(&names, number(found.map_or(0, |one| value(one.count)))));
                    }
                }
            }
            samples
        };
        let packets = samples(|count| count.packets);
        writer.counter("packets_total", "Packets, each under one verdict and one reason.", packets)?;
        let bytes = samples(|count| count.bytes);
        writer.counter(
            "bytes_total",
            "Bytes as the hook saw them, each packet's under one verdict and one reason.",
            bytes,
        )
    }

    /// Packets or bytes of each interface by verdict.
    fn verdicts(&self, value: fn(Count) -> u64) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (counted, _) in &self.interfaces {
            for direction in Direction::ALL {
                let VerdictCounts { pass, drop, would_drop } = counted.verdicts[direction as usize];
                for (verdict, count) in [("pass", pass), ("drop", drop), ("would_drop", would_drop)] {
                    let names = [
                        ("interface", counted.interface.as_str()),
                        ("direction", direction.name()),
                        ("verdict", verdict),
                        ("reason", ANY_REASON),
                    ];
                    samples.push(labels(&names, number(value(count))));
                }
            }
        }
        samples
    }

    /// Every reason, of all interfaces together.
    fn sums(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let samples = |value: fn(Count) -> u64| {
            let mut samples = Vec::new();
            let directions = Direction::ALL.into_iter().filter(|_| !self.interfaces.is_empty());
            for direction in directions {
                for (reason, would_drop) in outcomes() {
                    let counts = self.interfaces.iter().flat_map(|(counted, _)| &counted.reasons);
                    let sum = counts
                        .filter(|one| (one.direction, one.reason, one.would_drop) == (direction, reason, would_drop))
                        .fold(0_u64, |sum, one| sum.saturating_add(value(one.count)));
                    let verdict = verdict_name(reason, would_drop);
                    let names = [("direction", direction.name()), ("verdict", verdict), ("reason", reason.name())];
                    samples.push(labels(&names, number(sum)));
                }
            }
            samples
        };
        let packets = samples(|count| count.packets);
        writer.counter("host_packets_total", "Packets of all interfaces, by verdict and reason.", packets)?;
        let bytes = samples(|count| count.bytes);
        writer.counter("host_bytes_total", "Bytes of all interfaces, by verdict and reason.", bytes)
    }

    fn rules(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let rules =
            || self.interfaces.iter().flat_map(|(counted, _)| counted.rules.iter().map(move |rule| (counted, rule)));
        let names = |counted: &InterfaceCounters, rule: &crate::dataplane::RuleCount| {
            vec![
                ("interface", counted.interface.clone()),
                ("direction", rule.rule.direction.to_string()),
                ("rule", rule.rule.id.clone()),
                ("action", rule.rule.action.name().to_owned()),
            ]
        };
        let packets = rules().map(|(counted, rule)| (names(counted, rule), number(rule.count.packets)));
        writer.counter(
            "rule_packets_total",
            "Packets that a rule permitted, or as a deny or internal rule refused.",
            packets,
        )?;
        let bytes = rules().map(|(counted, rule)| (names(counted, rule), number(rule.count.bytes)));
        writer.counter("rule_bytes_total", "Bytes of these packets as the hook saw them.", bytes)?;
        let hits = rules().filter_map(|(counted, rule)| Some((names(counted, rule), seconds(rule.last_hit?))));
        writer.gauge("rule_last_hit_timestamp_seconds", "When a rule last matched; no sample if it never did.", hits)
    }
}

/// Every pair of a reason and whether it was let through in audit.
fn outcomes() -> impl Iterator<Item = (Reason, bool)> {
    Reason::ALL.iter().flat_map(|reason| match reason.verdict() {
        Verdict::Pass => vec![(*reason, false)],
        Verdict::Drop => vec![(*reason, false), (*reason, true)],
    })
}

#[cfg(test)]
mod tests;
