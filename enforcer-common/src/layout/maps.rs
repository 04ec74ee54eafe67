//! The maps: one table of them all.
//!
//! A new map is a row here and a static in the programs. From the row follow its name, where it is pinned, its size, which part of the
//! memory it is counted under, and its line in docs/how-it-works.md; tests compare the rows with the object and with the document.

use super::address::{HOLDER_ENTRIES, OWN_ENTRIES, OWN_FILTER_BYTES, Range4};
use super::config::Control;
use super::count::{Counter, REASON_SLOTS, RULE_SLOTS, STATISTICS};
use super::flow::{FLOWS, GUEST_FLOWS4, GUEST_FLOWS6, HOT_FLOWS, PORT_BITMAP_WORDS, PORT_BYTES};
use super::report::Bucket;
use crate::entry::ServiceIndex;
use crate::ranges;
use crate::verdict::Direction;

/// One map.
#[derive(Clone, Copy, Debug)]
pub struct MapRow {
    /// Its name in the BPF object and below the pins. At most 15 characters, as the kernel keeps no more.
    pub name: &'static str,
    /// What it belongs to, and so where it is pinned.
    pub owner: MapOwner,
    /// What its memory is for.
    pub purpose: Purpose,
    /// Who writes it.
    pub writer: Writer,
    /// How large it is.
    pub room: Room,
    /// What it is for, as a sentence.
    pub sentence: &'static str,
}

impl MapRow {
    /// Whether copies of the programs, which are only asked for their judgement, look into the same map: it is the policy's, the
    /// slot's or the namespace's, and the programs do not write it. Of what a policy on one interface has, the modes are not shared.
    #[must_use]
    pub const fn is_shared_with_copies(&self) -> bool {
        match self.owner {
            MapOwner::Policy | MapOwner::Slot | MapOwner::Host => matches!(self.writer, Writer::Loader),
            MapOwner::Modes => matches!(self.purpose, Purpose::Policy),
            MapOwner::Interface => false,
        }
    }
}

/// What a map belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MapOwner {
    /// A policy: made anew for each, and never edited while it is in force.
    Policy,
    /// A policy on one interface: a policy that comes back has the modes that it had.
    Modes,
    /// An interface: it survives a change of policy.
    Interface,
    /// A slot, which is one protected host: all interfaces of this machine share slot 0, because an answer may arrive on another one;
    /// each guest has a slot for itself.
    Slot,
    /// The network namespace: all slots share it.
    Host,
}

impl MapOwner {
    /// The word used in the documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Modes => "policy on an interface",
            Self::Interface => "interface",
            Self::Slot => "slot",
            Self::Host => "host",
        }
    }
}

/// What the memory of a map is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Tracked conversations.
    Flows,
    /// Refused conversations and fragments that are remembered.
    Memory,
    /// Port tables, prefixes, matrices.
    Policy,
    /// Counters of rules and reasons, and the mode.
    Counters,
    /// Denied flows and the stream of events.
    Events,
    /// Addresses, listeners, bitmaps, statistics.
    Host,
}

/// Who writes a map.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Writer {
    /// User space alone.
    Loader,
    /// The programs.
    Programs,
}

/// How large a map is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// One value, as large as [`Direct`] says.
    Direct(Direct),
    /// So many entries, which the programs know.
    Program(u32),
    /// So many entries, in the slot of this machine and in that of a guest.
    Entries {
        /// Of this machine.
        host: u32,
        /// Of a guest.
        guest: u32,
    },
    /// A ring buffer of so many bytes.
    Bytes(u32),
    /// Entries for the flows that the site asks for; so many where it asks for none.
    Flows {
        /// Of this machine.
        host: u32,
        /// Of a guest.
        guest: u32,
    },
    /// Entries for the class matrix of the policy.
    Matrix(Direction),
    /// Entries for the IPv6 prefixes of the policy.
    Prefixes6,
    /// Entries for the addresses that a guest may claim.
    Claims,
}

