//! Metrics for Prometheus: what `counters --format prometheus` prints and the agent serves.
//!
//! The number of series follows the policy and the lists of this program, never the traffic: no label holds an address or a port.

use std::collections::BTreeSet;
use std::fmt::Error;

use enforcer_common::layout::LAYOUT_VERSION;
use enforcer_common::{Direction, Mode, Reason, Verdict};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::dataplane::{
    Count, DataplaneError, DeadlineKind, Denied, FlowUse, InterfaceCounters, InterfaceStatus, Judging, MapMemory,
    Protected, counters, denied_use, flow_use, memory, status,
};
use crate::policy::modes::Protects;
use crate::state::totals::verdict_name;

/// Media type of [`Metrics::text`]: the Prometheus text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The state of everything that is protected in this network namespace, at one moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    interfaces: Vec<(InterfaceCounters, InterfaceStatus)>,
    slots: Vec<SlotMetrics>,
}

/// What a slot remembers: the interfaces of this machine share one slot, and each guest has its own.
#[derive(Clone, Debug)]
struct SlotMetrics {
    /// The port of a guest; `None`: this machine.
    guest: Option<String>,
    flows: FlowUse,
    denied: Denied,
    /// Of the slot, and of an interface of it.
    memory: MapMemory,
}

/// Labels and value of one sample.
type Sample = (Vec<(&'static str, String)>, f64);

impl Metrics {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When pins or maps cannot be read.
    pub fn read(protected: &[Protected]) -> Result<Self, DataplaneError> {
        let interfaces = protected.iter().map(|one| Ok((counters(one)?, status(one)?)));
        let interfaces = interfaces.collect::<Result<Vec<_>, DataplaneError>>()?;
        let mut known = BTreeSet::new();
        let first_of_each = protected.iter().filter(|one| known.insert(one.record.slot()));
        let slots = first_of_each.map(|one| {
            Ok(SlotMetrics {
                guest: (one.record.protects == Protects::Guest).then(|| one.interface.clone()),
                flows: flow_use(one)?,
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
    pub fn text(&self) -> Result<String, Error> {
        let mut registry = Registry::with_prefix("enforcer");
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        // Without the end marker of OpenMetrics: see `Writer::family`.
        encode_registry(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut writer = Writer { encoder };
        let layout = LAYOUT_VERSION.to_string();
        let build = [("version", env!("CARGO_PKG_VERSION")), ("layout", layout.as_str())];
        writer.gauge("build_info", "Version of enforcer, and of the layout of its maps.", [labels(&build, 1.0)])?;
        self.interface_states(&mut writer)?;
        self.reasons(&mut writer)?;
        self.rules(&mut writer)?;
        slots(&self.slots, &mut writer)
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

    /// Every reason that there is, zeros included: a rate needs a series from the first packet on.
    fn reasons(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let samples = |value: fn(Count) -> u64| {
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

/// What the slots remember. A guest's samples have its port as `interface`; those of this machine, which has several, have none.
fn slots(slots: &[SlotMetrics], writer: &mut Writer<'_>) -> Result<(), Error> {
    let both = |value4: fn(&SlotMetrics) -> u64, value6: fn(&SlotMetrics) -> u64| {
        let families = slots.iter().flat_map(move |slot| [(slot, "ipv4", value4(slot)), (slot, "ipv6", value6(slot))]);
        families.map(|(slot, family, value)| (slot.labels(&[("family", family)]), number(value)))
    };
    writer.gauge(
        "flows",
        "Flows in the table, those that have timed out but are not evicted included.",
        both(|slot| slot.flows.v4, |slot| slot.flows.v6),
    )?;
    writer.gauge(
        "flows_capacity",
        "Flows that the table holds at most.",
        both(|slot| u64::from(slot.flows.most), |slot| u64::from(slot.flows.most6)),
    )?;
    type Value = fn(&SlotMetrics) -> u64;
    let counters: [(&str, &str, Value); 5] = [
        ("flows_made_total", "Flows made by an outbound packet.", |slot| slot.flows.made),
        (
            "flows_revived_total",
            "Flows made anew in mid-conversation: evicted before their time, or older than the programs.",
            |slot| slot.flows.revived,
        ),
        (
            "denials_remembered_total",
            "Packets of conversations that were refused in audit and are remembered.",
            |slot| slot.flows.denials_remembered,
        ),
        (
            "events_suppressed_total",
            "Refused packets that were only counted: neither a denied flow nor an event tells of them.",
            |slot| slot.denied.suppressed,
        ),
        ("events_lost_total", "Events that nobody read in time: the ring buffer was full.", |slot| slot.denied.lost),
    ];
    let each = |value: Value| slots.iter().map(move |slot| (slot.labels(&[]), number(value(slot))));
    for (name, help, value) in counters {
        writer.counter(name, help, each(value))?;
    }
    let gauges: [(&str, &str, Value); 3] = [
        ("flows_gone_estimate", "Flows that were evicted or replaced: an estimate.", |slot| slot.flows.gone_estimate),
        ("denied_flows", "Denied flows that are remembered.", |slot| {
            u64::try_from(slot.denied.remembered).unwrap_or(u64::MAX)
        }),
        ("denied_flows_capacity", "Denied flows that are remembered at most.", |slot| u64::from(slot.denied.capacity)),
    ];
    for (name, help, value) in gauges {
        writer.gauge(name, help, each(value))?;
    }
    let uses = slots.iter().flat_map(|slot| {
        let MapMemory { flows, memory, policy, counters, events, shared_events: _, host } = slot.memory;
        let uses = [
            ("flows", flows),
            ("denials_and_fragments", memory),
            ("policy", policy),
            ("counters", counters),
            ("events", events),
            ("host", host),
        ];
        uses.map(|(name, bytes)| (slot.labels(&[("use", name)]), number(bytes)))
    });
    writer.gauge("map_memory_bytes", "Kernel memory of the maps; policy and counters are those of one interface.", uses)
}

impl SlotMetrics {
    /// The labels of a sample.
    fn labels(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let guest = self.guest.iter().map(|guest| ("interface", guest.clone()));
        guest.chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
    }
}

/// Every pair of a reason and whether it was let through in audit.
fn outcomes() -> impl Iterator<Item = (Reason, bool)> {
    Reason::ALL.iter().flat_map(|reason| match reason.verdict() {
        Verdict::Pass => vec![(*reason, false)],
        Verdict::Drop => vec![(*reason, false), (*reason, true)],
    })
}

/// Writes metrics in the form that every reader of Prometheus text understands (0.0.4).
struct Writer<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) -> Result<(), Error> {
        self.family(name, help, MetricType::Gauge, samples)
    }

    fn counter(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample>) -> Result<(), Error> {
        self.family(name, help, MetricType::Counter, samples)
    }

    /// OpenMetrics takes `_total` off the name of a counter in its head and puts it on each sample, which readers of the older
    /// format (promtool, the textfile collector) take for two metrics. So heads and samples have the whole name here, and the
    /// encoder, which adds nothing to the samples of a gauge, is told the type only in the head.
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Result<(), Error> {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            match labels.as_slice() {
                // `name{}` is right, but unusual.
                [] => metric.encode_gauge(&Number(value))?,
                labels => metric.encode_family(&labels)?.encode_gauge(&Number(value))?,
            }
        }
        Ok(())
    }
}

/// A number, written as a whole one where it is one.
struct Number(f64);

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut prometheus_client::encoding::GaugeValueEncoder<'_>) -> Result<(), Error> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and within the range of u64"
        )]
        if self.0.fract() == 0.0 && (0.0..1.8e19).contains(&self.0) {
            return (self.0 as u64).encode(encoder);
        }
        self.0.encode(encoder)
    }
}

fn labels(names: &[(&'static str, &str)], value: f64) -> Sample {
    (names.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), value)
}

/// Prometheus knows no other numbers than these: past 2^53 the last digits are lost.
#[expect(clippy::cast_precision_loss, reason = "so does every reader of the text")]
fn number(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_second() as f64
}

fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests;
