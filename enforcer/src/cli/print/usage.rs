//! Memory of the maps and use of the flow table, for `apply` and `status`.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::dataplane::{DataplaneError, FlowUse, MapMemory, Protected, flow_use, memory};

/// Both, as JSON has them. Memory is in bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Usage {
    memory: ListedMemory,
    flows: ListedFlows,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct ListedMemory {
    total: u64,
    flows: u64,
    denials_and_fragments: u64,
    policy: u64,
    counters: u64,
    events: u64,
    host: u64,
    /// The part of `events` that all slots share.
    #[serde(skip)]
    shared: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct ListedFlows {
    entries: u32,
    entries_ipv6: u32,
    ipv4: u64,
    ipv6: u64,
    made: u64,
    revived: u64,
    gone_estimate: u64,
    denials_remembered: u64,
}

impl Usage {
    /// What several interfaces of a network namespace take together: what they share is counted once.
    #[must_use]
    pub fn together(protected: &[Protected], each: &[Self]) -> Option<Self> {
        let first = each.first()?;
        let mut all =
            Self { memory: ListedMemory { shared: first.memory.shared, ..ListedMemory::default() }, ..Self::default() };
        let (mut generations, mut slots) = (BTreeSet::new(), BTreeSet::new());
        all.memory.events = first.memory.shared;
        for (one, usage) in protected.iter().zip(each) {
            if generations.insert(one.record.generation) {
                all.memory.policy += usage.memory.policy;
            }
            if slots.insert(one.record.slot()) {
                all.add_slot(usage);
            }
            all.memory.counters += usage.memory.counters;
        }
        let ListedMemory { flows, denials_and_fragments, policy, counters, events, host, .. } = all.memory;
        all.memory.total = flows + denials_and_fragments + policy + counters + events + host;
        Some(all)
    }

    /// Adds the tables of another slot.
    const fn add_slot(&mut self, usage: &Self) {
        let (sum, one) = (&mut self.memory, &usage.memory);
        sum.flows += one.flows;
        sum.denials_and_fragments += one.denials_and_fragments;
        sum.events += one.events.saturating_sub(one.shared);
        sum.host += one.host;
        let (sum, one) = (&mut self.flows, &usage.flows);
        sum.entries += one.entries;
        sum.entries_ipv6 += one.entries_ipv6;
        sum.ipv4 += one.ipv4;
        sum.ipv6 += one.ipv6;
        sum.made += one.made;
        sum.revived += one.revived;
        sum.gone_estimate += one.gone_estimate;
        sum.denials_remembered += one.denials_remembered;
    }

    /// Asks the kernel.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn of(protected: &Protected) -> Result<Self, DataplaneError> {
        let FlowUse { most, most6, v4, v6, made, revived, gone_estimate, denials_remembered } = flow_use(protected)?;
        Ok(Self {
            flows: ListedFlows {
                entries: most,
                entries_ipv6: most6,
                ipv4: v4,
                ipv6: v6,
                made,
                revived,
                gone_estimate,
                denials_remembered,
            },
            ..Self::of_memory(protected)?
        })
    }

    /// Asks the kernel for the memory alone.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn of_memory(protected: &Protected) -> Result<Self, DataplaneError> {
        let used = memory(protected)?;
        let total = used.total();
        let MapMemory { flows, memory: denials_and_fragments, policy, counters, events, shared_events: shared, host } =
            used;
        Ok(Self {
            memory: ListedMemory { total, flows, denials_and_fragments, policy, counters, events, host, shared },
            ..Self::default()
        })
    }

    /// "maps take 45.1 MiB: flows 23.5, ...".
    #[must_use]
    pub fn memory_line(&self) -> String {
        let ListedMemory { total, flows, denials_and_fragments, policy, counters, events, host, .. } = self.memory;
        format!(
            "maps take {} MiB: flows {}, denials and fragments {}, policy {}, counters {}, events {}, host {}",
            mebibytes(total),
            mebibytes(flows),
            mebibytes(denials_and_fragments),
            mebibytes(policy),
            mebibytes(counters),
            mebibytes(events),
            mebibytes(host)
        )
    }

    /// "flows: 12 of 131072 for IPv4, ..".
    #[must_use]
    pub fn flows_line(&self) -> String {
        let ListedFlows { entries, entries_ipv6, ipv4, ipv6, made, revived, gone_estimate, .. } = self.flows;
        let of = if entries == entries_ipv6 {
            format!("{ipv4} IPv4 and {ipv6} IPv6 of {entries} each")
        } else {
            format!("{ipv4} IPv4 of {entries} and {ipv6} IPv6 of {entries_ipv6}")
        };
        format!(
            "flows: {of}; {made} made, {revived} revived, about {gone_estimate} \
             evicted or replaced (an estimate)"
        )
    }
}

fn mebibytes(bytes: u64) -> String {
    // Hundredths, in whole numbers.
    let hundredths = bytes.saturating_mul(100) / (1024 * 1024);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::mebibytes;

    #[test]
    fn memory_reads_in_mebibytes() {
        assert_eq!(mebibytes(0), "0.00");
        assert_eq!(mebibytes(1_572_864), "1.50");
        assert_eq!(mebibytes(64 << 20), "64.00");
    }
}
