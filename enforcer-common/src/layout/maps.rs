//! The maps: their names, and which of them are looked up in without a call into the kernel.

use super::address::{OWN_FILTER_BYTES, Range4};
use super::config::Control;
use super::count::{Counter, REASON_SLOTS};
use super::flow::PORT_BITMAP_WORDS;
use super::report::Bucket;
use crate::entry::ServiceIndex;
use crate::ranges;

/// Names of the maps in the BPF object. At most 15 characters, as the kernel keeps no more.
pub mod map {
    /// Inbound service table: an [`Entry`](crate::Entry) for each [`ServiceIndex`](crate::ServiceIndex).
    pub const SERVICES_IN: &str = "SERVICES_IN";
    /// Outbound service table.
    pub const SERVICES_OUT: &str = "SERVICES_OUT";
    /// [`Range4`](crate::layout::Range4)s of remote IPv4 addresses, in ascending order, each with its [`SourceClass`](crate::SourceClass).
    pub const RANGES4: &str = "RANGES4";
    /// Where those of each /16 begin: see [`ranges`](crate::ranges).
    pub const RANGE_INDEX4: &str = "RANGE_INDEX4";
    /// Longest-prefix match over IPv6 remote addresses, giving a [`SourceClass`](crate::SourceClass).
    pub const PREFIXES6: &str = "PREFIXES6";
    /// Decisions for a service class (row) and a source class (column), inbound.
    pub const MATRIX_IN: &str = "MATRIX_IN";
    /// The same for outbound.
    pub const MATRIX_OUT: &str = "MATRIX_OUT";
    /// One [`Control`](crate::layout::Control): the modes and the deadline.
    pub const CONTROL: &str = "CONTROL";
    /// Per-CPU [`RuleCounter`](crate::layout::RuleCounter)s, by counter slot.
    pub const RULES: &str = "RULES";
    /// For each CPU, [`Counter`](crate::layout::Counter)s by [`reason_index`](crate::layout::reason_index).
    pub const REASONS: &str = "REASONS";
    /// Tracked conversations, IPv4.
    pub const FLOWS4: &str = "FLOWS4";
    /// Tracked conversations, IPv6.
    pub const FLOWS6: &str = "FLOWS6";
    /// Flows that this CPU found not long ago, IPv4: a per-CPU array of [`HotFlow4`](crate::layout::HotFlow4).
    pub const HOT_FLOWS4: &str = "HOT_FLOWS4";
    /// The same for IPv6, of [`HotFlow6`](crate::layout::HotFlow6).
    pub const HOT_FLOWS6: &str = "HOT_FLOWS6";
    /// Conversations that enforcement would have refused, IPv4: jiffies of the last refused packet.
    pub const DENIALS4: &str = "DENIALS4";
    /// The same for IPv6.
    pub const DENIALS6: &str = "DENIALS6";
    /// Verdicts of first fragments, IPv4.
    pub const FRAGMENTS4: &str = "FRAGMENTS4";
    /// The same for IPv6.
    pub const FRAGMENTS6: &str = "FRAGMENTS6";
    /// A bit for each local port that any flow has used since the map was made: TCP, UDP, SCTP.
    pub const FLOW_PORTS: &str = "FLOW_PORTS";
    /// A bit for each local port that has a listener.
    pub const LISTENERS: &str = "LISTENERS";
    /// A Bloom-like filter over [`OWN`]: one byte for each address, see [`own_slot`](crate::layout::own_slot).
    pub const OWN_FILTER: &str = "OWN_FILTER";
    /// Addresses of this host, the broadcast addresses of its networks, and the [`hardware`](crate::layout::hardware) addresses by
    /// which its bridges deliver to it.
    pub const OWN: &str = "OWN";
    /// Ring buffer of [`Event`](crate::layout::Event)s.
    pub const EVENTS: &str = "EVENTS";
    /// Denied flows, aggregated.
    pub const DENIED: &str = "DENIED";
    /// For each CPU, a token bucket in front of [`EVENTS`] and [`DENIED`].
    pub const BUCKET: &str = "BUCKET";
    /// Per-CPU numbers about the tables themselves, by [`Statistic`](crate::layout::Statistic).
    pub const STATISTICS: &str = "STATISTICS";
    /// The read-only configuration symbol (not a map of its own).
    pub const CONFIG: &str = "CONFIG";
}

