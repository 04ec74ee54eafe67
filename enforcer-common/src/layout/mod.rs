//! Layouts of what lives in BPF maps and in the programs' read-only data: keys, values, sizes, names.
//!
//! Everything is made of whole words without padding, so that the kernel compares and copies it with word loads. Changing
//! anything here means raising [`LAYOUT_VERSION`], which is part of the pin path: a new binary never misreads old maps.

/// Version of everything in this module; part of the pin path (`v<LAYOUT>`).
pub const LAYOUT_VERSION: u32 = 6;

/// Names of the maps in the BPF object. At most 15 characters, as the kernel keeps no more.
pub mod map {
    /// Inbound service table: an [`Entry`](crate::Entry) for each [`ServiceIndex`](crate::ServiceIndex).
    pub const SERVICES_IN: &str = "SERVICES_IN";
    /// Outbound service table.
    pub const SERVICES_OUT: &str = "SERVICES_OUT";
    /// [`Range4`](super::Range4)s of remote IPv4 addresses, in ascending order, each with its [`SourceClass`](crate::SourceClass).
    pub const RANGES4: &str = "RANGES4";
    /// Where those of each /16 begin: see [`ranges`](crate::ranges).
    pub const RANGE_INDEX4: &str = "RANGE_INDEX4";
    /// Longest-prefix match over IPv6 remote addresses, giving a [`SourceClass`](crate::SourceClass).
    pub const PREFIXES6: &str = "PREFIXES6";
    /// Decisions for a service class (row) and a source class (column), inbound.
    pub const MATRIX_IN: &str = "MATRIX_IN";
    /// The same for outbound.
    pub const MATRIX_OUT: &str = "MATRIX_OUT";
    /// One [`Control`](super::Control): the modes and the deadline.
    pub const CONTROL: &str = "CONTROL";
    /// Per-CPU [`RuleCounter`](super::RuleCounter)s, by counter slot.
    pub const RULES: &str = "RULES";
    /// For each CPU, [`Counter`](super::Counter)s by [`reason_index`](super::reason_index).
    pub const REASONS: &str = "REASONS";
    /// Tracked conversations, IPv4.
    pub const FLOWS4: &str = "FLOWS4";
    /// Tracked conversations, IPv6.
    pub const FLOWS6: &str = "FLOWS6";
    /// Flows that this CPU found not long ago, IPv4: a per-CPU array of [`HotFlow4`](super::HotFlow4).
    pub const HOT_FLOWS4: &str = "HOT_FLOWS4";
    /// The same for IPv6, of [`HotFlow6`](super::HotFlow6).
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
    /// A Bloom-like filter over [`OWN`]: one byte for each address, see [`own_slot`](super::own_slot).
    pub const OWN_FILTER: &str = "OWN_FILTER";
    /// Addresses of this host, and the broadcast addresses of its networks.
    pub const OWN: &str = "OWN";
    /// Ring buffer of [`Event`](super::Event)s.
    pub const EVENTS: &str = "EVENTS";
    /// Denied flows, aggregated.
    pub const DENIED: &str = "DENIED";
    /// For each CPU, a token bucket in front of [`EVENTS`] and [`DENIED`].
    pub const BUCKET: &str = "BUCKET";
    /// Per-CPU numbers about the tables themselves, by [`Statistic`](super::Statistic).
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
            Self::ServicesIn | Self::ServicesOut => crate::ServiceIndex::COUNT * 4,
            Self::Control => size_of::<Control>() as u32,
            Self::FlowPorts | Self::Listeners => PORT_BITMAP_WORDS * 8,
            Self::OwnFilter => OWN_FILTER_BYTES,
            Self::Reasons => size_of::<Counter>() as u32 * REASON_SLOTS,
            Self::Bucket => size_of::<Bucket>() as u32,
            Self::RangeIndex4 => crate::ranges::INDEX * 4,
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

/// Rules that can be counted for one interface: the 10,000 of a site's own, and those of its roles.
pub const RULE_SLOTS: u32 = 12_288;
/// Flows of each family that a CPU finds again without the flow table: 32 kB a CPU for IPv4, 64 kB for IPv6.
pub const HOT_FLOWS: u32 = 1024;
/// Words of a port bitmap: TCP, UDP and SCTP, 64 ports a word; and as many as make it a power of two, to which a mask bounds an index.
pub const PORT_BITMAP_WORDS: u32 = 4 * 1024;
/// Bytes of the filter over the host's own addresses, each 0 or 1: a bit of a word takes twice as long to find.
pub const OWN_FILTER_BYTES: u32 = 4096;
/// Outcomes that are counted apart, for each direction and reason.
pub const OUTCOMES: u32 = 2;
/// Entries of the reason counters: a power of two, likewise.
pub const REASON_SLOTS: u32 = 2 * OUTCOMES * 32;

/// Where the counter of a reason stands: `would_drop` apart from what really passed or was dropped.
#[must_use]
#[inline(always)]
pub const fn reason_index(direction: crate::Direction, would_drop: bool, reason: crate::Reason) -> u32 {
    ((direction as u32) * OUTCOMES + would_drop as u32) * 32 + reason as u32
}

/// The byte of the own-address filter that stands for an address (as words in network order; IPv4 mapped into IPv6).
#[must_use]
#[inline(always)]
pub const fn own_slot(address: [u32; 4]) -> u32 {
    // Anybody can find an address that shares a byte with one of ours; it costs a look-up in the exact table, no more.
    (address[0] ^ address[1] ^ address[2] ^ address[3]).wrapping_mul(0x9e37_79b1)
        >> (32 - OWN_FILTER_BYTES.trailing_zeros())
}

/// An IPv4 address (as it stands in the packet) mapped into IPv6, `::ffff:a.b.c.d`.
#[must_use]
#[inline(always)]
pub const fn mapped(address: u32) -> [u32; 4] {
    [0, 0, 0xffff_u32.to_be(), address]
}

/// A conversation over IPv4. Addresses as they stand in the packet, ports in host byte order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct FlowKey4 {
    /// The other host.
    pub remote: u32,
    /// This host.
    pub local: u32,
    /// Both ports.
    pub ports: Ports,
    /// IP protocol in the low byte, slot (0: this host) above it.
    pub protocol: u32,
}

