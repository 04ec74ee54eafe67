//! Metrics of what is remembered: flows, denied flows, and the memory of the maps.

use std::borrow::Cow;
use std::fmt::Error;

use super::writer::{Writer, number};
use crate::dataplane::{Denied, FlowUse, MapMemory};

/// Slots that are listed one by one without being asked for.
const MOST_GUESTS: usize = 6;
/// What stands for all guests.
const ANY_GUEST: &str = "any";

/// What a slot remembers: the interfaces of this machine share one slot, and each guest has its own.
#[derive(Clone, Debug)]
pub(super) struct SlotMetrics {
    /// The port of a guest; `None`: this machine.
    pub(super) guest: Option<String>,
    pub(super) flows: FlowUse,
    pub(super) denied: Denied,
    /// Of the slot, and of an interface of it.
    pub(super) memory: MapMemory,
}

/// What the slots remember. A guest's samples have its port as `interface`; those of this machine, which has several, have none. On a host
/// with many guests, unless everything is wanted, their sum has `any` as `interface`.
pub(super) fn write(slots: &[SlotMetrics], is_whole: bool, writer: &mut Writer<'_>) -> Result<(), Error> {
    let slots: Cow<'_, [SlotMetrics]> =
        if is_whole || slots.len() <= MOST_GUESTS { slots.into() } else { with_guests_together(slots).into() };
    let slots = &*slots;
    let both = |value4: fn(&SlotMetrics) -> u64, value6: fn(&SlotMetrics) -> u64| {
        let families = slots.iter().flat_map(move |slot| [(slot, "ipv4", value4(slot)), (slot, "ipv6", value6(slot))]);
        families.map(|(slot, family, value)| (slot.labels(&[("family", family)]), number(value)))
    };
    writer.gauge(
        "flows",
        "Flows in the table, those that have timed out but are not evicted included; of many, an estimate from a part.",
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
        ("denied_flows", "Denied flows that are remembered; of many, an estimate from a part.", |slot| {
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

/// The slot of this machine, and the sum of those of all guests.
fn with_guests_together(slots: &[SlotMetrics]) -> Vec<SlotMetrics> {
    let own = slots.iter().filter(|slot| slot.guest.is_none()).cloned();
    let guests = slots.iter().filter(|slot| slot.guest.is_some()).cloned();
    let sum = guests.reduce(SlotMetrics::plus).map(|sum| SlotMetrics { guest: Some(ANY_GUEST.to_owned()), ..sum });
    own.chain(sum).collect()
}

impl SlotMetrics {
    /// The labels of a sample.
    fn labels(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let guest = self.guest.iter().map(|guest| ("interface", guest.clone()));
        guest.chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
    }

    fn plus(self, other: Self) -> Self {
        let Self { guest, flows: one, denied, memory: own } = self;
        let Self { flows: two, denied: more, memory, .. } = other;
        let flows = FlowUse {
            most: one.most.saturating_add(two.most),
            most6: one.most6.saturating_add(two.most6),
            v4: one.v4 + two.v4,
            v6: one.v6 + two.v6,
            made: one.made + two.made,
            revived: one.revived + two.revived,
            gone_estimate: one.gone_estimate + two.gone_estimate,
            denials_remembered: one.denials_remembered + two.denials_remembered,
        };
        let denied = Denied {
            remembered: denied.remembered + more.remembered,
            capacity: denied.capacity.saturating_add(more.capacity),
            is_full: denied.is_full || more.is_full,
            suppressed: denied.suppressed + more.suppressed,
            lost: denied.lost + more.lost,
            ..denied
        };
        // Policy, counters and what belongs to the host are not a guest's own.
        let memory = MapMemory {
            flows: own.flows + memory.flows,
            memory: own.memory + memory.memory,
            events: own.events + memory.events - memory.shared_events,
            ..own
        };
        Self { guest, flows, denied, memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_guests_are_one_sum_beside_this_machine() {
        let slot = |guest: Option<&str>, v4| SlotMetrics {
            guest: guest.map(str::to_owned),
            flows: FlowUse { v4, most: 10, ..FlowUse::default() },
            denied: Denied { remembered: 1, capacity: 5, ..Denied::default() },
            memory: MapMemory { flows: 100, policy: 7, events: 30, shared_events: 20, ..MapMemory::default() },
        };
        let found = with_guests_together(&[slot(Some("tap0"), 1), slot(None, 10), slot(Some("tap1"), 2)]);
        assert_eq!((found.len(), found[0].guest.as_deref(), found[0].flows.v4), (2, None, 10));
        assert_eq!((found[1].guest.as_deref(), found[1].flows.v4, found[1].flows.most), (Some("any"), 3, 20));
        assert_eq!((found[1].denied.remembered, found[1].denied.capacity), (2, 10));
        let MapMemory { flows, policy, events, .. } = found[1].memory;
        assert_eq!((flows, policy, events), (200, 7, 40), "what all share is counted once");
        assert!(with_guests_together(&[]).is_empty());
    }
}