/// Maps of one value, whose address is written into the programs: an array of one element is a constant to a program, and what
/// is in it takes one load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Direct {
    /// [`map::SERVICES_IN`].
    ServicesIn = 0,
    /// [`map::SERVICES_OUT`].
    ServicesOut = 1,
    /// [`map::CONTROL`].
    Control = 2,
    /// [`map::FLOW_PORTS`].
    FlowPorts = 3,
    /// [`map::LISTENERS`].
    Listeners = 4,
    /// [`map::OWN_FILTER`].
    OwnFilter = 5,
    /// [`map::REASONS`].
    Reasons = 6,
    /// [`map::BUCKET`].
    Bucket = 7,
    /// [`map::RANGE_INDEX4`].
    RangeIndex4 = 8,
    /// [`map::RANGES4`].
    Ranges4 = 9,
}

impl Direct {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::ServicesIn,
        Self::ServicesOut,
        Self::Control,
        Self::FlowPorts,
        Self::Listeners,
        Self::OwnFilter,
        Self::Reasons,
        Self::Bucket,
        Self::RangeIndex4,
        Self::Ranges4,
    ];

    /// The one with this number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self::ALL[number as usize]
    }

    /// Name of the map.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServicesIn => map::SERVICES_IN,
            Self::ServicesOut => map::SERVICES_OUT,
            Self::Control => map::CONTROL,
            Self::FlowPorts => map::FLOW_PORTS,
            Self::Listeners => map::LISTENERS,
            Self::OwnFilter => map::OWN_FILTER,
            Self::Reasons => map::REASONS,
            Self::Bucket => map::BUCKET,
            Self::RangeIndex4 => map::RANGE_INDEX4,
            Self::Ranges4 => map::RANGES4,
        }
    }

    /// How many parts its value has.
    #[must_use]
    pub const fn parts(self) -> Parts {
        match self {
            Self::ServicesIn
            | Self::ServicesOut
            | Self::Control
            | Self::FlowPorts
            | Self::Listeners
            | Self::OwnFilter
            | Self::RangeIndex4 => Parts::One,
            Self::Reasons | Self::Bucket => Parts::Cpus,
            Self::Ranges4 => Parts::Ranges,
        }
    }

    /// Bytes of a part of its value. What belongs to a CPU is of whole cache lines.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "these structures are small")]
    pub const fn size(self) -> u32 {
        match self {
            Self::ServicesIn | Self::ServicesOut => ServiceIndex::COUNT * 4,
            Self::Control => size_of::<Control>() as u32,
            Self::FlowPorts | Self::Listeners => PORT_BITMAP_WORDS * 8,
            Self::OwnFilter => OWN_FILTER_BYTES,
            Self::Reasons => size_of::<Counter>() as u32 * REASON_SLOTS,
            Self::Bucket => size_of::<Bucket>() as u32,
            Self::RangeIndex4 => ranges::INDEX * 4,
            Self::Ranges4 => size_of::<Range4>() as u32,
        }
    }

    /// What stands in the object in the place of its address: a number that means nothing else.
    #[must_use]
    pub const fn placeholder(self) -> u64 {
        0x656e_666f_7263_6500 | self as u64
    }
}

/// How many parts the value of such a map has, one after the other. It is a power of two, so that a mask bounds the number of a part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parts {
    /// It is one.
    One,
    /// One for each CPU that there can be, by its number.
    ///
    /// The kernel's own per-CPU maps need a look-up, which waits for an index to be stored and loaded again, and for the address of
    /// the CPU's part; here it is counted.
    Cpus,
    /// One for each range of addresses of the policy.
    Ranges,
}

impl Parts {
    /// Those whose number is not known before the programs are loaded.
    pub const COUNTED: [Self; 2] = [Self::Cpus, Self::Ranges];

    /// What stands in the object in the place of the highest number of a part, where a register is masked with it (`BPF_AND` of an
    /// immediate): a number that means nothing else either.
    #[must_use]
    pub const fn placeholder(self) -> u32 {
        0x6370_7500 | self as u32
    }

    /// Parts for so many.
    #[must_use]
    pub const fn of(count: u32) -> u32 {
        count.next_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_map() {
        for (number, direct) in (0..).zip(Direct::ALL) {
            assert_eq!((direct as u32, Direct::from_number(number)), (number, direct));
        }
    }

    #[test]
    fn cpus_share_no_cache_line() {
        let mut of_cpus = Direct::ALL.iter().filter(|direct| direct.parts() == Parts::Cpus);
        assert!(of_cpus.all(|direct| direct.size().is_multiple_of(64)));
        assert!(REASON_SLOTS.is_power_of_two());
    }

    #[test]
    fn there_is_a_part_for_each() {
        let parts = [0, 1, 2, 3, 4, 96, 128, 129].map(Parts::of);
        assert_eq!(parts, [1, 1, 2, 4, 4, 128, 128, 256]);
    }
}