/// A conversation over IPv6, likewise, but for the local address: this host has few, so a digest of it is in the key, and the
/// whole of it in [`FlowState6`]. Hashing and comparing the key is most of what a flow costs: 24 bytes are two rounds of the
/// kernel's hash, 40 are four.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct FlowKey6 {
    /// The other host.
    pub remote: [u32; 4],
    /// IP protocol in the high byte, below it a digest of this host's address and the slot.
    pub protocol_and_local: u32,
    /// Both ports.
    pub ports: Ports,
}

impl FlowKey6 {
    /// The key of a conversation.
    #[must_use]
    #[inline(always)]
    pub const fn new(remote: [u32; 4], local: [u32; 4], ports: Ports, protocol: u8) -> Self {
        // Two of the host's own addresses that share a digest would have to talk to the same port of the same host from the same
        // port, to be in each other's way; and then one of the flows is not found, which errs on the closed side.
        let [a, b, c, d] = local;
        let digest = (a ^ b.rotate_left(9) ^ c.rotate_left(18) ^ d).wrapping_mul(0x9e37_79b1) >> 8;
        Self { remote, protocol_and_local: (protocol as u32) << 24 | digest, ports }
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        (self.protocol_and_local >> 24) as u8
    }
}

/// Both ports of a conversation, in host byte order, as one word: a word that is written in halves and then read whole waits for
/// both.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(transparent)]
pub struct Ports(u32);

impl Ports {
    /// The remote port, 0 where the server answers from any port (echo: 0), and the local one (echo: the identifier).
    #[must_use]
    #[inline(always)]
    pub const fn new(remote: u16, local: u16) -> Self {
        Self((remote as u32) << 16 | local as u32)
    }

    /// Both, in one word.
    #[must_use]
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The remote port.
    #[must_use]
    pub const fn remote(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The local port.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the local port is the low half of the word")]
    pub const fn local(self) -> u16 {
        self.0 as u16
    }
}

/// What is known of a conversation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct FlowState {
    /// Jiffies of the last packet that refreshed it, at most once a second.
    pub last: u64,
    /// Jiffies without a packet after which it is over.
    pub timeout: u32,
    /// [`FlowState::FIN_IN`], [`FlowState::FIN_OUT`].
    pub flags: u32,
}