macro_rules! maps {
    (
        direct {
            $($variant:ident = $direct:ident, $direct_owner:ident, $direct_purpose:ident, $direct_writer:ident, $parts:ident * $bytes:expr,
                $direct_sentence:literal;)*
        }
        called {
            $($called:ident, $owner:ident, $purpose:ident, $writer:ident, $room:expr, $sentence:literal;)*
        }
    ) => {
        /// Names of the maps in the BPF object.
        pub mod map {
            $(#[doc = $direct_sentence] pub const $direct: &str = stringify!($direct);)*
            $(#[doc = $sentence] pub const $called: &str = stringify!($called);)*
            /// The read-only configuration symbol (not a map of its own).
            pub const CONFIG: &str = "CONFIG";
        }

        /// Every map that is pinned.
        pub const MAPS: &[MapRow] = &[
            $(MapRow {
                name: map::$direct,
                owner: MapOwner::$direct_owner,
                purpose: Purpose::$direct_purpose,
                writer: Writer::$direct_writer,
                room: Room::Direct(Direct::$variant),
                sentence: $direct_sentence,
            },)*
            $(MapRow {
                name: map::$called,
                owner: MapOwner::$owner,
                purpose: Purpose::$purpose,
                writer: Writer::$writer,
                room: $room,
                sentence: $sentence,
            },)*
        ];

        /// Maps of one value, whose address is written into the programs: an array of one element is a constant to a program, and
        /// what is in it takes one load.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(u32)]
        pub enum Direct {
            $(#[doc = $direct_sentence] $variant,)*
        }

        impl Direct {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; [$(map::$direct),*].len()] = [$(Self::$variant),*];

            /// How many parts its value has.
            #[must_use]
            pub const fn parts(self) -> Parts {
                match self {
                    $(Self::$variant => Parts::$parts,)*
                }
            }

            /// Bytes of a part of its value. What belongs to a CPU is of whole cache lines.
            #[must_use]
            #[expect(clippy::cast_possible_truncation, reason = "these structures are small")]
            pub const fn size(self) -> u32 {
                match self {
                    $(Self::$variant => $bytes as u32,)*
                }
            }
        }
    };
}

maps! {
    // Looked up in by the address of their only value: the first rows of MAPS, in the order of the numbers of `Direct`.
    direct {
        ServicesIn = SERVICES_IN, Policy, Policy, Loader, One * ServiceIndex::COUNT * 4,
            "The decision for each inbound port, protocol and ethertype.";
        ServicesOut = SERVICES_OUT, Policy, Policy, Loader, One * ServiceIndex::COUNT * 4,
            "The same for outbound packets.";
        Control = CONTROL, Modes, Counters, Loader, One * size_of::<Control>(),
            "The modes, and the deadline.";
        FlowPorts = FLOW_PORTS, Slot, Host, Programs, One * PORT_BYTES,
            "A byte for each local port that a flow has used.";
        Listeners = LISTENERS, Slot, Host, Loader, One * PORT_BITMAP_WORDS * 8,
            "A bit for each local port that has a listener.";
        OwnFilter = OWN_FILTER, Slot, Host, Loader, One * OWN_FILTER_BYTES,
            "A filter in front of the table of own addresses.";
        Reasons = REASONS, Interface, Counters, Programs, Cpus * size_of::<Counter>() as u32 * REASON_SLOTS,
            "Packets and bytes for each reason and CPU.";
        Bucket = BUCKET, Slot, Events, Programs, Cpus * size_of::<Bucket>(),
            "How many denied packets each CPU may still report in this second.";
        RangeIndex4 = RANGE_INDEX4, Policy, Policy, Loader, One * ranges::INDEX * 4,
            "Where the ranges of each IPv4 /16 begin.";
        Ranges4 = RANGES4, Policy, Policy, Loader, Ranges * size_of::<Range4>(),
            "Ranges of remote IPv4 addresses, each with its class.";
    }
    // Looked up in by a call into the kernel.
    called {
        PREFIXES6, Policy, Policy, Loader, Room::Prefixes6,
            "IPv6 prefixes, each with its class.";
        MATRIX_IN, Policy, Policy, Loader, Room::Matrix(Direction::Inbound),
            "The decision for each class of inbound services and remote addresses.";
        MATRIX_OUT, Policy, Policy, Loader, Room::Matrix(Direction::Outbound),
            "The same for outbound services.";
        CLAIMS, Modes, Policy, Loader, Room::Claims,
            "Addresses that the guest may claim.";
        HOLDERS, Host, Host, Loader, Room::Entries { host: HOLDER_ENTRIES, guest: HOLDER_ENTRIES },
            "Addresses of this machine, of its routers and of its guests, for guests whose own are not known.";
        RULES, Interface, Counters, Programs, Room::Program(RULE_SLOTS),
            "Packets, bytes and last match for each rule and CPU.";
        FLOWS4, Slot, Flows, Programs, Room::Flows { host: FLOWS, guest: GUEST_FLOWS4 },
            "Flows over IPv4.";
        FLOWS6, Slot, Flows, Programs, Room::Flows { host: FLOWS, guest: GUEST_FLOWS6 },
            "Flows over IPv6.";
        HOT_FLOWS4, Slot, Flows, Programs, Room::Program(HOT_FLOWS),
            "IPv4 flows that each CPU found within the last second.";
        HOT_FLOWS6, Slot, Flows, Programs, Room::Program(HOT_FLOWS),
            "The same for IPv6.";
        DENIALS4, Slot, Memory, Programs, Room::Entries { host: 32_768, guest: 1024 },
            "IPv4 conversations that were refused and let through, in audit.";
        DENIALS6, Slot, Memory, Programs, Room::Entries { host: 32_768, guest: 1024 },
            "The same for IPv6.";
        FRAGMENTS4, Slot, Memory, Programs, Room::Entries { host: 16_384, guest: 512 },
            "Verdicts of the first fragments of IPv4 datagrams.";
        FRAGMENTS6, Slot, Memory, Programs, Room::Entries { host: 16_384, guest: 512 },
            "The same for IPv6.";
        OWN, Slot, Host, Loader, Room::Entries { host: OWN_ENTRIES, guest: 64 },
            "Addresses of this host, the broadcast addresses of its networks, and the hardware addresses by which its bridges deliver to it.";
        EVENTS, Host, Events, Programs, Room::Bytes(1 << 20),
            "The stream of denied packets.";
        DENIED, Slot, Events, Programs, Room::Entries { host: 65_536, guest: 1024 },
            "Denied flows, with packets and bytes.";
        STATISTICS, Slot, Host, Programs, Room::Program(STATISTICS),
            "Numbers about the flow tables, for each CPU.";
    }
}

impl Direct {
    /// The one with this number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self::ALL[number as usize]
    }

    /// Its row.
    #[must_use]
    pub const fn row(self) -> &'static MapRow {
        &MAPS[self as usize]
    }

    /// Name of the map.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
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
            assert_eq!(direct.row().room, Room::Direct(direct));
        }
    }

    #[test]
    fn the_kernel_keeps_each_name_whole_and_apart() {
        for (i, one) in MAPS.iter().enumerate() {
            assert!(one.name.len() <= 15, "{}", one.name);
            assert!(MAPS[i + 1..].iter().all(|other| other.name != one.name), "{}", one.name);
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
