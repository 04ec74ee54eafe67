//! What the decision code looks up and remembers. The kernel answers from BPF maps, the host from collections.

use crate::layout::{
    Config, Counter, DenialKey4, DenialKey6, DenialState, FlowKey4, FlowKey6, FlowState, FlowState6, FragmentKey4,
    FragmentKey6, FragmentState, Statistic, hardware,
};
use crate::outcome::Outcome;
use crate::seen::Seen;
use crate::{Direction, Entry, ServiceIndex};

/// A flow that was found. It is changed in place, field by field: several CPUs may hold it.
pub trait Flow: Copy {
    /// What is known of it now.
    fn state(&self) -> FlowState;
    /// Notes a packet that left at `now` (jiffies).
    fn refresh(&self, now: u64);
    /// Notes a packet that came in at `now`.
    fn hear(&self, now: u64);
    /// Changes timeout (jiffies) and flags.
    fn close(&self, timeout: u32, flags: u32);
}

/// Tables and memory of one interface's program. Addresses are words as they stand in the packet.
pub trait Tables {
    /// A flow in the flow table.
    type Flow: Flow;

    /// The constants of this load.
    fn config(&self) -> &Config;

    /// Whether any of these features is on.
    #[inline(always)]
    fn has(&self, features: u32) -> bool {
        self.config().has(features)
    }

    /// Jiffies.
    fn now(&self) -> u64;

    /// The service table.
    fn service(&self, direction: Direction, index: ServiceIndex) -> Entry;

    /// The matrix column of a remote IPv4 address.
    fn column4(&self, direction: Direction, remote: u32) -> u32;

    /// The matrix column of a remote IPv6 address.
    fn column6(&self, direction: Direction, remote: [u32; 4]) -> u32;

    /// The class matrix.
    fn scoped(&self, direction: Direction, row: u16, column: u32) -> Entry;

    /// Whether an address (IPv4 mapped) is one of this host's, or a broadcast address of its networks.
    fn is_own(&self, address: [u32; 4]) -> bool;

    /// Not 0 where it may be one of them: what this denies, [`is_own`](Self::is_own) denies too. Tables that are asked at no cost
    /// know at once.
    #[inline(always)]
    fn may_be_own(&self, address: [u32; 4]) -> u32 {
        u32::from(self.is_own(address))
    }

    /// As [`is_own`](Self::is_own), of an address that [`may_be_own`](Self::may_be_own): that is not asked again.
    #[inline(always)]
    fn is_own_indeed(&self, address: [u32; 4]) -> bool {
        self.is_own(address)
    }

    /// Whether frames to this hardware address (low 48 bits, as they stand in the frame) are delivered to this host.
    #[inline(always)]
    fn is_own_hardware(&self, address: u64) -> bool {
        self.is_own(hardware(address))
    }

    /// What the table of claims says of an address (IPv4 mapped); 0: nothing. See [`layout::claim`](crate::layout::claim).
    fn claim(&self, address: [u32; 4]) -> u32;

    /// Who is known to have an address (IPv4 mapped): a slot, or one of [`layout::holder`](crate::layout::holder); 0: nobody.
    fn holder(&self, address: [u32; 4]) -> u32;

    /// Whether the kernel would forward a packet between these addresses (IPv4 mapped; family 4 or 6); asked, under scope `host`,
    /// only for destinations that are not ours.
    fn would_forward(&self, family: u8, source: [u32; 4], destination: [u32; 4]) -> bool;

    /// Whether any flow has used this local port. `bit`: see [`port_bit`].
    fn flow_uses_port(&self, bit: u32) -> bool;

    /// Notes that a flow uses this local port.
    fn note_flow_port(&self, bit: u32);

    /// Whether this local port has a listener.
    fn has_listener(&self, bit: u32) -> bool;

    /// Looks up a flow over IPv4.
    fn flow4(&self, key: &FlowKey4) -> Option<Self::Flow>;

    /// Looks up a flow over IPv6, and makes sure that it is this local address's.
    fn flow6(&self, key: &FlowKey6, local: [u32; 4]) -> Option<Self::Flow>;

    /// Whether this CPU found the flow within the last second, and a packet of this direction need not be noted, so that looking it
    /// up would tell nothing new. Tables that need no such shortcut have none.
    #[inline(always)]
    fn is_hot4(&self, _: &FlowKey4, _: Direction) -> bool {
        false
    }

    /// The same over IPv6, of a local address.
    #[inline(always)]
    fn is_hot6(&self, _: &FlowKey6, _: [u32; 4], _: Direction) -> bool {
        false
    }

    /// Notes a flow that was found; its times as they stand in the table now.
    #[inline(always)]
    fn note_hot4(&self, _: &FlowKey4, _: u64, _: u32) {}

    /// The same over IPv6, of a local address.
    #[inline(always)]
    fn note_hot6(&self, _: &FlowKey6, _: [u32; 4], _: u64, _: u32) {}

    /// Makes or replaces a flow over IPv4.
    fn make_flow4(&self, key: &FlowKey4, state: &FlowState);

    /// Makes or replaces a flow over IPv6.
    fn make_flow6(&self, key: &FlowKey6, state: &FlowState6);

    /// What is remembered of a conversation that was refused and let through.
    fn denial4(&self, key: &DenialKey4) -> Option<DenialState>;

    /// The same over IPv6.
    fn denial6(&self, key: &DenialKey6) -> Option<DenialState>;

    /// Remembers a refused conversation.
    fn remember_denial4(&self, key: &DenialKey4, state: &DenialState);

    /// The same over IPv6.
    fn remember_denial6(&self, key: &DenialKey6, state: &DenialState);

    /// Jiffies until which refused conversations are asked for although inbound enforces.
    fn memory_until(&self) -> u64;

    /// The same number, of which the verifier knows nothing. Like [`Frame::blur`](crate::frame::Frame::blur), where there is no frame.
    #[inline(always)]
    fn blur(&self, number: u32) -> u32 {
        number
    }

    /// Jiffies until which [`Entry::ENDED`] counts.
    fn ended_until(&self) -> u64;

    /// What became of the first fragment of a datagram.
    fn fragment4(&self, key: &FragmentKey4) -> Option<FragmentState>;

    /// The same over IPv6.
    fn fragment6(&self, key: &FragmentKey6) -> Option<FragmentState>;

    /// Remembers what became of a first fragment.
    fn remember_fragment4(&self, key: &FragmentKey4, state: &FragmentState);

    /// The same over IPv6.
    fn remember_fragment6(&self, key: &FragmentKey6, state: &FragmentState);

    /// 1 where this direction enforces at this moment, the deadline included; else 0.
    fn enforces(&self, direction: Direction) -> u32;

    /// Counts under a reason.
    fn count(&self, direction: Direction, would_drop: u32, outcome: Outcome, size: Counter);

    /// Counts under a rule.
    fn count_rule(&self, rule: u16, size: Counter);

    /// Counts something about the tables.
    fn note(&self, statistic: Statistic);

    /// Whether a refused packet may be told of: takes a token, or counts that there was none.
    fn may_report(&self) -> bool;

    /// Tells of a refused packet that a token was taken for.
    fn report(&self, direction: Direction, enforced: bool, outcome: Outcome, seen: &Seen, size: Counter);
}

/// Where a local port stands in the port bitmaps; `None` for protocols without ports.
#[must_use]
#[inline(always)]
pub const fn port_bit(protocol: u8, port: u16) -> Option<u32> {
    match ServiceIndex::port(protocol, port) {
        Some(index) => Some(index.0),
        None => None,
    }
}