/// What is known of a conversation over IPv6, and the address that its key has only a digest of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct FlowState6 {
    /// The same as of any.
    pub state: FlowState,
    /// This host.
    pub local: [u32; 4],
}

impl FlowState {
    /// The remote side has sent a FIN.
    pub const FIN_IN: u32 = 1;
    /// This host has sent a FIN.
    pub const FIN_OUT: u32 = 2;
}

impl From<FlowState6> for FlowState {
    fn from(of_ipv6: FlowState6) -> Self {
        of_ipv6.state
    }
}

/// A flow over IPv4 that one CPU found in the flow table, in front of which this stands: the busy conversations of a second are
/// few, and found here without hashing and comparing keys by calls into the kernel.
///
/// It says no more than the flow table said at [`HotFlow4::last`], and is believed for a second, for which the table would not be
/// written either. A flow that is evicted in that second counts until its end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct HotFlow4 {
    /// The conversation.
    pub key: FlowKey4,
    /// Jiffies of the last packet that refreshed the flow; 0: nothing is here.
    pub last: u64,
    /// Always 0.
    pub zero: u64,
}

impl HotFlow4 {
    /// Where a conversation stands, if it stands anywhere.
    #[must_use]
    #[inline(always)]
    pub const fn index(key: &FlowKey4) -> u32 {
        (key.remote ^ key.ports.0 ^ key.protocol).wrapping_mul(0x9e37_79b1) >> (32 - HOT_FLOWS.trailing_zeros())
    }
}

/// The same for IPv6.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct HotFlow6 {
    /// The conversation.
    pub key: FlowKey6,
    /// The local address, of which the key has a digest.
    pub local: [u32; 4],
    /// Jiffies of the last packet that refreshed the flow; 0: nothing is here.
    pub last: u64,
    /// Always 0.
    pub zero: [u64; 2],
}

impl HotFlow6 {
    /// Where a conversation stands, if it stands anywhere.
    #[must_use]
    #[inline(always)]
    pub const fn index(key: &FlowKey6) -> u32 {
        let word = key.remote[2].rotate_left(16) ^ key.remote[3] ^ key.ports.0;
        word.wrapping_mul(0x9e37_79b1) >> (32 - HOT_FLOWS.trailing_zeros())
    }
}

/// A datagram in fragments, IPv4 (RFC 791: source, destination, protocol, identification).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct FragmentKey4 {
    /// Source address as it stands in the packet.
    pub source: u32,
    /// Destination address, likewise.
    pub destination: u32,
    /// Identification.
    pub id: u32,
    /// IP protocol in the low byte, slot above it.
    pub protocol: u32,
}

/// The same for IPv6 (RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct FragmentKey6 {
    /// Source address as it stands in the packet.
    pub source: [u32; 4],
    /// Destination address, likewise.
    pub destination: [u32; 4],
    /// Identification.
    pub id: u32,
    /// Next header of the fragment header in the low byte, slot above it.
    pub protocol: u32,
}

/// What became of the first fragment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct FragmentState {
    /// Jiffies when it was seen.
    pub last: u64,
    /// [`FragmentState::REFUSED`], [`FragmentState::PASSED`] or [`FragmentState::AUDITED`].
    pub verdict: u64,
}

impl FragmentState {
    /// Refused: later fragments are refused.
    pub const REFUSED: u64 = 0;
    /// Permitted: later fragments pass.
    pub const PASSED: u64 = 1;
    /// Refused by a rule that is in audit by itself: later fragments are counted, not dropped.
    pub const AUDITED: u64 = 2;
    /// Seconds for which a first fragment is remembered: Linux keeps fragments for 30 (`ipfrag_time`).
    pub const SECONDS: u32 = 30;
}

/// The modes in force. Looked at only when a packet is about to be dropped. Each field is written by itself, in one store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Control {
    /// Bit 0: inbound enforces. Bit 1: outbound enforces.
    pub modes: u64,
    /// Nanoseconds of the boot clock after which [`Control::modes_after`] counts; 0: never.
    pub deadline: u64,
    /// The modes past the deadline.
    pub modes_after: u64,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Counter {
    /// Packets; at tc a super-packet counts as its segments.
    pub packets: u64,
    /// Bytes as the hook saw them, link header included.
    pub bytes: u64,
}

/// Packets and bytes of a rule, and when it last matched.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct RuleCounter {
    /// Packets and bytes.
    pub counter: Counter,
    /// Jiffies of the last match; 0: never.
    pub last: u64,
}

/// Token bucket in front of everything that a denied packet costs beyond its counter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Bucket {
    /// Tokens left.
    pub tokens: u64,
    /// Jiffies of the last refill.
    pub last: u64,
    /// Denied packets that found no token: neither in the table of denied flows nor in the stream.
    pub suppressed: u64,
    /// Events that found the ring buffer full.
    pub lost: u64,
    /// Always 0: the rest of a cache line, which is written by no other CPU.
    pub zero: [u64; 4],
}

/// A range of remote IPv4 addresses up to the next one, or to the last address of all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Range4 {
    /// The first address, in host byte order.
    pub first: u32,
    /// A [`SourceClass`](crate::SourceClass).
    pub class: u32,
}

/// A denied flow: who tried what, and why it was refused.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct DeniedKey {
    /// Remote address, IPv4 mapped.
    pub remote: [u32; 4],
    /// Interface index.
    pub interface: u32,
    /// The port that was tried (destination of the packet), or the ICMP type, or the ethertype.
    pub port: u16,
    /// IP protocol; 0 where there is none.
    pub protocol: u8,
    /// Number of the [`Reason`](crate::Reason).
    pub reason: u8,
    /// 0 inbound, 1 outbound.
    pub direction: u8,
    /// 1 dropped, 0 only counted.
    pub enforced: u8,
    /// 4 or 6; 0 for a frame without an IP header.
    pub family: u8,
    /// Always 0.
    pub zero: u8,
}

/// How often, how much, since when.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct DeniedState {
    /// Packets and bytes, as far as the token bucket let them be seen.
    pub counter: Counter,
    /// Jiffies of the first one.
    pub first: u64,
    /// Jiffies of the last one.
    pub last: u64,
    /// Local address of the last one, IPv4 mapped.
    pub local: [u32; 4],
}

/// One denied packet, as the ring buffer carries it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Event {
    /// Jiffies.
    pub at: u64,
    /// Who, what, why.
    pub denied: DeniedKey,
    /// Frame length in bytes.
    pub bytes: u32,
    /// Local address, IPv4 mapped.
    pub local: [u32; 4],
    /// Remote port in host byte order.
    pub remote_port: u16,
    /// Local port in host byte order.
    pub local_port: u16,
    /// Denied packets this CPU has suppressed so far, modulo 2^32.
    pub suppressed: u32,
}

/// Numbers about the tables themselves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Statistic {
    /// Flows made by an outbound packet.
    FlowsMade = 0,
    /// Flows made anew by an outbound packet in mid-conversation: evicted, or older than the programs.
    FlowsRevived = 1,
    /// Refused conversations remembered.
    DenialsRemembered = 2,
}

/// Entries of the statistics map.
pub const STATISTICS: u32 = 8;

/// What a program is told once, at load. The verifier sees constants and removes what a policy does not use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Config {
    /// Hardware addresses of the interface and of the bridge above it, low 48 bits as they stand in the frame; 0: none.
    pub macs: [u64; 2],
    /// [`Config::SCOPED_IN`] and so on.
    pub features: u32,
    /// Index of the interface this program judges for.
    pub interface: u32,
    /// Columns of the inbound matrix.
    pub columns_in: u32,
    /// Columns of the outbound matrix.
    pub columns_out: u32,
    /// Jiffies a second.
    pub hz: u32,
    /// Timeouts in jiffies.
    pub timeout_tcp: u32,
    /// Both sides closed, or reset by us.
    pub timeout_tcp_closing: u32,
    /// UDP and SCTP.
    pub timeout_udp: u32,
    /// ICMP echo.
    pub timeout_icmp: u32,
    /// First port of the host's ephemeral range (`net.ipv4.ip_local_port_range`).
    pub ephemeral_first: u32,
    /// Last port of it.
    pub ephemeral_last: u32,
    /// Denied packets a second and CPU that are told in full.
    pub events_per_second: u32,
}

impl Config {
    /// Some inbound service depends on the source.
    pub const SCOPED_IN: u32 = 1;
    /// Some outbound service depends on the destination.
    pub const SCOPED_OUT: u32 = 1 << 1;
    /// Outbound is judged by the connections of the roles.
    pub const OUTBOUND_JUDGED: u32 = 1 << 2;
    /// Outbound is not judged, but the site has outbound deny rules.
    pub const OUTBOUND_DENIES: u32 = 1 << 3;
    /// Some outbound service answers from another port.
    pub const ANSWER_ANY: u32 = 1 << 4;
    /// What is addressed to somebody else is not judged.
    pub const SCOPE_HOST: u32 = 1 << 5;
    /// The interface is a bridge port.
    pub const BRIDGE_PORT: u32 = 1 << 6;
    /// The protected host is behind this interface: the packet's ingress interface says nothing.
    pub const GUEST: u32 = 1 << 8;
    /// The programs write lines about what they judge.
    pub const LOG: u32 = 1 << 9;

    /// Whether any of these features is on. Read as volatile: the value is written into the object at load.
    #[must_use]
    #[inline(always)]
    pub fn has(&self, feature: u32) -> bool {
        load(&self.features) & feature != 0
    }

    /// The whole of it as numbers, for a record.
    #[must_use]
    pub fn to_words(&self) -> [u64; 14] {
        let Self { macs, features, interface, columns_in, columns_out, hz, .. } = *self;
        let timeouts = [self.timeout_tcp, self.timeout_tcp_closing, self.timeout_udp, self.timeout_icmp];
        let [tcp, closing, udp, icmp] = timeouts.map(u64::from);
        let [features, interface, columns_in, columns_out, hz] =
            [features, interface, columns_in, columns_out, hz].map(u64::from);
        let [first, last, events] = [self.ephemeral_first, self.ephemeral_last, self.events_per_second].map(u64::from);
        let [mac, bridge] = macs;
        [mac, bridge, features, interface, columns_in, columns_out, hz, tcp, closing, udp, icmp, first, last, events]
    }

    /// Back from [`Self::to_words`].
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each number goes back to where it came from")]
    pub fn from_words(words: [u64; 14]) -> Self {
        let [mac, bridge, numbers @ ..] = words;
        let [features, interface, columns_in, columns_out, hz, tcp, closing, udp, icmp, first, last, events] =
            numbers.map(|number| number as u32);
        Self {
            macs: [mac, bridge],
            features,
            interface,
            columns_in,
            columns_out,
            hz,
            timeout_tcp: tcp,
            timeout_tcp_closing: closing,
            timeout_udp: udp,
            timeout_icmp: icmp,
            ephemeral_first: first,
            ephemeral_last: last,
            events_per_second: events,
        }
    }

    /// Hardware address number 0 or 1.
    #[must_use]
    #[inline(always)]
    pub fn mac<const N: usize>(&self) -> u64 {
        const { assert!(N < 2) };
        load(&self.macs[N])
    }
}

/// Reads a field of [`Config`] that is written into the object at load and so must not be folded at compile time.
#[inline(always)]
pub fn load<T: Copy>(field: &T) -> T {
    // SAFETY: a reference is valid, aligned and initialised.
    unsafe { core::ptr::read_volatile(field) }
}

macro_rules! plain {
    ($($type:ty: $size:literal),* $(,)?) => {
        $(
            const _: () = assert!(size_of::<$type>() == $size, "a layout changed: raise LAYOUT_VERSION");
            // SAFETY: `repr(C)`, integers only, and the size is the sum of the fields: no padding, no invalid bit pattern.
            #[cfg(feature = "user")]
            unsafe impl aya::Pod for $type {}
        )*
    };
}

plain! {
    FlowKey4: 16, FlowKey6: 24, FlowState: 16, FlowState6: 32, HotFlow4: 32, HotFlow6: 64,
    FragmentKey4: 16, FragmentKey6: 40, FragmentState: 16, Control: 24,
    Counter: 16, RuleCounter: 24, Bucket: 64, DeniedKey: 28, DeniedState: 48, Event: 64, Config: 64,
}

// SAFETY: `repr(transparent)` over u32.
#[cfg(feature = "user")]
unsafe impl aya::Pod for crate::Entry {}
// SAFETY: `repr(transparent)` over u32.
#[cfg(feature = "user")]
unsafe impl aya::Pod for crate::SourceClass {}

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
